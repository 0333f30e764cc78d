//! The fixed parts of a sorted table: header, block heads, footer; and the sum that binds each
//! block to its place.
//!
//! ```text
//! header │ data block … │ filter │ index │ footer
//! ```
//!
//! Invariant: what is decoded here fits its checksum, and says which table it belongs to. The
//! manifest names the footer's sum, the footer those of filter and index, the index those of the
//! data blocks: so a file from another time is found too.
//!
//! Knows nothing of entries. The bytes are specified in `docs/format/table.md`.

use std::path::Path;

use ondisk_log::{Lsn, StoreId};
use xxhash_rust::xxh3::xxh3_64;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::error::{Damage, Error};

pub(crate) const TABLE_MAGIC: [u8; 8] = *b"\xD1ondtabl";
const FOOTER_MAGIC: [u8; 8] = *b"\xD1ondtend";
pub(crate) const TABLE_VERSION: u32 = 1;
/// Where the sums of header and footer begin to cover.
const SUMMED_FROM: usize = 12;

/// What makes a table this one and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) store: StoreId,
    pub(crate) keyspace: u32,
    pub(crate) number: u64,
}

/// What a table begins with.
/// ```text
///  0       8     12        16      32         36     40       48     56     64
///  ├ magic ┼ crc ┼ version ┼ store ┼ keyspace ┼ zero ┼ number ┼ seed ┼ zero ┤ blocks …
///                └──────────────── crc covers from here to 64 ──────────────┘
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawHeader {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    zero: [u8; 4],
    number: U64,
    seed: U64,
    more_zero: [u8; 8],
}

/// What a table ends with.
/// ```text
///  0       8     12        16      32         36       40       48     56       64       72
///  ├ magic ┼ crc ┼ version ┼ store ┼ keyspace ┼ blocks ┼ number ┼ seed ┼ oldest ┼ newest ┤
///                └ crc covers from here to 120
/// 72        80           88          96         104          108         112   120
///  ├ entries ┼ tombstones ┼ filter_at ┼ index_at ┼ filter_crc ┼ index_crc ┼ raw ┤
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct RawFooter {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    keyspace: U32,
    blocks: U32,
    number: U64,
    seed: U64,
    oldest: U64,
    newest: U64,
    entries: U64,
    tombstones: U64,
    filter_at: U64,
    index_at: U64,
    filter_crc: U32,
    index_crc: U32,
    raw: U64,
}

/// What stands in front of each block's payload.
/// ```text
///  0     4     6      7         8        12    16
///  ├ crc ┼ tag ┼ kind ┼ packing ┼ stored ┼ raw ┤ payload: `stored` bytes …
///        └──────── crc covers from here to the payload's end, and the place
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RawBlockHead {
    crc: U32,
    tag: [u8; 2],
    kind: u8,
    packing: u8,
    stored: U32,
    raw: U32,
}

pub(super) const HEADER: usize = size_of::<RawHeader>();
pub(super) const FOOTER: usize = size_of::<RawFooter>();
pub(super) const BLOCK_HEAD: usize = size_of::<RawBlockHead>();
const _: () = assert!(HEADER == 64 && std::mem::offset_of!(RawHeader, number) == 40);
const _: () = assert!(FOOTER == 120 && std::mem::offset_of!(RawFooter, index_at) == 96);
const _: () = assert!(BLOCK_HEAD == 16 && std::mem::offset_of!(RawBlockHead, stored) == 8);
/// By this a block is looked for where its neighbour is damaged.
pub(super) const BLOCK_TAG: [u8; 2] = [0xD1, b'b'];
pub(super) const BLOCK_TAG_AT: usize = std::mem::offset_of!(RawBlockHead, tag);
const BLOCK_SUMMED_FROM: usize = 4;
/// LZ4 never makes less than one byte of so many.
const LZ4_MOST: u64 = 255;

/// What a block holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockKind {
    Data = 1,
    Filter = 2,
    Index = 3,
}

/// How a block's payload is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    None = 0,
    Lz4 = 1,
}

/// What a table's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) identity: Identity,
    pub(super) seed: Seed,
}

/// What a table's footer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Over the rest; the manifest names it. An encoding computes it.
    pub(super) crc: u32,
    pub(super) identity: Identity,
    pub(super) seed: Seed,
    /// Data blocks.
    pub(super) blocks: u32,
    /// Of the entries' LSNs.
    pub(super) oldest: Lsn,
    pub(super) newest: Lsn,
    /// Tombstones included.
    pub(super) entries: u64,
    pub(super) tombstones: u64,
    pub(super) filter_at: u64,
    pub(super) index_at: u64,
    pub(super) filter_crc: u32,
    pub(super) index_crc: u32,
    /// The bytes of all data blocks' payloads, unpacked.
    pub(super) raw: u64,
}

/// What the sums of a table's blocks are mixed with, so that a block of another table never fits.
/// It is made when the table is written, and stays when the table gets another store's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u64);

/// Whether checksums are compared. They always are, but for a suite that shows that it would
/// notice otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Sums {
    #[default]
    Checked,
    Ignored,
}

/// What a block's head says, once its sum was found to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockHead {
    pub(super) crc: u32,
    pub(super) kind: BlockKind,
    pub(super) packing: Packing,
    /// Bytes of the payload in the file.
    pub(super) stored: usize,
    /// Bytes of it unpacked.
    pub(super) raw: usize,
}

impl Sums {
    fn fit(self, stated: u32, computed: impl FnOnce() -> u32) -> bool {
        self == Self::Ignored || stated == computed()
    }
}

impl Seed {
    pub(super) fn new(identity: Identity) -> Self {
        let Identity { store, keyspace, number } = identity;
        let mut bytes = [0; 28];
        bytes[..16].copy_from_slice(&store.0);
        bytes[16..20].copy_from_slice(&keyspace.to_le_bytes());
        bytes[20..].copy_from_slice(&number.to_le_bytes());
        Self(xxh3_64(&bytes))
    }

    /// What a place in the table adds to the sum of the block there.
    fn place(self, offset: u64) -> u32 {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        bytes[8..].copy_from_slice(&offset.to_le_bytes());
        crc32c(&bytes)
    }
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER] {
        let mut raw = RawHeader {
            magic: TABLE_MAGIC,
            crc: U32::ZERO,
            version: U32::new(TABLE_VERSION),
            store: self.identity.store.0,
            keyspace: U32::new(self.identity.keyspace),
            zero: [0; 4],
            number: U64::new(self.identity.number),
            seed: U64::new(self.seed.0),
            more_zero: [0; 8],
        };
        raw.crc = U32::new(crc32c(&raw.as_bytes()[SUMMED_FROM..]));
        zerocopy::transmute!(raw)
    }

    /// Reads bytes that nobody vouches for.
    pub(super) fn decode(path: &Path, bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |offset, damage| Error::damaged(path, offset, damage);
        let Ok((raw, _)) = RawHeader::read_from_prefix(bytes) else {
            let (found, expected) = (bytes.len() as u64, HEADER as u64);
            return Err(damaged(0, Damage::Length { found, expected }));
        };
        if raw.magic != TABLE_MAGIC {
            return Err(damaged(0, Damage::Magic));
        }
        if raw.crc.get() != crc32c(&raw.as_bytes()[SUMMED_FROM..]) {
            return Err(damaged(8, Damage::HeaderSum));
        }
        check_version(path, 0, raw.version.get())?;
        if raw.zero != [0; 4] || raw.more_zero != [0; 8] {
            return Err(damaged(36, Damage::Field("zero")));
        }
        let (store, keyspace) = (StoreId(raw.store), raw.keyspace.get());
        let identity = Identity { store, keyspace, number: raw.number.get() };
        Ok(Self { identity, seed: Seed(raw.seed.get()) })
    }
}

impl Footer {
    pub(super) fn encode(&mut self) -> [u8; FOOTER] {
        let mut raw = RawFooter {
            magic: FOOTER_MAGIC,
            crc: U32::ZERO,
            version: U32::new(TABLE_VERSION),
            store: self.identity.store.0,
            keyspace: U32::new(self.identity.keyspace),
            blocks: U32::new(self.blocks),
            number: U64::new(self.identity.number),
            seed: U64::new(self.seed.0),
            oldest: U64::new(self.oldest.0),
            newest: U64::new(self.newest.0),
            entries: U64::new(self.entries),
            tombstones: U64::new(self.tombstones),
            filter_at: U64::new(self.filter_at),
            index_at: U64::new(self.index_at),
            filter_crc: U32::new(self.filter_crc),
            index_crc: U32::new(self.index_crc),
            raw: U64::new(self.raw),
        };
        self.crc = crc32c(&raw.as_bytes()[SUMMED_FROM..]);
        raw.crc = U32::new(self.crc);
        zerocopy::transmute!(raw)
    }

    /// Reads bytes that nobody vouches for, found at an offset.
    pub(super) fn decode(path: &Path, offset: u64, bytes: &[u8; FOOTER]) -> Result<Self, Error> {
        let damaged = |at: u64, damage| Error::damaged(path, offset + at, damage);
        let raw: RawFooter = zerocopy::transmute!(*bytes);
        if raw.magic != FOOTER_MAGIC {
            return Err(damaged(0, Damage::Magic));
        }
        if raw.crc.get() != crc32c(&bytes[SUMMED_FROM..]) {
            return Err(damaged(8, Damage::HeaderSum));
        }
        check_version(path, offset, raw.version.get())?;
        let footer = Self {
            crc: raw.crc.get(),
            identity: Identity {
                store: StoreId(raw.store),
                keyspace: raw.keyspace.get(),
                number: raw.number.get(),
            },
            seed: Seed(raw.seed.get()),
            blocks: raw.blocks.get(),
            oldest: Lsn(raw.oldest.get()),
            newest: Lsn(raw.newest.get()),
            entries: raw.entries.get(),
            tombstones: raw.tombstones.get(),
            filter_at: raw.filter_at.get(),
            index_at: raw.index_at.get(),
            filter_crc: raw.filter_crc.get(),
            index_crc: raw.index_crc.get(),
            raw: raw.raw.get(),
        };
        footer.check(offset).map_err(|field| damaged(12, Damage::Field(field)))?;
        Ok(footer)
    }

    /// The first field that holds what is never written, if one does.
    fn check(&self, offset: u64) -> Result<(), &'static str> {
        let head = BLOCK_HEAD as u64;
        if self.filter_at < HEADER as u64 {
            return Err("filter_at");
        }
        if self.index_at < self.filter_at.saturating_add(head)
            || offset < self.index_at.saturating_add(head)
        {
            return Err("index_at");
        }
        if self.tombstones > self.entries || u64::from(self.blocks) > self.entries {
            return Err("entries");
        }
        if self.oldest > self.newest {
            return Err("oldest");
        }
        Ok(())
    }
}

fn check_version(path: &Path, offset: u64, found: u32) -> Result<(), Error> {
    let known = TABLE_VERSION;
    match found {
        TABLE_VERSION => Ok(()),
        _ if found > known => Err(Error::NewerFormat { path: path.to_owned(), found, known }),
        _ => Err(Error::damaged(path, offset + 12, Damage::Field("version"))),
    }
}

/// Appends a block that is to stand at an offset. Answers its sum.
pub(super) fn put_block(
    out: &mut Vec<u8>,
    (seed, offset): (Seed, u64),
    kind: BlockKind,
    (packing, raw): (Packing, u32),
    payload: &[u8],
) -> u32 {
    let start = out.len();
    let mut head = RawBlockHead {
        crc: U32::ZERO,
        tag: BLOCK_TAG,
        kind: kind as u8,
        packing: packing as u8,
        // The writer refuses entries that would make a block longer.
        stored: U32::new(u32::try_from(payload.len()).unwrap_or(u32::MAX)),
        raw: U32::new(raw),
    };
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(payload);
    let crc = crc32c(&out[start + BLOCK_SUMMED_FROM..]) ^ seed.place(offset);
    head.crc = U32::new(crc);
    out[start..start + BLOCK_HEAD].copy_from_slice(head.as_bytes());
    crc
}

/// How long the block is whose first bytes these are, with its head, if they look like a block's.
pub(super) fn block_len(bytes: &[u8]) -> Option<u64> {
    let (head, _) = RawBlockHead::ref_from_prefix(bytes).ok()?;
    (head.tag == BLOCK_TAG).then_some(BLOCK_HEAD as u64 + u64::from(head.stored.get()))
}

/// Reads the head of a block that takes all of `bytes` and stands at an offset, and verifies the
/// block's sum. The payload stands behind the head.
pub(super) fn check_block(
    bytes: &[u8],
    (seed, offset): (Seed, u64),
    sums: Sums,
) -> Result<BlockHead, Damage> {
    let Ok((head, payload)) = RawBlockHead::ref_from_prefix(bytes) else {
        return Err(Damage::BlockSum);
    };
    let sum = || crc32c(&bytes[BLOCK_SUMMED_FROM..]) ^ seed.place(offset);
    if !sums.fit(head.crc.get(), sum) || head.stored.get() as usize != payload.len() {
        return Err(Damage::BlockSum);
    }
    let kind = match head.kind {
        1 => BlockKind::Data,
        2 => BlockKind::Filter,
        3 => BlockKind::Index,
        _ => return Err(Damage::Field("kind")),
    };
    let (stored, raw) = (head.stored.get(), head.raw.get());
    let packing = match head.packing {
        0 if stored == raw => Packing::None,
        1 if u64::from(raw) <= u64::from(stored) * LZ4_MOST => Packing::Lz4,
        _ => return Err(Damage::Field("packing")),
    };
    if head.tag != BLOCK_TAG {
        return Err(Damage::Field("tag"));
    }
    let (stored, raw) = (stored as usize, raw as usize);
    Ok(BlockHead { crc: head.crc.get(), kind, packing, stored, raw })
}
