//! Metadata as bytes: superblock, bitmap, inodes, directories, extents, symbolic links.
//!
//! Invariant: what was encoded decodes to itself, and equal metadata give equal bytes. A block's
//! checksum covers its place, an inode's its number, so one that was written elsewhere is damage.
//! All of the superblock stands in its first sector: a torn write leaves the old one or the new.
//!
//! The bytes are specified in `docs/format/machine-ext4.md`.

use std::mem::offset_of;

use ondisk_fs::BLOCK;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{
    BITS_PER_BLOCK, Bitmap, Damage, DirEntry, EXTENTS_PER_BLOCK, Extent, Geometry, INLINE_EXTENTS,
    INLINE_TARGET, INODES_PER_BLOCK, Inode, LARGEST_FILE, LONGEST_NAME, LONGEST_TARGET, Superblock,
    crc,
};
use crate::machine::arena::Bytes;
use crate::machine::ids::{Ino, Lba, Ns};
use crate::machine::message::Kind;

/// The version of the format.
const VERSION: u32 = 1;
const MAGIC: [u8; 8] = *b"\xd1ondext4";
const BITMAP: [u8; 4] = *b"\xd1bit";
const DIR: [u8; 4] = *b"\xd1dir";
const EXTENTS: [u8; 4] = *b"\xd1ext";
const SYMLINK: [u8; 4] = *b"\xd1sym";

/// The superblock.
/// ```text
///  0       8     12        16       20       24        28            32       36      40     44        48
///  ├ magic ┼ crc ┼ version ┼ blocks ┼ inodes ┼ journal ┼ journal_len ┼ bitmap ┼ table ┼ data ┼ orphans ┤ zeros
///                └── crc covers from here to the block's end
/// ```
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SuperBytes {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    blocks: U32,
    inodes: U32,
    journal: U32,
    journal_len: U32,
    bitmap: U32,
    table: U32,
    data: U32,
    orphans: U32,
}
const _: () = assert!(size_of::<SuperBytes>() == 48 && offset_of!(SuperBytes, version) == 12);

/// The header of every other block of metadata that does not hold inodes.
/// ```text
///  0       4     8       12      16
///  ├ magic ┼ crc ┼ owner ┼ count ┤
///                └── crc covers the place, then from here to the block's end
/// ```
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: [u8; 4],
    crc: U32,
    /// The inode; of the bitmap, which of its blocks.
    owner: U32,
    /// Entries, extents, or bytes of a target.
    count: U32,
}
const HEADER: usize = size_of::<Header>();
const _: () = assert!(HEADER == 16 && offset_of!(Header, owner) == 8);
const _: () = assert!(BITS_PER_BLOCK as usize == (BLOCK - HEADER) * 8);
const _: () = assert!(LONGEST_TARGET == BLOCK - HEADER);

/// An inode.
/// ```text
///  0     4      5      6      8       12        16     24      32            36         40     48
///  ├ crc ┼ kind ┼ zero ┼ mode ┼ links ┼ extents ┼ size ┼ mtime ┼ next_orphan ┼ overflow ┼ zero ┤ body, to 256
///        └── crc covers the inode's number, then from here to 256
/// ```
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct InodeBytes {
    crc: U32,
    kind: u8,
    zero: u8,
    mode: U16,
    links: U32,
    extents: U32,
    size: U64,
    mtime: U64,
    next_orphan: U32,
    overflow: U32,
    zeros: [u8; 8],
    body: [u8; INLINE_TARGET],
}
const INODE: usize = size_of::<InodeBytes>();
const _: () = assert!(INODE * INODES_PER_BLOCK as usize == BLOCK);
const _: () = assert!(offset_of!(InodeBytes, body) == 48);

/// An extent. The highest bit of `count` says that it is unwritten.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct ExtentBytes {
    page: U32,
    count: U32,
    lba: U32,
}
const EXTENT: usize = size_of::<ExtentBytes>();
const UNWRITTEN: u32 = 1 << 31;
const _: () = assert!(INLINE_EXTENTS == INLINE_TARGET / EXTENT);
/// Where the extents of a block begin: behind the header stand the next block and 4 zeros.
const FURTHER: usize = HEADER + 8;
const _: () = assert!(EXTENTS_PER_BLOCK == (BLOCK - FURTHER) / EXTENT);

/// A name in a directory; its bytes follow.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct EntryBytes {
    ino: U32,
    kind: u8,
    len: u8,
}
const ENTRY: usize = size_of::<EntryBytes>();
const _: () = assert!(ENTRY == 6);

const fn kind_byte(kind: Kind) -> u8 {
    match kind {
        Kind::File => 1,
        Kind::Dir => 2,
        Kind::Symlink => 3,
    }
}

const fn kind_of(byte: u8) -> Option<Kind> {
    match byte {
        1 => Some(Kind::File),
        2 => Some(Kind::Dir),
        3 => Some(Kind::Symlink),
        _ => None,
    }
}

/// A length that is known to be below 2^32.
fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Whether checksums are looked at. Not to look is a mistake that tests must notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sums {
    Checked,
    Ignored,
}

impl Sums {
    /// Whether a checksum is the one that was stored.
    pub(super) fn fit(self, stored: u32, computed: impl FnOnce() -> u32) -> Result<(), Damage> {
        match self == Self::Ignored || stored == computed() {
            true => Ok(()),
            false => Err(Damage::Checksum),
        }
    }
}

// The superblock.

/// Block 0.
#[must_use]
pub fn encode_super(superblock: &Superblock) -> Bytes {
    let geometry = superblock.geometry;
    let mut head = SuperBytes {
        magic: MAGIC,
        crc: U32::ZERO,
        version: VERSION.into(),
        blocks: geometry.blocks.into(),
        inodes: geometry.inodes.into(),
        journal: geometry.journal.0.into(),
        journal_len: geometry.journal_len.into(),
        bitmap: geometry.bitmap.0.into(),
        table: geometry.table.0.into(),
        data: geometry.data.0.into(),
        orphans: superblock.orphans.0.into(),
    };
    let mut block = [0; BLOCK];
    put(&mut block, 0, &head);
    head.crc = crc::sum(crc::SEED, &block[12..]).into();
    put(&mut block, 0, &head);
    block
}

/// What block 0 says.
pub(super) fn decode_super(block: &Bytes, sums: Sums) -> Result<Superblock, Damage> {
    let head: SuperBytes = get(block, 0);
    if head.magic != MAGIC {
        return Err(Damage::Magic);
    }
    sums.fit(head.crc.get(), || crc::sum(crc::SEED, &block[12..]))?;
    if head.version.get() != VERSION {
        return Err(Damage::Version(head.version.get()));
    }
    let geometry = Geometry::lay_out(head.blocks.get(), head.inodes.get(), head.journal_len.get());
    let said = [head.journal, head.bitmap, head.table, head.data].map(U32::get);
    let geometry = geometry
        .filter(|geometry| {
            said == [geometry.journal, geometry.bitmap, geometry.table, geometry.data]
                .map(|at| at.0)
        })
        .ok_or(Damage::Impossible)?;
    Ok(Superblock { geometry, orphans: Ino(head.orphans.get()) })
}

// Blocks with a header.

fn seal(block: &mut Bytes, magic: [u8; 4], owner: u32, count: usize, lba: Lba) {
    let mut head =
        Header { magic, crc: U32::ZERO, owner: owner.into(), count: narrow(count).into() };
    put(block, 0, &head);
    head.crc = crc::sum(crc::of(lba.0), &block[8..]).into();
    put(block, 0, &head);
}

/// The count of a block that is what it should be.
fn unseal(
    block: &Bytes,
    magic: [u8; 4],
    owner: u32,
    lba: Lba,
    sums: Sums,
) -> Result<usize, Damage> {
    let head: Header = get(block, 0);
    if head.magic != magic {
        return Err(Damage::Magic);
    }
    sums.fit(head.crc.get(), || crc::sum(crc::of(lba.0), &block[8..]))?;
    match head.owner.get() == owner {
        true => Ok(head.count.get() as usize),
        false => Err(Damage::Impossible),
    }
}

/// The block of the bitmap that stands at a place.
#[must_use]
pub fn encode_bitmap_block(geometry: &Geometry, bitmap: &Bitmap, lba: Lba) -> Bytes {
    let nth = lba.0.saturating_sub(geometry.bitmap.0);
    let mut block = [0; BLOCK];
    let from = nth as usize * (BITS_PER_BLOCK / 64) as usize;
    let words = bitmap.words.get(from..).unwrap_or_default();
    for (to, word) in block[HEADER..].chunks_exact_mut(8).zip(words) {
        to.copy_from_slice(&word.to_le_bytes());
    }
    seal(&mut block, BITMAP, nth, 0, lba);
    block
}

/// Adds what a block of the bitmap says.
pub(super) fn decode_bitmap_block(
    geometry: &Geometry,
    bitmap: &mut Bitmap,
    lba: Lba,
    block: &Bytes,
    sums: Sums,
) -> Result<(), Damage> {
    let nth = lba.0 - geometry.bitmap.0;
    unseal(block, BITMAP, nth, lba, sums)?;
    let from = nth as usize * (BITS_PER_BLOCK / 64) as usize;
    let words = bitmap.words.iter_mut().skip(from);
    for (word, bytes) in words.zip(block[HEADER..].chunks_exact(8)) {
        *word = u64::from_le_bytes(get(bytes, 0));
    }
    Ok(())
}

/// Whether one more name fits into a block of a directory.
#[must_use]
pub fn dir_fits(entries: &[DirEntry], name: &[u8]) -> bool {
    let used: usize = entries.iter().map(|entry| ENTRY + entry.name.len()).sum();
    HEADER + used + ENTRY + name.len() <= BLOCK
}

/// A block of a directory. What does not fit is left out: see [`dir_fits`].
#[must_use]
pub fn encode_dir_block(dir: Ino, lba: Lba, entries: &[DirEntry]) -> Bytes {
    let mut block = [0; BLOCK];
    let (mut at, mut count) = (HEADER, 0);
    for entry in entries {
        let end = at + ENTRY + entry.name.len();
        let Ok(len) = u8::try_from(entry.name.len()) else { continue };
        if end > BLOCK {
            break;
        }
        let head = EntryBytes { ino: entry.ino.0.into(), kind: kind_byte(entry.kind), len };
        put(&mut block, at, &head);
        block[at + ENTRY..end].copy_from_slice(&entry.name);
        (at, count) = (end, count + 1);
    }
    seal(&mut block, DIR, dir.0, count, lba);
    block
}

/// The names in a block of a directory.
pub(super) fn decode_dir_block(
    dir: Ino,
    lba: Lba,
    block: &Bytes,
    sums: Sums,
) -> Result<Vec<DirEntry>, Damage> {
    let count = unseal(block, DIR, dir.0, lba, sums)?;
    let mut rest = &block[HEADER..];
    let mut entries = Vec::with_capacity(count.min(rest.len() / (ENTRY + 1)));
    for _ in 0..count {
        let (head, names) = EntryBytes::read_from_prefix(rest).map_err(|_| Damage::Impossible)?;
        let (name, behind) =
            names.split_at_checked(usize::from(head.len)).ok_or(Damage::Impossible)?;
        let kind = kind_of(head.kind).ok_or(Damage::Impossible)?;
        let odd = name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/'));
        if odd || matches!(name, b"." | b"..") {
            return Err(Damage::Impossible);
        }
        entries.push(DirEntry { ino: Ino(head.ino.get()), kind, name: name.into() });
        rest = behind;
    }
    Ok(entries)
}

/// The block of a target that is longer than [`INLINE_TARGET`].
#[must_use]
pub fn encode_symlink_block(ino: Ino, lba: Lba, target: &[u8]) -> Bytes {
    let mut block = [0; BLOCK];
    let len = target.len().min(LONGEST_TARGET);
    block[HEADER..HEADER + len].copy_from_slice(&target[..len]);
    seal(&mut block, SYMLINK, ino.0, len, lba);
    block
}

/// The target in a block.
pub(super) fn decode_symlink_block(
    ino: Ino,
    lba: Lba,
    block: &Bytes,
    sums: Sums,
) -> Result<Box<[u8]>, Damage> {
    let len = unseal(block, SYMLINK, ino.0, lba, sums)?;
    block[HEADER..].get(..len).map(Box::from).ok_or(Damage::Impossible)
}

/// The n-th block of an inode's extents, at its place in [`Inode::overflow`].
#[must_use]
pub fn encode_extent_block(ino: Ino, inode: &Inode, nth: usize) -> Bytes {
    let mut block = [0; BLOCK];
    let from = (INLINE_EXTENTS + nth * EXTENTS_PER_BLOCK).min(inode.extents.len());
    let to = (from + EXTENTS_PER_BLOCK).min(inode.extents.len());
    put_extents(&mut block[FURTHER..], &inode.extents[from..to]);
    let next = inode.overflow.get(nth + 1).copied().unwrap_or_default();
    put(&mut block, HEADER, &U32::new(next.0));
    let lba = inode.overflow.get(nth).copied().unwrap_or_default();
    seal(&mut block, EXTENTS, ino.0, to - from, lba);
    block
}

/// Adds the extents in a block; answers the next block, 0 for none.
pub(super) fn decode_extent_block(
    ino: Ino,
    lba: Lba,
    block: &Bytes,
    extents: &mut Vec<Extent>,
    sums: Sums,
) -> Result<Lba, Damage> {
    let count = unseal(block, EXTENTS, ino.0, lba, sums)?;
    if count == 0 || count > EXTENTS_PER_BLOCK {
        return Err(Damage::Impossible);
    }
    get_extents(&block[FURTHER..], count, extents)?;
    Ok(Lba(get::<U32>(block, HEADER).get()))
}

// Inodes.

/// A block of the inode table, from its first inode on.
pub fn encode_inode_block<'a>(first: Ino, inode: impl Fn(Ino) -> Option<&'a Inode>) -> Bytes {
    let mut block = [0; BLOCK];
    for (slot, nth) in block.chunks_exact_mut(INODE).zip(0..) {
        let ino = Ino(first.0 + nth);
        if let Some(inode) = inode(ino) {
            slot.copy_from_slice(inode_bytes(ino, inode).as_bytes());
        }
    }
    block
}

fn inode_bytes(ino: Ino, inode: &Inode) -> InodeBytes {
    let mut bytes = InodeBytes {
        crc: U32::ZERO,
        kind: kind_byte(inode.kind),
        zero: 0,
        mode: inode.mode.into(),
        links: inode.links.into(),
        extents: narrow(inode.extents.len()).into(),
        size: inode.size.into(),
        mtime: inode.mtime.0.into(),
        next_orphan: inode.next_orphan.0.into(),
        overflow: inode.overflow.first().copied().unwrap_or_default().0.into(),
        zeros: [0; 8],
        body: [0; INLINE_TARGET],
    };
    match inode.kind {
        Kind::Symlink if inode.extents.is_empty() => {
            let len = inode.target.len().min(INLINE_TARGET);
            bytes.body[..len].copy_from_slice(&inode.target[..len]);
        }
        _ => {
            let here = inode.extents.len().min(INLINE_EXTENTS);
            put_extents(&mut bytes.body, &inode.extents[..here]);
        }
    }
    bytes.crc = crc::sum(crc::of(ino.0), &bytes.as_bytes()[4..]).into();
    bytes
}

/// An inode as its own bytes say; what stands elsewhere is still to be read.
pub(super) struct Begun {
    pub(super) inode: Inode,
    /// How many extents there are in all.
    pub(super) extents: usize,
    /// The first block of further extents; 0 for none.
    pub(super) overflow: Lba,
}

/// The inodes of a block of the inode table; `None` where there is none.
pub(super) fn inode_slots(block: &Bytes) -> impl Iterator<Item = Option<&[u8]>> {
    let free = |slot: &[u8]| slot.iter().all(|byte| *byte == 0);
    block.chunks_exact(INODE).map(move |slot| (!free(slot)).then_some(slot))
}

/// An inode from its bytes.
pub(super) fn decode_inode(ino: Ino, slot: &[u8], sums: Sums) -> Result<Begun, Damage> {
    let bytes: InodeBytes = get(slot, 0);
    sums.fit(bytes.crc.get(), || crc::sum(crc::of(ino.0), &slot[4..]))?;
    let kind = kind_of(bytes.kind).ok_or(Damage::Impossible)?;
    let size = bytes.size.get();
    let extents = bytes.extents.get() as usize;
    let overflow = Lba(bytes.overflow.get());
    let mut inode = Inode {
        kind,
        mode: bytes.mode.get(),
        links: bytes.links.get(),
        size,
        mtime: Ns(bytes.mtime.get()),
        next_orphan: Ino(bytes.next_orphan.get()),
        extents: Vec::new(),
        overflow: Vec::new(),
        target: Box::default(),
    };
    let fits = match kind {
        Kind::File => size <= LARGEST_FILE,
        Kind::Dir => size.is_multiple_of(super::BLOCK_LEN),
        Kind::Symlink => {
            let len = usize::try_from(size).unwrap_or(usize::MAX);
            len <= LONGEST_TARGET && extents == usize::from(len > INLINE_TARGET)
        }
    };
    if !fits || (extents > INLINE_EXTENTS) != (overflow.0 != 0) {
        return Err(Damage::Impossible);
    }
    match kind {
        Kind::Symlink if extents == 0 => {
            let len = usize::try_from(size).unwrap_or(usize::MAX);
            inode.target = bytes.body.get(..len).ok_or(Damage::Impossible)?.into();
        }
        _ => get_extents(&bytes.body, extents.min(INLINE_EXTENTS), &mut inode.extents)?,
    }
    Ok(Begun { inode, extents, overflow })
}

// Pieces.

fn put_extents(to: &mut [u8], extents: &[Extent]) {
    for (to, extent) in to.chunks_exact_mut(EXTENT).zip(extents) {
        let flag = if extent.unwritten { UNWRITTEN } else { 0 };
        let bytes = ExtentBytes {
            page: extent.page.into(),
            count: (extent.count | flag).into(),
            lba: extent.lba.0.into(),
        };
        to.copy_from_slice(bytes.as_bytes());
    }
}

fn get_extents(from: &[u8], count: usize, extents: &mut Vec<Extent>) -> Result<(), Damage> {
    for bytes in from.chunks_exact(EXTENT).take(count) {
        let bytes: ExtentBytes = get(bytes, 0);
        let extent = Extent {
            page: bytes.page.get(),
            count: bytes.count.get() & !UNWRITTEN,
            lba: Lba(bytes.lba.get()),
            unwritten: bytes.count.get() & UNWRITTEN != 0,
        };
        let after = extents.last().map_or(0, |last| last.page + last.count);
        let end = u64::from(extent.page) + u64::from(extent.count);
        if extent.count == 0 || extent.page < after || end > LARGEST_FILE / super::BLOCK_LEN {
            return Err(Damage::Impossible);
        }
        extents.push(extent);
    }
    Ok(())
}

/// Writes a value at a place inside the block.
fn put(block: &mut [u8], at: usize, value: &(impl IntoBytes + Immutable)) {
    let bytes = value.as_bytes();
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Reads a value at a place inside the block.
fn get<T: FromBytes + IntoBytes>(block: &[u8], at: usize) -> T {
    let mut value = T::new_zeroed();
    value.as_mut_bytes().copy_from_slice(&block[at..at + size_of::<T>()]);
    value
}

const _: () = assert!(LONGEST_NAME == u8::MAX as usize);
