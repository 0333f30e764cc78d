//! Whether a file is in a state what an acknowledgement said of it, and if not, how it differs.
//!
//! Invariant: a look reads a sector at a time and stops at the first that differs, so that a search
//! over states never multiplies what no longer matters.

use ondisk_fs::BLOCK;

use super::{Held, Spoken, shown};
use crate::ops::history::Ino;
use crate::ops::live::Live;
use crate::ops::media::Is;
use crate::ops::store::BlockId;

/// The unit in which a block is torn, in bytes.
pub(super) const SECTOR: usize = 512;

/// How a file differs from what was said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Miss {
    /// It is not there.
    Absent,
    /// It is there, and should not be.
    There,
    /// It is something else: a directory for a file, or a file for a directory.
    OtherKind,
    /// It ends in this sector, before its content does; at this byte.
    Short { sector: u64, len: u64 },
    /// This sector holds other bytes.
    Differs { sector: u64, first: u64, found: Found },
}

/// What stands where other bytes should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Zeros,
    Junk,
    /// Other bytes; as they read, where that is short.
    Other(Option<String>),
}

impl Miss {
    /// The sector that tells, where one does.
    pub(super) fn sector(&self) -> Option<u64> {
        match self {
            Self::Absent | Self::There | Self::OtherKind => None,
            Self::Short { sector, .. } | Self::Differs { sector, .. } => Some(*sector),
        }
    }

    /// The difference as a sentence about the file.
    pub(super) fn told(&self, file: &Spoken) -> String {
        let name = shown(&file.path);
        let of = match &file.held {
            Held::File(bytes) => bytes.len(),
            Held::Absent | Held::Dir => 0,
        };
        match self {
            Self::Absent => format!("{name} is absent"),
            Self::There => format!("{name} is back"),
            Self::OtherKind => format!("{name} is something else"),
            Self::Short { len: 0, .. } => format!("{name} is empty"),
            Self::Short { len, .. } => format!("{name} has {len} of {of} bytes"),
            Self::Differs { first: 0, found: Found::Zeros, .. } => format!("{name} is zeros"),
            Self::Differs { first, found: Found::Zeros, .. } => {
                format!("{name} is zeros from byte {first} on")
            }
            Self::Differs { first, found: Found::Junk, .. } => {
                format!("{name} has bytes that nobody wrote at byte {first}")
            }
            Self::Differs { found: Found::Other(Some(text)), .. } => {
                format!("{name} has {text}")
            }
            Self::Differs { first, found: Found::Other(None), .. } => {
                format!("{name} has other bytes at byte {first}")
            }
        }
    }
}

/// Looks at a file in one state; at one sector of its content alone, where one is named.
pub(super) fn look(live: &mut Live, file: &Spoken, only: Option<u64>) -> Result<(), Miss> {
    let found = live.resolve(&file.path).ok().map(|ino| (ino, live.node(ino).is));
    let expected = match (&file.held, found) {
        (Held::Absent, None) | (Held::Dir, Some((_, Is::Dir))) => return Ok(()),
        (Held::Absent, Some(_)) => return Err(Miss::There),
        (_, None) => return Err(Miss::Absent),
        (Held::Dir, Some(_)) => return Err(Miss::OtherKind),
        (Held::File(bytes), Some((ino, Is::File))) => (ino, bytes),
        (Held::File(_), Some(_)) => return Err(Miss::OtherKind),
    };
    let (ino, bytes) = expected;
    let sectors = (0_u64..).zip(bytes.chunks(SECTOR));
    let asked = sectors.filter(|(sector, _)| only.is_none_or(|only| only == *sector));
    asked.into_iter().try_for_each(|(sector, bytes)| sector_is(live, ino, sector, bytes))
}

fn sector_is(live: &mut Live, ino: Ino, sector: u64, bytes: &[u8]) -> Result<(), Miss> {
    let offset = sector * SECTOR as u64;
    let mut buffer = [0; SECTOR];
    let buffer = &mut buffer[..bytes.len()];
    let read = live.read(ino, buffer, offset);
    let (found, whole) = (&buffer[..read], read == bytes.len());
    let Some(first) = found.iter().zip(bytes).position(|(a, b)| a != b) else {
        return if whole { Ok(()) } else { Err(Miss::Short { sector, len: offset + read as u64 }) };
    };
    let rest = &found[first..];
    let found = if rest.iter().all(|byte| *byte == 0) {
        Found::Zeros
    } else if is_junk(live, found, offset) {
        Found::Junk
    } else {
        Found::Other(as_text(found, offset))
    };
    Err(Miss::Differs { sector, first: offset + first as u64, found })
}

/// Bytes as they read, where they are the whole of a short text.
fn as_text(found: &[u8], offset: u64) -> Option<String> {
    const SHORT: usize = 40;
    let short = offset == 0 && found.len() <= SHORT;
    let text = std::str::from_utf8(found).ok().filter(|_| short)?;
    text.chars()
        .all(|c| c.is_ascii_graphic() || c.is_ascii_whitespace())
        .then(|| format!("{text:?}"))
}

fn is_junk(live: &Live, found: &[u8], offset: u64) -> bool {
    let at = usize::try_from(offset % BLOCK as u64).unwrap_or(0);
    live.store().bytes(BlockId::JUNK)[at..].starts_with(found)
}
