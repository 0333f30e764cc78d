//! What a drive did, counted by cause.
//!
//! Invariant: each page that was programmed counts under one cause.

/// What a drive did since its power is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Blocks that the host wrote.
    pub host: u64,
    /// Blocks that were replaced in the cache before they were programmed.
    pub replaced: u64,
    /// Blocks that the host read.
    pub read: u64,
    /// Pages programmed for the host.
    pub programmed: u64,
    /// Pages copied to free an erase block.
    pub collected: u64,
    /// Pages copied to spread the wear.
    pub levelled: u64,
    /// Pages of the map.
    pub map: u64,
    /// Erase blocks erased to be free.
    pub erased: u64,
    /// Erase blocks erased to spread the wear.
    pub erased_for_wear: u64,
    /// Erase blocks erased to save the map anew.
    pub erased_for_map: u64,
}

impl Counters {
    /// Pages programmed, for whatever cause.
    #[must_use]
    pub const fn nand(&self) -> u64 {
        self.programmed + self.collected + self.levelled + self.map
    }

    /// Pages programmed for a thousand blocks that the host wrote; 0 if it wrote none.
    #[must_use]
    pub const fn write_amplification(&self) -> u64 {
        match self.host {
            0 => 0,
            host => self.nand() * 1000 / host,
        }
    }
}
