//! What a keyspace is made with, and keeps: its engine and that engine's settings.
//!
//! Invariant: options are stored when a keyspace is made and never change; opening it with others
//! is an error. The bytes are specified in `docs/format/catalog.md`.

use std::fmt;
use std::str::FromStr;

use ondisk_log::SyncMode;

use crate::error::Error;

/// Which engine keeps a keyspace's old generation. All are views of the same log, and give the
/// same answers; they differ in what is cheap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum EngineKind {
    /// Values in data files, all keys in memory: point reads in one read of the disk.
    #[default]
    Bitcask,
    /// Sorted tables in levels: many writes, and more keys than memory.
    Lsm,
    /// A copy-on-write tree of pages: ordered reads, read mostly.
    Btree,
}

/// How the blocks of sorted tables are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4, block by block, where it saves an eighth at least.
    #[default]
    Lz4,
}

/// What a keyspace is made with. The defaults serve.
///
/// ```
/// use ondisk::{EngineKind, KeyspaceOptions};
///
/// let options = KeyspaceOptions::new(EngineKind::Lsm);
/// assert_eq!(options.engine, EngineKind::Lsm);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyspaceOptions {
    /// The engine.
    pub engine: EngineKind,
    /// The mode of commits that say nothing else; `None` takes the store's.
    pub sync: Option<SyncMode>,
    /// Of a tree: bytes of a page, a power of two from 1024 to 65536; 4096 by default.
    pub page_size: PageSize,
    /// Of sorted tables.
    pub compression: Compression,
    /// Values longer than this go to a value file of their own before their commit; 64 KiB by
    /// default.
    pub large_value: LargeValue,
}

/// Bytes of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(pub u32);

impl PageSize {
    /// Whether a tree can have pages of this size.
    #[must_use]
    pub fn is_valid(self) -> bool {
        self.0.is_power_of_two() && (1024..=65536).contains(&self.0)
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(4096)
    }
}

/// The longest value in bytes that stands in the log and in an engine's own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeValue(pub u32);

impl Default for LargeValue {
    fn default() -> Self {
        Self(64 << 10)
    }
}

impl KeyspaceOptions {
    /// The defaults of an engine.
    #[must_use]
    pub fn new(engine: EngineKind) -> Self {
        Self { engine, ..Self::default() }
    }

    /// Checks what a keyspace would be made with.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.page_size.is_valid() {
            return Ok(());
        }
        Err(Error::PageSize { found: self.page_size.0 })
    }

    /// With a mode of its own.
    #[must_use]
    pub fn sync(mut self, mode: SyncMode) -> Self {
        self.sync = Some(mode);
        self
    }
}

/// As the command line writes it: the engine, and what differs from its defaults.
impl fmt::Display for KeyspaceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.engine)?;
        let usual = Self::new(self.engine);
        if let Some(mode) = self.sync {
            write!(f, " --sync {mode}")?;
        }
        if self.page_size != usual.page_size {
            write!(f, ", pages of {} bytes", self.page_size.0)?;
        }
        if self.compression != usual.compression {
            write!(f, ", compression {:?}", self.compression)?;
        }
        if self.large_value != usual.large_value {
            write!(f, ", large values above {} bytes", self.large_value.0)?;
        }
        Ok(())
    }
}

impl EngineKind {
    /// Every engine.
    pub const ALL: [Self; 3] = [Self::Bitcask, Self::Lsm, Self::Btree];

    /// Its name, as the command line writes and reads it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bitcask => "bitcask",
            Self::Lsm => "lsm",
            Self::Btree => "btree",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no engine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no engine: say bitcask, lsm or btree")]
pub struct ParseEngineError(pub String);

impl FromStr for EngineKind {
    type Err = ParseEngineError;

    fn from_str(text: &str) -> Result<Self, ParseEngineError> {
        let found = Self::ALL.into_iter().find(|engine| engine.name() == text);
        found.ok_or_else(|| ParseEngineError(text.to_owned()))
    }
}
