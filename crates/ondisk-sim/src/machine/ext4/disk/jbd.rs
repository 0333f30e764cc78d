//! The blocks of the journal, in the form of JBD2 with checksums of version 3.
//!
//! Invariant: a block belongs to the transaction whose number it has, and to no other; its
//! checksum covers it whole. A copy that begins like a block of the journal is escaped, so that
//! none is taken for one. In the ring stand, oldest first, transactions of the form
//! `[revoke]* ([descriptor] [copy]+)* [commit]`.
//!
//! Integers are big-endian here, as JBD2 has them.

use std::mem::offset_of;

use ondisk_fs::BLOCK;
use zerocopy::big_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::codec::Sums;
use super::{Damage, Geometry, crc};
use crate::machine::arena::Bytes;
use crate::machine::ids::{Lba, Ns, Tid};

mod survey;

pub use survey::InJournal;

/// What a block of the journal begins with.
pub const MAGIC: u32 = 0xC03B_3998;
/// How many blocks one descriptor speaks for.
pub const TAGS: usize = 254;
/// How many blocks one revoke block speaks for.
pub const REVOKES: usize = 1019;
/// The first block of the ring; before it stands the journal's superblock.
pub const FIRST: u32 = 1;
/// The shortest journal, its superblock included.
pub const SHORTEST: u32 = 8;

const DESCRIPTOR: u32 = 1;
const COMMIT: u32 = 2;
const SUPER: u32 = 4;
const REVOKE: u32 = 5;

const ESCAPED: u32 = 1;
const SAME_UUID: u32 = 2;
const LAST: u32 = 8;

const CRC32C: u8 = 4;
const UUID: [u8; 16] = *b"ondisk-machine-1";
/// `JBD2_FEATURE_INCOMPAT_REVOKE | JBD2_FEATURE_INCOMPAT_CSUM_V3`.
const INCOMPAT: u32 = 0x11;

/// The journal's superblock, as far as it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Super {
    /// The blocks of the journal, this one included.
    pub len: u32,
    /// The block of the ring where the oldest transaction begins that must be replayed; 0: none,
    /// the ring is empty.
    pub start: u32,
    /// That transaction; the next one, of an empty ring.
    pub sequence: Tid,
}

impl Super {
    /// The block of the ring behind one.
    #[must_use]
    pub const fn after(&self, block: u32) -> u32 {
        self.nth(block, 1)
    }

    /// The n-th block of the ring behind one; `n` at most once around.
    #[must_use]
    pub const fn nth(&self, block: u32, n: u32) -> u32 {
        let at = block + n;
        if at >= self.len { at - (self.len - FIRST) } else { at }
    }

    /// How many blocks of the ring lie between one and another further on.
    #[must_use]
    pub const fn between(&self, from: u32, to: u32) -> u32 {
        if to >= from { to - from } else { to + self.ring() - from }
    }

    /// How many blocks the ring has.
    #[must_use]
    pub const fn ring(&self) -> u32 {
        self.len - FIRST
    }
}

/// Where a block of the ring stands on the device.
#[must_use]
pub const fn place(geometry: &Geometry, block: u32) -> Lba {
    Lba(geometry.journal.0 + block)
}

/// What a descriptor says of one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Where it belongs.
    pub home: Lba,
    /// Its copy lacks its first four bytes, which are [`MAGIC`].
    pub escaped: bool,
    /// Over the transaction and the copy as it stands in the journal.
    crc: u32,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Header {
    magic: U32,
    what: U32,
    sequence: U32,
}
const HEADER: usize = size_of::<Header>();

/// `struct journal_superblock_s`, as far as there is something in it.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct SuperBytes {
    header: Header,
    block: U32,
    len: U32,
    first: U32,
    sequence: U32,
    start: U32,
    errno: U32,
    compat: U32,
    incompat: U32,
    ro_compat: U32,
    uuid: [u8; 16],
    users: U32,
    dynsuper: U32,
    most: [U32; 2],
    checksum_type: u8,
    zeros: [u8; 171],
    crc: U32,
}
const _: () = assert!(offset_of!(SuperBytes, crc) == 0xFC && size_of::<SuperBytes>() == 0x100);
const _: () = assert!(offset_of!(SuperBytes, checksum_type) == 0x50);

/// `struct journal_block_tag3_s`. Behind the first of a block stands the journal's id.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct TagBytes {
    home: U32,
    flags: U32,
    high: U32,
    crc: U32,
}
const TAG: usize = size_of::<TagBytes>();
const TAIL: usize = BLOCK - 4;
const _: () = assert!(TAGS == (TAIL - HEADER - UUID.len()) / TAG);
const _: () = assert!(REVOKES == (TAIL - HEADER - 4) / 4);

/// `struct commit_header`.
#[derive(Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CommitBytes {
    header: Header,
    checksum_type: u8,
    checksum_len: u8,
    zeros: [u8; 2],
    crc: [U32; 8],
    seconds: U64,
    nanos: U32,
}
const _: () = assert!(offset_of!(CommitBytes, crc) == 16 && size_of::<CommitBytes>() == 60);

fn header(what: u32, tid: Tid) -> Header {
    Header { magic: MAGIC.into(), what: what.into(), sequence: tid.0.into() }
}

fn seed() -> u32 {
    crc::sum(crc::SEED, &UUID)
}

fn put(block: &mut [u8], at: usize, value: &(impl IntoBytes + Immutable)) {
    let bytes = value.as_bytes();
    block[at..at + bytes.len()].copy_from_slice(bytes);
}

fn get<T: FromBytes + IntoBytes>(block: &[u8], at: usize) -> T {
    let mut value = T::new_zeroed();
    value.as_mut_bytes().copy_from_slice(&block[at..at + size_of::<T>()]);
    value
}

/// The journal's superblock.
#[must_use]
pub fn encode_super(of: &Super) -> Bytes {
    let mut head = SuperBytes {
        header: header(SUPER, Tid(0)),
        block: narrow(BLOCK).into(),
        len: of.len.into(),
        first: FIRST.into(),
        sequence: of.sequence.0.into(),
        start: of.start.into(),
        errno: U32::ZERO,
        compat: U32::ZERO,
        incompat: INCOMPAT.into(),
        ro_compat: U32::ZERO,
        uuid: UUID,
        users: 1.into(),
        dynsuper: U32::ZERO,
        most: [U32::ZERO; 2],
        checksum_type: CRC32C,
        zeros: [0; 171],
        crc: U32::ZERO,
    };
    head.crc = crc::sum(crc::SEED, head.as_bytes()).into();
    let mut block = [0; BLOCK];
    put(&mut block, 0, &head);
    block
}

/// What the journal's superblock says; its length is known from elsewhere.
pub(super) fn decode_super(block: &Bytes, len: u32, sums: Sums) -> Result<Super, Damage> {
    let mut head: SuperBytes = get(block, 0);
    if head.header.magic.get() != MAGIC || head.header.what.get() != SUPER {
        return Err(Damage::Magic);
    }
    let stored = std::mem::take(&mut head.crc);
    sums.fit(stored.get(), || crc::sum(crc::SEED, head.as_bytes()))?;
    let of = Super { len, start: head.start.get(), sequence: Tid(head.sequence.get()) };
    let known = head.incompat.get() == INCOMPAT && head.checksum_type == CRC32C;
    if !known {
        return Err(Damage::Version(head.incompat.get()));
    }
    let fits = head.len.get() == len && head.first.get() == FIRST && of.start < len;
    match fits && head.block.get() as usize == BLOCK && of.sequence.0 < LAST_TID {
        true => Ok(of),
        false => Err(Damage::Impossible),
    }
}

/// Beyond this transaction a journal is not mounted: the numbers would come to their end.
const LAST_TID: u32 = 1 << 31;

/// The tag of a block in a transaction and, where its copy must differ from it, the copy.
#[must_use]
pub fn tag(tid: Tid, home: Lba, content: &Bytes) -> (Tag, Option<Bytes>) {
    let escaped = content[..4] == MAGIC.to_be_bytes();
    if !escaped {
        return (Tag { home, escaped, crc: copy_sum(tid, content) }, None);
    }
    let mut copy = *content;
    copy[..4].fill(0);
    (Tag { home, escaped, crc: copy_sum(tid, &copy) }, Some(copy))
}

fn copy_sum(tid: Tid, copy: &Bytes) -> u32 {
    crc::sum(crc::sum(seed(), &tid.0.to_be_bytes()), copy)
}

/// A descriptor: the copies that follow it, in order, 1 to [`TAGS`].
#[must_use]
pub fn encode_descriptor(tid: Tid, tags: &[Tag]) -> Bytes {
    let tags = &tags[..tags.len().min(TAGS)];
    let mut block = [0; BLOCK];
    put(&mut block, 0, &header(DESCRIPTOR, tid));
    let mut at = HEADER;
    for (nth, tag) in tags.iter().enumerate() {
        let mut flags = if tag.escaped { ESCAPED } else { 0 };
        flags |= if nth > 0 { SAME_UUID } else { 0 };
        flags |= if nth + 1 == tags.len() { LAST } else { 0 };
        let bytes = TagBytes {
            home: tag.home.0.into(),
            flags: flags.into(),
            high: U32::ZERO,
            crc: tag.crc.into(),
        };
        put(&mut block, at, &bytes);
        at += TAG;
        if nth == 0 {
            put(&mut block, at, &UUID);
            at += UUID.len();
        }
    }
    seal(&mut block);
    block
}

/// A revoke block: these are not replayed from this transaction or an older one; at most
/// [`REVOKES`].
#[must_use]
pub fn encode_revoke(tid: Tid, lbas: &[Lba]) -> Bytes {
    let lbas = &lbas[..lbas.len().min(REVOKES)];
    let mut block = [0; BLOCK];
    put(&mut block, 0, &header(REVOKE, tid));
    put(&mut block, HEADER, &U32::new(narrow(HEADER + 4 + 4 * lbas.len())));
    for (to, lba) in block[HEADER + 4..TAIL].chunks_exact_mut(4).zip(lbas) {
        to.copy_from_slice(&lba.0.to_be_bytes());
    }
    seal(&mut block);
    block
}

/// The block that ends a transaction.
#[must_use]
pub fn encode_commit(tid: Tid, at: Ns) -> Bytes {
    let nanos = u32::try_from(at.0 % Ns::S.0).unwrap_or(0);
    let mut head = CommitBytes {
        header: header(COMMIT, tid),
        checksum_type: 0,
        checksum_len: 0,
        zeros: [0; 2],
        crc: [U32::ZERO; 8],
        seconds: (at.0 / Ns::S.0).into(),
        nanos: nanos.into(),
    };
    let mut block = [0; BLOCK];
    put(&mut block, 0, &head);
    head.crc[0] = crc::sum(seed(), &block).into();
    put(&mut block, 0, &head);
    block
}

/// A block of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Descriptor(Vec<Tag>),
    Revoke(Vec<Lba>),
    Commit,
}

/// What a block of the ring is, when it is one of this transaction and whole.
pub(super) fn decode(block: &Bytes, tid: Tid, sums: Sums) -> Option<Found> {
    let head: Header = get(block, 0);
    if head.magic.get() != MAGIC || head.sequence.get() != tid.0 {
        return None;
    }
    // The checksum is over the block as it was before it had one.
    let whole = |at: usize| {
        let stored: U32 = get(block, at);
        let before = || crc::sum(crc::sum(seed(), &block[..at]), &[0; 4]);
        sums.fit(stored.get(), || crc::sum(before(), &block[at + 4..])).is_ok()
    };
    match head.what.get() {
        DESCRIPTOR if whole(TAIL) => decode_tags(block).map(Found::Descriptor),
        REVOKE if whole(TAIL) => decode_revoke(block).map(Found::Revoke),
        COMMIT if whole(offset_of!(CommitBytes, crc)) => Some(Found::Commit),
        _ => None,
    }
}

fn decode_tags(block: &Bytes) -> Option<Vec<Tag>> {
    let (mut tags, mut at) = (Vec::new(), HEADER);
    while at + TAG <= TAIL {
        let bytes: TagBytes = get(block, at);
        let flags = bytes.flags.get();
        if bytes.high.get() != 0 {
            return None;
        }
        let escaped = flags & ESCAPED != 0;
        tags.push(Tag { home: Lba(bytes.home.get()), escaped, crc: bytes.crc.get() });
        if flags & LAST != 0 {
            return Some(tags);
        }
        at += TAG + if flags & SAME_UUID == 0 { UUID.len() } else { 0 };
    }
    None // the last one is not marked as such
}

fn decode_revoke(block: &Bytes) -> Option<Vec<Lba>> {
    let end = get::<U32>(block, HEADER).get() as usize;
    let lbas = block[..TAIL].get(HEADER + 4..end)?;
    lbas.len()
        .is_multiple_of(4)
        .then(|| lbas.chunks_exact(4).map(|lba| Lba(get::<U32>(lba, 0).get())).collect())
}

/// Whether a copy is the one that its tag speaks of.
pub(super) fn fits(tag: &Tag, tid: Tid, copy: &Bytes, sums: Sums) -> bool {
    sums.fit(tag.crc, || copy_sum(tid, copy)).is_ok()
}

/// What belongs home, of an escaped copy.
pub(super) fn unescape(copy: &Bytes) -> Bytes {
    let mut content = *copy;
    content[..4].copy_from_slice(&MAGIC.to_be_bytes());
    content
}

fn seal(block: &mut Bytes) {
    let sum = crc::sum(seed(), block);
    put(block, TAIL, &U32::new(sum));
}

/// A length within a block.
fn narrow(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}
