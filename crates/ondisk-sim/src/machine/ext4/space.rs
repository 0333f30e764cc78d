//! Which blocks may be given away.
//!
//! Invariant: a block that a transaction freed is not given away before that transaction is
//! durable: until then the media may come back with the file that had it. What was promised is
//! never more than what is free.
//!
//! Knows nothing of files: it counts.

use super::disk::Bitmap;
use crate::machine::ids::Lba;

/// Free, given and promised blocks.
#[derive(Clone, Debug, Default)]
pub(super) struct Space {
    /// As the running transaction has it: what goes to the media.
    pub(super) bitmap: Bitmap,
    /// That, and what was freed by a transaction that is not durable.
    taken: Bitmap,
    /// How many are not taken.
    free: u32,
    /// How many of these are promised to pages.
    promised: u32,
    /// How many are free but not to be given yet.
    held: u32,
    /// Below it nothing is free.
    lowest: u32,
    /// How many are kept for metadata when pages ask.
    kept: u32,
}

impl Space {
    pub(super) fn new(bitmap: Bitmap, data: Lba) -> Self {
        let free = bitmap.count_free();
        let kept = (bitmap.blocks() / 50).min(64).min(free / 4);
        let taken = bitmap.clone();
        Self { bitmap, taken, free, promised: 0, held: 0, lowest: data.0, kept }
    }

    /// Promises blocks to pages; `false` if there are not so many.
    pub(super) fn promise(&mut self, count: u32) -> bool {
        let fits = self.could_promise(count);
        if fits {
            self.promised += count;
        }
        fits
    }

    /// Whether so many blocks could be promised.
    pub(super) fn could_promise(&self, count: u32) -> bool {
        u64::from(self.promised) + u64::from(count) + u64::from(self.kept) <= u64::from(self.free)
    }

    /// A promise is kept or no longer needed.
    pub(super) fn unpromise(&mut self, count: u32) {
        self.promised -= count.min(self.promised);
    }

    /// Whether some were freed that may be given away later.
    pub(super) const fn is_held(&self) -> bool {
        self.held > 0
    }

    /// How many blocks may be given that nobody was promised.
    pub(super) const fn spare(&self) -> u32 {
        self.free.saturating_sub(self.promised)
    }

    /// A run of at most so many blocks that may be given away, at a place if it can be.
    pub(super) fn find(&self, near: Lba, most: u32) -> Option<(Lba, u32)> {
        let first = match self.taken.used(near) || near.0 < self.lowest {
            true => self.taken.first_free(Lba(self.lowest))?,
            false => near,
        };
        Some((first, self.taken.run(first, most)))
    }

    /// Gives away what was found.
    pub(super) fn take(&mut self, first: Lba, count: u32) {
        for lba in (first.0..first.0 + count).map(Lba) {
            self.taken.take(lba);
            self.bitmap.take(lba);
        }
        self.free -= count;
        if first.0 <= self.lowest {
            self.lowest = self.lowest.max(first.0 + count);
        }
    }

    /// A transaction frees blocks; they are held.
    pub(super) fn hold(&mut self, lba: Lba, count: u32) {
        for lba in (lba.0..lba.0 + count).map(Lba) {
            self.bitmap.free(lba);
        }
        self.held += count;
    }

    /// Held blocks may be given away.
    pub(super) fn release(&mut self, lba: Lba, count: u32) {
        for lba in (lba.0..lba.0 + count).map(Lba) {
            self.taken.free(lba);
        }
        self.held -= count;
        self.free += count;
        self.lowest = self.lowest.min(lba.0);
    }
}
