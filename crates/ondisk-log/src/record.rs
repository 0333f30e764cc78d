//! The bytes of a group: its header and the prefix of each record in it.
//!
//! Invariant: a group is whole or not there. Its header's sum covers all of the header, and
//! through [`GroupHeader::records_crc`] the length and the payload sum of every record; so one
//! wrong bit anywhere makes the whole group invalid. All zeros is no header.
//!
//! Knows nothing of files. The bytes are specified in `docs/format/log.md`.

use std::mem::{offset_of, size_of};

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::{Lsn, StoreId};

/// The header in front of every group.
/// ```text
///  0        4            8         10     12        16                32           40
///  ├ magic ─┼ header_crc ┼ version ┼ zero ┼ commits ┼ store_id ───────┼ generation ┼ prev_lsn ──┐
///  ┌────────┴────────────┴─────────┴──────┴─────────┴─────────────────┴────────────┴────────────┘
///  48          56          64      68         72         76            80
///  ├ first_lsn ┼ watermark ┼ epoch ┼ prev_crc ┼ body_len ┼ records_crc ┤ records …
///  └── header_crc covers from 8 to 80
/// ```
/// A recycled segment still holds the groups of its former life, whole and with good sums:
/// `generation` tells them apart; `prev_crc` chains each group to the one before it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub(crate) struct GroupHeader {
    pub(crate) magic: [u8; 4],
    pub(crate) header_crc: U32,
    pub(crate) version: U16,
    pub(crate) zero: U16,
    pub(crate) commits: U32,
    pub(crate) store_id: [u8; 16],
    pub(crate) generation: U64,
    pub(crate) prev_lsn: U64,
    pub(crate) first_lsn: U64,
    pub(crate) watermark: U64,
    pub(crate) epoch: U32,
    pub(crate) prev_crc: U32,
    pub(crate) body_len: U32,
    pub(crate) records_crc: U32,
}

/// Bytes of a group header.
pub(crate) const HEADER_LEN: usize = 80;
const _: () = assert!(size_of::<GroupHeader>() == HEADER_LEN);
const _: () = assert!(offset_of!(GroupHeader, store_id) == 16);
const _: () = assert!(offset_of!(GroupHeader, generation) == 32);
const _: () = assert!(offset_of!(GroupHeader, watermark) == 56);
const _: () = assert!(offset_of!(GroupHeader, records_crc) == 76);

/// What a group begins with; no text, no zeros.
pub(crate) const GROUP_MAGIC: [u8; 4] = [0xD1, b'g', b'r', b'p'];
/// The version of the group format that is written.
pub(crate) const GROUP_VERSION: u16 = 1;
/// Where the header's sum begins to count: behind the magic and the sum itself.
const SUMMED_FROM: usize = 8;

/// What stands in front of each record's payload.
/// ```text
///  0     4     8
///  ├ len ┼ crc ┤ payload …      crc is of the payload alone: its committer computed it
/// ```
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned,
)]
#[repr(C)]
pub(crate) struct Prefix {
    pub(crate) len: U32,
    pub(crate) crc: U32,
}

/// Bytes of a record's prefix.
pub(crate) const PREFIX_LEN: usize = 8;
const _: () = assert!(size_of::<Prefix>() == PREFIX_LEN);

/// Groups of one block begin at multiples of this.
pub(crate) const GROUP_ALIGN: u64 = 8;

/// CRC-32C (Castagnoli), the sum of every structure of the log: processors compute it.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

impl GroupHeader {
    /// The sum that stands in a right header; it is also the value by which the next group names
    /// this one.
    pub(crate) fn sum(&self) -> u32 {
        crc32c(&self.as_bytes()[SUMMED_FROM..])
    }

    /// The header at the start of `bytes`, if its magic, its version and its sum are right.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (header, _) = Self::read_from_prefix(bytes).ok()?;
        (header.magic == GROUP_MAGIC
            && header.version.get() == GROUP_VERSION
            && header.zero.get() == 0
            && header.header_crc.get() == header.sum())
        .then_some(header)
    }

    pub(crate) fn store(&self) -> StoreId {
        StoreId(self.store_id)
    }

    pub(crate) fn prev_lsn(&self) -> Lsn {
        Lsn(self.prev_lsn.get())
    }

    pub(crate) fn watermark(&self) -> Lsn {
        Lsn(self.watermark.get())
    }

    /// The last LSN of the group; that of its predecessor when it holds no commit.
    pub(crate) fn last_lsn(&self) -> Lsn {
        match self.commits.get() {
            0 => self.prev_lsn(),
            commits => Lsn(self.first_lsn.get().saturating_add(u64::from(commits) - 1)),
        }
    }

    /// Bytes of header and records, without padding.
    pub(crate) fn group_len(&self) -> u64 {
        HEADER_LEN as u64 + u64::from(self.body_len.get())
    }
}

impl Prefix {
    /// The prefix of a payload whose sum its committer has computed.
    ///
    /// # Panics
    /// Never: a payload's length was checked against the commit limit, which is below 2^32.
    pub(crate) fn of(payload: &[u8], crc: u32) -> Self {
        let len = u32::try_from(payload.len()).expect("the commit limit is below 4 GiB");
        Self { len: U32::new(len), crc: U32::new(crc) }
    }
}

/// The next multiple of [`GROUP_ALIGN`].
pub(crate) const fn align_group(offset: u64) -> u64 {
    offset.next_multiple_of(GROUP_ALIGN)
}

/// The next block boundary.
pub(crate) const fn align_block(offset: u64) -> u64 {
    offset.next_multiple_of(ondisk_fs::BLOCK as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sum_is_crc_32c() {
        // The check value of CRC-32C (RFC 3720, B.4, gives more).
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        for len in [0, 1, 7, 8, 80, 1000, 4096, 70_000] {
            let bytes: Vec<u8> = (0..len).map(|i: u32| i.to_le_bytes()[0] ^ 0x5A).collect();
            assert_eq!(crc32c(&bytes), ::crc32c::crc32c(&bytes), "{len} bytes");
        }
    }

    #[test]
    fn zeros_are_no_header() {
        assert_eq!(GroupHeader::parse(&[0; 4096]), None);
        assert_eq!(GroupHeader::parse(&[]), None);
    }
}
