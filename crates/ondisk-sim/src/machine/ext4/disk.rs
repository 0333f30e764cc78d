//! The bytes of the file system on the media: written by a formatter and by the running file
//! system, read by a mount.
//!
//! Invariant: a mount is given bytes and nothing else. Every block of metadata has a checksum, so
//! damage there is found and named ([`MountError`]); blocks of files have none, as in ext4.
//! Whatever the bytes, reading them ends soon and needs memory in proportion to the device.
//!
//! | blocks | what they hold |
//! |---|---|
//! | 0 | the superblock: [`Superblock`] |
//! | 1, and the journal from there | its own superblock, then a ring of blocks: [`jbd`] |
//! | then | the bitmap: [`Bitmap`] |
//! | then | the inode table, [`INODES_PER_BLOCK`] inodes a block: [`Inode`] |
//! | the rest | files, directories ([`DirEntry`]), further extents, long targets of symbolic links |
//!
//! The parts are those of ext4, the places of fields are not; the journal is that of JBD2. The
//! bytes are specified in `docs/format/machine-ext4.md`.
//!
//! Knows nothing of time, of what is dirty, and of who asks.

mod check;
mod codec;
mod crc;
mod format;
mod image;
pub mod jbd;
mod load;
mod recover;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ondisk_fs::BLOCK;
use thiserror::Error;

use crate::machine::arena::Marks;
use crate::machine::config::Ext4Options;
use crate::machine::ids::{BlockId, Ino, Lba, Ns, Tid};
use crate::machine::message::Kind;

pub use check::{Disagreement, check};
pub use codec::{
    dir_fits, encode_bitmap_block, encode_dir_block, encode_extent_block, encode_inode_block,
    encode_super, encode_symlink_block,
};
pub use format::{FormatError, Formatter, format};
pub use image::{LARGEST_IMAGE, holes, image};
pub use recover::{recover, recover_sabotaged};

/// How many inodes stand in a block of the inode table.
pub const INODES_PER_BLOCK: u32 = 16;
/// How many extents an inode holds itself; further ones stand in blocks of their own.
pub const INLINE_EXTENTS: usize = 17;
/// How many extents a block of them holds.
pub const EXTENTS_PER_BLOCK: usize = 339;
/// The longest target of a symbolic link that stands in the inode; a longer one has a block.
pub const INLINE_TARGET: usize = 208;
/// The longest target of a symbolic link.
pub const LONGEST_TARGET: usize = 4080;
/// The longest name.
pub const LONGEST_NAME: usize = 255;
/// How many blocks one block of the bitmap speaks for.
pub const BITS_PER_BLOCK: u32 = 32_640;
/// The largest file: `EFBIG` beyond.
pub const LARGEST_FILE: u64 = 1 << 40;
/// The first inode that is given to a file.
pub const FIRST_INO: Ino = Ino(3);
/// The largest device, in blocks.
pub const MOST_BLOCKS: u32 = 1 << 20;
/// The most inodes.
pub const MOST_INODES: u32 = 1 << 16;

/// Where the parts of the file system stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Geometry {
    /// The blocks of the file system.
    pub blocks: u32,
    /// The highest inode number.
    pub inodes: u32,
    /// The journal's superblock.
    pub journal: Lba,
    /// The journal's blocks, its superblock among them.
    pub journal_len: u32,
    /// The first block of the bitmap.
    pub bitmap: Lba,
    /// The first block of the inode table.
    pub table: Lba,
    /// The first block that may belong to a file.
    pub data: Lba,
}

impl Geometry {
    /// The places that follow from the options.
    ///
    /// # Errors
    /// The options leave no room for a file, or are beyond what the format can say.
    pub fn new(options: &Ext4Options) -> Result<Self, FormatError> {
        Self::lay_out(options.blocks, options.inodes, options.journal).ok_or(FormatError::Geometry)
    }

    /// The places of the parts, where they fit.
    fn lay_out(blocks: u32, inodes: u32, journal_len: u32) -> Option<Self> {
        let fits = blocks <= MOST_BLOCKS
            && (FIRST_INO.0..=MOST_INODES).contains(&inodes)
            && (jbd::SHORTEST..=blocks).contains(&journal_len);
        if !fits {
            return None;
        }
        let journal = Lba(1);
        let bitmap = Lba(journal.0 + journal_len);
        let table = Lba(bitmap.0 + blocks.div_ceil(BITS_PER_BLOCK));
        let data = Lba(table.0 + inodes.div_ceil(INODES_PER_BLOCK));
        (data.0 < blocks).then_some(Self {
            blocks,
            inodes,
            journal,
            journal_len,
            bitmap,
            table,
            data,
        })
    }

    /// The block of the inode table in which an inode stands.
    #[must_use]
    pub const fn inode_block(&self, ino: Ino) -> Lba {
        Lba(self.table.0 + (ino.0 - 1) / INODES_PER_BLOCK)
    }

    /// The first inode of a block of the inode table.
    #[must_use]
    pub const fn first_inode(&self, lba: Lba) -> Ino {
        Ino((lba.0 - self.table.0) * INODES_PER_BLOCK + 1)
    }

    /// The block of the bitmap that speaks for a block.
    #[must_use]
    pub const fn bitmap_block(&self, lba: Lba) -> Lba {
        Lba(self.bitmap.0 + lba.0 / BITS_PER_BLOCK)
    }
}

/// The superblock: block 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Superblock {
    /// Where all stands.
    pub geometry: Geometry,
    /// The first of the inodes that have no name or more blocks than length; 0 for none. The
    /// list goes on in [`Inode::next_orphan`].
    pub orphans: Ino,
}

/// A run of blocks of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// The first page of the file.
    pub page: u32,
    /// How many; at least 1.
    pub count: u32,
    /// Where the first stands.
    pub lba: Lba,
    /// Nothing was written yet: it reads as zeros.
    pub unwritten: bool,
}

/// An inode as the inode table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What it is.
    pub kind: Kind,
    /// Its mode bits.
    pub mode: u16,
    /// How many names it has. A directory counts 2, and 1 for each directory in it.
    pub links: u32,
    /// Its length in bytes, as the media have it (`i_disksize`). Of a directory: its blocks.
    pub size: u64,
    /// When it was last changed.
    pub mtime: Ns,
    /// The next in the list of orphans; 0 for none.
    pub next_orphan: Ino,
    /// Its blocks, ascending, without overlap. Of a symbolic link: the block of a long target.
    pub extents: Vec<Extent>,
    /// The blocks of extents beyond [`INLINE_EXTENTS`], in order:
    /// [`overflow_blocks`](Self::overflow_blocks) of them.
    pub overflow: Vec<Lba>,
    /// What it says, of a symbolic link.
    pub target: Box<[u8]>,
}

impl Inode {
    /// An inode without a name, length or blocks.
    #[must_use]
    pub fn new(kind: Kind, mode: u16) -> Self {
        Self {
            kind,
            mode,
            links: 0,
            size: 0,
            mtime: Ns(0),
            next_orphan: Ino(0),
            extents: Vec::new(),
            overflow: Vec::new(),
            target: Box::default(),
        }
    }

    /// How many blocks of extents so many extents need.
    #[must_use]
    pub const fn overflow_blocks(extents: usize) -> usize {
        extents.saturating_sub(INLINE_EXTENTS).div_ceil(EXTENTS_PER_BLOCK)
    }

    /// The extent that holds a page.
    #[must_use]
    pub fn extent(&self, page: u32) -> Option<&Extent> {
        let behind = self.extents.partition_point(|extent| extent.page <= page);
        let extent = self.extents[..behind].last()?;
        (page - extent.page < extent.count).then_some(extent)
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// What it stands for.
    pub ino: Ino,
    /// What that is.
    pub kind: Kind,
    /// The name: 1 to [`LONGEST_NAME`] bytes without `/` and NUL.
    pub name: Box<[u8]>,
}

/// Which blocks are in use: a bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    blocks: u32,
}

impl Bitmap {
    /// All free.
    #[must_use]
    pub fn new(blocks: u32) -> Self {
        Self { words: vec![0; blocks.div_ceil(64) as usize], blocks }
    }

    /// How many blocks it speaks for.
    #[must_use]
    pub const fn blocks(&self) -> u32 {
        self.blocks
    }

    /// Whether a block is in use. What is beyond the device is.
    #[must_use]
    pub fn used(&self, lba: Lba) -> bool {
        lba.0 >= self.blocks || self.words[lba.index() / 64] >> (lba.0 % 64) & 1 == 1
    }

    /// A block is in use.
    pub fn take(&mut self, lba: Lba) {
        if lba.0 < self.blocks {
            self.words[lba.index() / 64] |= 1 << (lba.0 % 64);
        }
    }

    /// A block is free.
    pub fn free(&mut self, lba: Lba) {
        if lba.0 < self.blocks {
            self.words[lba.index() / 64] &= !(1 << (lba.0 % 64));
        }
    }

    /// Blocks are in use, which were free.
    ///
    /// # Errors
    /// The first that was not, or is beyond the device; those before it may be in use now.
    pub fn take_run(&mut self, from: Lba, count: u32) -> Result<(), Lba> {
        let inside = count.min(self.blocks.saturating_sub(from.0));
        let (mut at, mut left) = (from, inside);
        while left > 0 {
            let bit = at.0 % 64;
            let here = left.min(64 - bit);
            let mask = (u64::MAX >> (64 - here)) << bit;
            let word = self.words.get_mut(at.index() / 64).ok_or(at)?;
            if *word & mask != 0 {
                return Err(Lba(at.0 - bit + (*word & mask).trailing_zeros()));
            }
            *word |= mask;
            (at, left) = (Lba(at.0 + here), left - here);
        }
        if inside == count { Ok(()) } else { Err(at) }
    }

    /// How many blocks are free.
    #[must_use]
    pub fn count_free(&self) -> u32 {
        self.blocks - self.words.iter().map(|word| word.count_ones()).sum::<u32>()
    }

    /// The first free block from a place on; not before it.
    #[must_use]
    pub fn first_free(&self, from: Lba) -> Option<Lba> {
        let mut word = from.index() / 64;
        let mut taken = (1_u64 << (from.0 % 64)) - 1;
        while let Some(bits) = self.words.get(word) {
            let free = !(bits | taken);
            if free != 0 {
                let at = u32::try_from(word * 64).ok()? + free.trailing_zeros();
                return (at < self.blocks).then_some(Lba(at));
            }
            (word, taken) = (word + 1, 0);
        }
        None
    }

    /// How many blocks are free from a free one on, up to a number.
    #[must_use]
    pub fn run(&self, from: Lba, most: u32) -> u32 {
        (0..most).take_while(|n| !self.used(Lba(from.0.saturating_add(*n)))).fold(0, |n, _| n + 1)
    }
}

/// All names and inodes of a file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    /// By number.
    pub nodes: BTreeMap<Ino, TreeNode>,
}

/// An inode as the media have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeNode {
    /// What it is.
    pub kind: Kind,
    /// Its length in bytes.
    pub size: u64,
    /// How many names it has.
    pub links: u32,
    /// Its mode bits.
    pub mode: u16,
    /// The names in it, of a directory.
    pub entries: Vec<(Box<[u8]>, Ino)>,
    /// What it says, of a symbolic link.
    pub target: Box<[u8]>,
}

/// A block that the journal has and that must be written home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// The last transaction that has it.
    pub tid: Tid,
    /// Its home.
    pub lba: Lba,
    /// Its bytes, as they belong there.
    pub content: BlockId,
}

/// Where the journal stands after recovery.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    /// As its superblock on the media has it.
    pub on_media: jbd::Super,
    /// The transaction that comes next. Above all that may stand in the ring, so that nothing
    /// left there can be taken for its continuation.
    pub next: Tid,
    /// Transactions that were found whole.
    pub whole: u32,
    /// Blocks of the ring that they fill.
    pub filled: u32,
}

impl Log {
    /// The superblock that makes the ring empty, once all is home: the next transaction is
    /// written at its beginning.
    #[must_use]
    pub const fn emptied(&self) -> jbd::Super {
        jbd::Super { start: jbd::FIRST, sequence: self.next, ..self.on_media }
    }
}

/// What a mount read from the media: everything that the running file system knows of them, the
/// journal replayed.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Block 0.
    pub superblock: Superblock,
    /// Which blocks are in use.
    pub bitmap: Bitmap,
    /// The inodes by number, up to the highest in use.
    pub inodes: Vec<Option<Inode>>,
    /// The names of each directory, by its blocks.
    pub dirs: BTreeMap<Ino, Vec<Vec<DirEntry>>>,
    /// What must be written home, ascending by place. It has been applied to all else here.
    pub replayed: Vec<Replayed>,
    /// The journal.
    pub log: Log,
    /// The list of orphans, in its order: with links 0 to be freed, else to be cut to their size.
    pub orphans: Vec<Ino>,
    /// Those with links 0 that somebody on another machine has open: they are not freed yet.
    pub in_use: Vec<Ino>,
}

impl Loaded {
    /// An inode.
    #[must_use]
    pub fn inode(&self, ino: Ino) -> Option<&Inode> {
        self.inodes.get(ino.index())?.as_ref()
    }

    /// A block as it is once replayed; `read` answers for the media.
    #[must_use]
    pub fn block(&self, lba: Lba, read: &dyn Fn(Lba) -> BlockId) -> BlockId {
        match self.replayed.binary_search_by_key(&lba, |block| block.lba) {
            Ok(at) => self.replayed[at].content,
            Err(_) => read(lba),
        }
    }

    /// All names and inodes. Orphans are not among them.
    #[must_use]
    pub fn tree(&self) -> Tree {
        load::tree(self)
    }

    /// Marks every content that it holds.
    pub fn marks(&self, marks: &mut Marks) {
        for block in &self.replayed {
            marks.hold(block.content);
        }
    }
}

/// A block of metadata, by what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Part {
    /// Block 0.
    #[error("the superblock")]
    Super,
    /// The journal's superblock.
    #[error("the journal's superblock")]
    JournalSuper,
    /// A block of the journal.
    #[error("a block of the journal")]
    Journal,
    /// A block of the bitmap.
    #[error("the bitmap")]
    Bitmap,
    /// An inode.
    #[error("inode {}", .0.0)]
    Inode(Ino),
    /// A block of a directory.
    #[error("a block of directory {}", .0.0)]
    Dir(Ino),
    /// A block of extents.
    #[error("a block of extents of inode {}", .0.0)]
    Extents(Ino),
    /// The block of a symbolic link.
    #[error("the target of symbolic link {}", .0.0)]
    Symlink(Ino),
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Damage {
    /// It begins with other bytes.
    #[error("it is none: its magic number is another")]
    Magic,
    /// Its bytes do not fit its checksum.
    #[error("its checksum does not fit")]
    Checksum,
    /// It is a later version's.
    #[error("it is of version {0}, which is not known here")]
    Version(u32),
    /// It says what cannot be.
    #[error("it is whole, but says what cannot be")]
    Impossible,
    /// It names blocks that are not there to be a file's.
    #[error("it names block {}, which is no file's", .0.0)]
    Beyond(Lba),
    /// It names a block that another names too.
    #[error("it names block {}, which belongs to another", .0.0)]
    Shared(Lba),
    /// It names an inode that is not in use, or is something else.
    #[error("it names inode {}, which is free or something else", .0.0)]
    Dangling(Ino),
    /// The file is larger than can be held in memory.
    #[error("it is larger than can be held")]
    Large,
    /// It has another number of links than names.
    #[error("it says that it has {said} links, and has {found}")]
    Links {
        /// As the inode says.
        said: u32,
        /// As the directories say.
        found: u32,
    },
    /// A directory that is not below the root, or has two names.
    #[error("the directories do not make a tree")]
    NoTree,
}

/// Why something on the media cannot be mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("block {}, {part}: {damage}", lba.0)]
pub struct MountError {
    /// The block.
    pub lba: Lba,
    /// What it should be.
    pub part: Part,
    /// What is wrong with it.
    pub damage: Damage,
}

/// The size of a block as a length of a file.
const BLOCK_LEN: u64 = BLOCK as u64;
