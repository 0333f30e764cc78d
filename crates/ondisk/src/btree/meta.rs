//! The meta pages: where the tree stands, and up to which LSN it holds its keyspace.
//!
//! Invariant: a file of pages holds two meta pages that verify, always: it is made with them, and a
//! new one is written over the older of the two, after all that it reaches is durable. It takes
//! one sector, so that a power cut leaves the old one or the new.
//!
//! Knows nothing of what the pages hold. The bytes are specified in `docs/format/page.md`.

use std::path::Path;

use ondisk_fs::BLOCK;
use ondisk_log::{Lsn, StoreId};
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::btree::page::{BlobRef, HIGHEST, PageRef, SIZES};
use crate::checksum::crc32c;
use crate::engine::CommitPoint;
use crate::error::{Damage, Error};

pub(crate) const META_MAGIC: [u8; 8] = *b"\xD1ondpage";
pub(crate) const META_VERSION: u32 = 1;
const SUMMED_FROM: usize = 12;

/// A meta page.
/// ```text
///  0       8     12        16      32         36          40     48        56     64       68           72
///  ├ magic ┼ crc ┼ version ┼ store ┼ keyspace ┼ page_size ┼ edit ┼ through ┼ root ┼ height ┼ page_count ┤ …
///  72          84           88     96      104
///  ├ free_list ┼ free_pages ┼ zero ┼ entries ┤ zeros up to 128         crc covers from 12 to 128
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct MetaBytes {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    page_size: U32,
    edit: U64,
    through: U64,
    root: PageRef,
    height: U32,
    page_count: U32,
    free_list: BlobRef,
    free_pages: U32,
    zero: [u8; 8],
    entries: U64,
    more_zero: [u8; 24],
}

pub(crate) const META: usize = size_of::<MetaBytes>();
const _: () = assert!(META == 128 && std::mem::offset_of!(MetaBytes, free_list) == 72);

/// What a meta page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    pub(crate) page_size: u32,
    /// How many were installed before, at least.
    pub(crate) edit: u64,
    /// The tree holds all commits of its keyspace through this one, and none above.
    pub(crate) through: Lsn,
    /// The page of the root; number 0 for an empty tree.
    pub(crate) root: PageRef,
    /// How many levels the tree has; 0 for an empty tree.
    pub(crate) height: u8,
    /// No page has this number or a higher one.
    pub(crate) page_count: u32,
    /// Number 0 where no page is free.
    pub(crate) free_list: BlobRef,
    /// How many pages the free list names.
    pub(crate) free_pages: u32,
    /// How many keys the tree has.
    pub(crate) entries: u64,
}

impl Meta {
    /// That of a tree without keys, in a file without other pages.
    pub(crate) fn empty(store: StoreId, keyspace: u32, page_size: u32) -> Self {
        Self {
            store,
            keyspace,
            page_size,
            edit: 0,
            through: Lsn(0),
            root: PageRef::default(),
            height: 0,
            page_count: first_page(page_size),
            free_list: BlobRef::default(),
            free_pages: 0,
            entries: 0,
        }
    }

    pub(crate) fn commit_point(&self) -> CommitPoint {
        CommitPoint { through: self.through, edit: self.edit }
    }

    pub(crate) fn encode(&self) -> [u8; META] {
        let mut bytes = MetaBytes {
            magic: META_MAGIC,
            crc: U32::ZERO,
            version: U32::new(META_VERSION),
            store: self.store.0,
            keyspace: U32::new(self.keyspace),
            page_size: U32::new(self.page_size),
            edit: U64::new(self.edit),
            through: U64::new(self.through.0),
            root: self.root,
            height: U32::new(u32::from(self.height)),
            page_count: U32::new(self.page_count),
            free_list: self.free_list,
            free_pages: U32::new(self.free_pages),
            zero: [0; 8],
            entries: U64::new(self.entries),
            more_zero: [0; 24],
        };
        bytes.crc = U32::new(crc32c(&bytes.as_bytes()[SUMMED_FROM..]));
        zerocopy::transmute!(bytes)
    }

    /// Reads bytes that nobody vouches for, which stand at an offset of a file.
    pub(crate) fn decode(path: &Path, offset: u64, bytes: &[u8; META]) -> Result<Self, Error> {
        let damaged = |at: u64, damage| Error::damaged(path, offset + at, damage);
        let sum_fits = |meta: &MetaBytes| meta.crc.get() == crc32c(&bytes[SUMMED_FROM..]);
        let meta: MetaBytes = zerocopy::transmute!(*bytes);
        if meta.magic != META_MAGIC {
            return Err(damaged(0, Damage::Magic));
        }
        if !sum_fits(&meta) {
            return Err(damaged(8, Damage::HeaderSum));
        }
        match meta.version.get() {
            META_VERSION => {}
            // A newer format keeps magic, sum and version where they are: so this is no damage.
            found if found > META_VERSION => {
                let (path, known) = (path.to_owned(), META_VERSION);
                return Err(Error::NewerFormat { path, found, known });
            }
            _ => return Err(damaged(12, Damage::Field("version"))),
        }
        let page_size = meta.page_size.get();
        let sized = SIZES.contains(&(page_size as usize)) && page_size.is_power_of_two();
        let height = u8::try_from(meta.height.get()).ok().filter(|it| *it <= HIGHEST);
        let (root, free) = (meta.root.number.get(), meta.free_list.page.number.get());
        let count = meta.page_count.get();
        let inside = |number| sized && number >= first_page(page_size) && number < count;
        let Some(height) = height.filter(|height| {
            let rooted = if *height == 0 { root == 0 } else { inside(root) };
            let listed = free == 0 || inside(free);
            sized && rooted && listed && count >= first_page(page_size)
        }) else {
            return Err(damaged(36, Damage::Field("page_size, root, height or free_list")));
        };
        Ok(Self {
            store: StoreId(meta.store),
            keyspace: meta.keyspace.get(),
            page_size,
            edit: meta.edit.get(),
            through: Lsn(meta.through.get()),
            root: meta.root,
            height,
            page_count: count,
            free_list: meta.free_list,
            free_pages: meta.free_pages.get(),
            entries: meta.entries.get(),
        })
    }
}

/// One of the two places of meta pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Second,
}

impl Place {
    pub(crate) const BOTH: [Self; 2] = [Self::First, Self::Second];

    pub(crate) fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    /// Where it is in the file: each in a block of its own.
    pub(crate) fn offset(self, page_size: u32) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => meta_bytes(page_size),
        }
    }
}

/// The bytes that are kept for one meta page.
pub(crate) fn meta_bytes(page_size: u32) -> u64 {
    u64::from(page_size).max(BLOCK as u64)
}

/// The number of the first page behind the meta pages.
pub(crate) fn first_page(page_size: u32) -> u32 {
    u32::try_from(2 * meta_bytes(page_size) / u64::from(page_size.max(1))).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
