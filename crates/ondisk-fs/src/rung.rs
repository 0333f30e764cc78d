//! The ladder that a write climbs down, from a process's memory to stable media.
//!
//! Invariant: the order of the variants is the order of the rungs, so `a >= b` reads
//! "`a` survives all that `b` survives".

use std::fmt;

/// How far down a write has come, and so what it survives.
///
/// An acknowledgement names a rung, and is given only after the rung was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rung {
    /// In the process's own buffer: survives nothing. `flush` (a `write(2)`) moves it on.
    Buffered,
    /// In the page cache, dirty: survives the death of the process. A sync moves it on.
    Cached,
    /// In the drive's volatile cache: survives a crash of the kernel. FLUSH or FUA moves it on.
    Device,
    /// On stable media and reachable, its directory entry too: survives a loss of power.
    Durable,
}

impl Rung {
    /// All rungs, from the one that survives nothing to the one that survives a power cut.
    pub const ALL: [Self; 4] = [Self::Buffered, Self::Cached, Self::Device, Self::Durable];

    /// The rung's name in lower case, as it is printed and written to JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Buffered => "buffered",
            Self::Cached => "cached",
            Self::Device => "device",
            Self::Durable => "durable",
        }
    }

    /// The worst death that a write on this rung survives, in words.
    #[must_use]
    pub fn survives(self) -> &'static str {
        match self {
            Self::Buffered => "nothing",
            Self::Cached => "death of the process",
            Self::Device => "a crash of the kernel",
            Self::Durable => "power loss",
        }
    }
}

impl fmt::Display for Rung {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
