//! The anchor: the small file that says where the log begins and, when it was closed, where it
//! ends.
//!
//! Invariant: it is only ever replaced as a whole and durably, never on the commit path. A log
//! exists once its anchor says so. Segments outside `first..=newest` are free, whatever they hold;
//! one missing inside is damage.
//!
//! The bytes are specified in `docs/format/anchor.md`.

use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::mem::size_of;
use std::path::{Path, PathBuf};

use ondisk_fs::{Access, FileSystem, replace_atomic};
use zerocopy::byteorder::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::record::crc32c;
use crate::{Damage, LogError, Lsn};

/// What a store is told apart by: every group and file of it carries this, so that a copy of
/// another store's blocks is never taken for its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// An id that no other store has: 128 bits from the hash seeds that the operating system gave
    /// this process. A simulation passes one of its own instead, to be repeatable.
    #[must_use]
    pub fn random() -> Self {
        let mut id = [0; 16];
        for half in id.chunks_exact_mut(8) {
            // Each state has keys of its own.
            let random = RandomState::new().build_hasher().finish();
            half.copy_from_slice(&random.to_le_bytes());
        }
        Self(id)
    }
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A place in the chain of groups: behind the group that ends at `offset` of `segment`, whose last
/// LSN is `lsn` and whose header's sum is `crc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    pub(crate) lsn: Lsn,
    pub(crate) crc: u32,
}

/// Whether somebody has the log open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It is being made: there is nothing yet.
    Creating,
    /// A writer has committed, or was about to: where the log ends is found by reading it.
    Open,
    /// The log ends here, and all of it is durable.
    Closed {
        end: Place,
        /// The next group goes to a fresh segment: behind `end` may stand what a cut left.
        fresh: bool,
    },
}

/// The anchor's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Anchor {
    pub(crate) store: StoreId,
    /// One higher at each open of a log that was not closed.
    pub(crate) epoch: u32,
    /// The first segment, and what its first group continues from (`offset` is 0).
    pub(crate) first: Place,
    /// The newest segment that may hold a group.
    pub(crate) newest: u64,
    /// Replay may start above this: all up to it is held elsewhere.
    pub(crate) checkpoint: Lsn,
    /// All through this was durable when the anchor was written.
    pub(crate) durable: Lsn,
    /// No LSN up to this is given out again.
    pub(crate) highest: Lsn,
    pub(crate) state: State,
}

/// The name of the anchor in the log's directory.
pub(crate) const ANCHOR: &str = "anchor";
pub(crate) const ANCHOR_MAGIC: [u8; 8] = *b"\xD1ondanch";
pub(crate) const ANCHOR_VERSION: u32 = 1;
const SUMMED_FROM: usize = 12;
/// No counter comes this far; so counting on from a forged one does not overflow.
const COUNTED_TO: u64 = 1 << 62;

/// ```text
///  0       8     12        16       32      36      40              48          56          64
///  ├ magic ┼ crc ┼ version ┼ store ─┼ epoch ┼ state ┼ first_segment ┼ first_lsn ┼ first_crc ┼ fresh ┐
///  ┌───────┴─────┴─────────┴────────┴───────┴───────┴───────────────┴───────────┴── (60) ───┴───────┘
///  64       72           80           88        96             104
///  ├ newest ┼ checkpoint ┼ durable ───┼ highest ┼ end_segment ─┼ end_offset ┐
///  ┌────────┴────────────┴────────────┴─────────┴──────────────┴────────────┘
///  112       120        124    128
///  ├ end_lsn ┼ end_crc ─┼ zero ┤                        crc covers from 12 to 128
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Raw {
    magic: [u8; 8],
    crc: U32,
    version: U32,
    store: [u8; 16],
    epoch: U32,
    state: U32,
    first_segment: U64,
    first_lsn: U64,
    first_crc: U32,
    fresh: U32,
    newest: U64,
    checkpoint: U64,
    durable: U64,
    highest: U64,
    end_segment: U64,
    end_offset: U64,
    end_lsn: U64,
    end_crc: U32,
    zero: U32,
}
const _: () = assert!(size_of::<Raw>() == 128);

impl Anchor {
    /// The anchor of a new log with nothing in it.
    pub(crate) fn new(store: StoreId, state: State) -> Self {
        Self {
            store,
            epoch: 1,
            first: Place { segment: 1, offset: 0, lsn: Lsn(0), crc: 0 },
            newest: 1,
            checkpoint: Lsn(0),
            durable: Lsn(0),
            highest: Lsn(0),
            state,
        }
    }

    pub(crate) fn encode(&self) -> [u8; size_of::<Raw>()] {
        let (state, end, fresh) = match self.state {
            State::Creating => (0, Place::default(), false),
            State::Open => (1, Place::default(), false),
            State::Closed { end, fresh } => (2, end, fresh),
        };
        let mut raw = Raw {
            magic: ANCHOR_MAGIC,
            crc: U32::ZERO,
            version: U32::new(ANCHOR_VERSION),
            store: self.store.0,
            epoch: U32::new(self.epoch),
            state: U32::new(state),
            first_segment: U64::new(self.first.segment),
            first_lsn: U64::new(self.first.lsn.0),
            first_crc: U32::new(self.first.crc),
            fresh: U32::new(u32::from(fresh)),
            newest: U64::new(self.newest),
            checkpoint: U64::new(self.checkpoint.0),
            durable: U64::new(self.durable.0),
            highest: U64::new(self.highest.0),
            end_segment: U64::new(end.segment),
            end_offset: U64::new(end.offset),
            end_lsn: U64::new(end.lsn.0),
            end_crc: U32::new(end.crc),
            zero: U32::ZERO,
        };
        raw.crc = U32::new(crc32c(&raw.as_bytes()[SUMMED_FROM..]));
        zerocopy::transmute!(raw)
    }

    /// Reads an anchor's bytes. `path` is for the errors.
    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, LogError> {
        let damaged = |what| LogError::Damaged {
            path: path.to_owned(),
            offset: 0,
            end: Lsn(0),
            durable: Lsn(0),
            damage: Damage::Anchor(what),
        };
        let (raw, rest) = Raw::read_from_prefix(bytes).map_err(|_| damaged("is too short"))?;
        if raw.magic != ANCHOR_MAGIC {
            return Err(damaged("has another file's magic"));
        }
        let version = raw.version.get();
        if version > ANCHOR_VERSION && raw.crc.get() == crc32c(&bytes[SUMMED_FROM..]) {
            // A newer format: the sum stands where it stood, over all that follows it.
            let path = path.to_owned();
            return Err(LogError::NewerFormat { path, found: version, known: ANCHOR_VERSION });
        }
        if raw.crc.get() != crc32c(&raw.as_bytes()[SUMMED_FROM..]) {
            return Err(damaged("has a checksum that does not fit"));
        }
        if !rest.is_empty() || version != ANCHOR_VERSION || raw.zero.get() != 0 {
            return Err(damaged("has more in it than its format says"));
        }
        let end = Place {
            segment: raw.end_segment.get(),
            offset: raw.end_offset.get(),
            lsn: Lsn(raw.end_lsn.get()),
            crc: raw.end_crc.get(),
        };
        let state = match (raw.state.get(), raw.fresh.get()) {
            (0, 0) => State::Creating,
            (1, 0) => State::Open,
            (2, fresh @ 0..=1) => State::Closed { end, fresh: fresh == 1 },
            _ => return Err(damaged("has a state that its format does not know")),
        };
        let first = Place {
            segment: raw.first_segment.get(),
            offset: 0,
            lsn: Lsn(raw.first_lsn.get()),
            crc: raw.first_crc.get(),
        };
        let newest = raw.newest.get();
        let counters = [newest, raw.highest.get(), raw.end_lsn.get(), raw.checkpoint.get()];
        let counted = counters.iter().all(|counter| *counter < COUNTED_TO);
        if first.segment == 0 || first.segment > newest || !counted {
            return Err(damaged("has numbers that cannot be"));
        }
        Ok(Self {
            store: StoreId(raw.store),
            epoch: raw.epoch.get(),
            first,
            newest,
            checkpoint: Lsn(raw.checkpoint.get()),
            durable: Lsn(raw.durable.get()),
            highest: Lsn(raw.highest.get()),
            state,
        })
    }

    /// Reads the anchor of the log in `dir`; `None` when there is none.
    pub(crate) fn read(fs: &dyn FileSystem, dir: &Path) -> Result<Option<Self>, LogError> {
        let path = anchor_path(dir);
        let file = match fs.open(&path, Access::Read) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(LogError::io(&path, "open the anchor"))?,
        };
        // One byte more than an anchor has: a longer file is told from a right one.
        let mut bytes = [0; size_of::<Raw>() + 1];
        let mut len = 0;
        while len < bytes.len() {
            match file.read_at(&mut bytes[len..], len as u64) {
                Ok(0) => break,
                Ok(n) => len += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(LogError::io(&path, "read the anchor")(error)),
            }
        }
        Self::decode(&bytes[..len], &path).map(Some)
    }

    /// Replaces the anchor of the log in `dir`. Durable on return.
    pub(crate) fn write(&self, fs: &dyn FileSystem, dir: &Path) -> Result<(), LogError> {
        let path = anchor_path(dir);
        replace_atomic(fs, &path, &self.encode())
            .map(drop)
            .map_err(LogError::io(&path, "replace the anchor"))
    }
}

pub(crate) fn anchor_path(dir: &Path) -> PathBuf {
    dir.join(ANCHOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors() -> [Anchor; 3] {
        let new = |state| Anchor::new(StoreId(*b"0123456789abcdef"), state);
        let end = Place { segment: 3, offset: 8192, lsn: Lsn(9), crc: 77 };
        [new(State::Creating), new(State::Open), new(State::Closed { end, fresh: true })]
    }

    #[test]
    fn an_anchor_is_read_as_it_was_written() {
        for anchor in anchors() {
            assert_eq!(Anchor::decode(&anchor.encode(), Path::new("a")).unwrap(), anchor);
        }
    }

    #[test]
    fn every_flipped_bit_and_every_length_is_noticed() {
        for anchor in anchors() {
            let bytes = anchor.encode();
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Anchor::decode(&bytes, Path::new("a")).is_err(), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert!(Anchor::decode(&bytes[..len], Path::new("a")).is_err(), "{len} bytes");
            }
            let mut longer = bytes.to_vec();
            longer.push(0);
            assert!(Anchor::decode(&longer, Path::new("a")).is_err());
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = anchors()[1].encode();
        bytes[12] = 9;
        let crc = crc32c(&bytes[SUMMED_FROM..]);
        bytes[8..12].copy_from_slice(&crc.to_le_bytes());
        let error = Anchor::decode(&bytes, Path::new("a")).unwrap_err();
        assert!(matches!(error, LogError::NewerFormat { found: 9, known: 1, .. }), "{error}");
    }
}
