//! What a script writes and where: values and paths.
//!
//! Invariant: a [`RelPath`] is relative, has no empty, `.` or `..` component (but is `.` alone for
//! the root), and fits the limits of Linux. A parsed [`Value`] is at most
//! [`Script::VALUE_LIMIT`](super::Script::VALUE_LIMIT) long.

use std::fmt;
use std::path::Path;

/// Bytes, said shortly: pieces one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value(pub Vec<Piece>);

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// `"ab"*n`.
    Text {
        /// What is repeated.
        unit: Vec<u8>,
        /// How often.
        times: u64,
    },
    /// `zeros n`.
    Zeros(u64),
}

impl Piece {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Text { unit, times } => (unit.len() as u64).saturating_mul(*times),
            Self::Zeros(n) => *n,
        }
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Value {
    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.iter().fold(0, |total, piece| total.saturating_add(piece.len()))
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes themselves.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for piece in &self.0 {
            match piece {
                Piece::Text { unit, times } => {
                    for _ in 0..*times {
                        bytes.extend_from_slice(unit);
                    }
                }
                Piece::Zeros(n) => {
                    let n = usize::try_from(*n).unwrap_or(usize::MAX);
                    bytes.resize(bytes.len().saturating_add(n), 0);
                }
            }
        }
        bytes
    }

    /// Bytes as a value: runs of one byte as `"x"*n` and `zeros n`, the rest as it stands.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut pieces: Vec<Piece> = Vec::new();
        for run in bytes.chunk_by(|a, b| a == b) {
            let first = run.first().copied().unwrap_or_default();
            if first == 0 {
                pieces.push(Piece::Zeros(run.len() as u64));
            } else if run.len() >= LONG_RUN {
                pieces.push(Piece::Text { unit: vec![first], times: run.len() as u64 });
            } else if let Some(Piece::Text { unit, times: 1 }) = pieces.last_mut() {
                unit.extend_from_slice(run);
            } else {
                pieces.push(Piece::Text { unit: run.to_vec(), times: 1 });
            }
        }
        if pieces.is_empty() {
            pieces.push(Piece::Text { unit: Vec::new(), times: 1 });
        }
        Self(pieces)
    }
}

/// From how many equal bytes on they are told as `"x"*n`.
const LONG_RUN: usize = 8;

/// A path as a script names it: bytes, relative to the root of the file system.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RelPath(Vec<u8>);

/// Why bytes are no [`RelPath`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    /// No bytes.
    #[error("it is empty: `.` is the root")]
    Empty,
    /// It begins with `/`.
    #[error("it is absolute: leave the first `/` away")]
    Absolute,
    /// An empty, `.` or `..` component.
    #[error("a component is empty, `.` or `..`: name the file from the root down")]
    Component,
    /// Over [`RelPath::LIMIT`], or a component over [`RelPath::NAME_LIMIT`].
    #[error("it is over {} bytes, or a name in it over {}", RelPath::LIMIT, RelPath::NAME_LIMIT)]
    Long,
    /// A NUL byte.
    #[error("it holds a NUL byte, which no name can")]
    Nul,
}

impl RelPath {
    /// The longest path, in bytes.
    pub const LIMIT: usize = 4095;
    /// The longest component, in bytes.
    pub const NAME_LIMIT: usize = 255;

    /// A path from its bytes.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(bytes: &[u8]) -> Result<Self, BadPath> {
        if bytes.is_empty() {
            return Err(BadPath::Empty);
        }
        if bytes.starts_with(b"/") {
            return Err(BadPath::Absolute);
        }
        if bytes.contains(&0) {
            return Err(BadPath::Nul);
        }
        let mut names = bytes.split(|b| *b == b'/');
        if bytes.len() > Self::LIMIT || names.clone().any(|name| name.len() > Self::NAME_LIMIT) {
            return Err(BadPath::Long);
        }
        if bytes != b"." && names.any(|name| matches!(name, b"" | b"." | b"..")) {
            return Err(BadPath::Component);
        }
        Ok(Self(bytes.to_vec()))
    }

    /// The root, `.`.
    #[must_use]
    pub fn root() -> Self {
        Self(b".".to_vec())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The path as the standard library has paths; the root where it is not UTF-8, which alone
    /// means the same on every target ([`is_utf8`](Self::is_utf8) tells).
    #[must_use]
    pub(super) fn to_path(&self) -> &Path {
        Path::new(std::str::from_utf8(&self.0).unwrap_or("."))
    }

    pub(super) fn is_utf8(&self) -> bool {
        std::str::from_utf8(&self.0).is_ok()
    }
}

impl fmt::Debug for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
