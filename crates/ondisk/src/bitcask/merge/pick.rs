//! Which data files are worth a merge.
//!
//! Invariant: files are merged in runs of neighbours, so that the order in which they hold
//! commits stays one order. Whoever merges all that is picked for [`Reclaim::All`] comes to an
//! end: each merge leaves fewer files or fewer dead bytes.
//!
//! Knows nothing of what the files hold.

use std::ops::Range;

use crate::bitcask::data_file::HEADER;
use crate::bitcask::keydir::Usage;
use crate::engine::Reclaim;

/// How many files are merged at once: each has a window in memory.
const MOST_FILES: usize = 16;
/// Fewer dead bytes than this are no reason.
const DUE_DEAD: u64 = 64 << 10;
/// So many neighbours of one size are merged into one of the next.
const DUE_NEIGHBOURS: usize = 8;
/// Files of sizes up to these are merged for their number; longer ones never.
const SIZES: [u64; 4] = [64 << 10, 512 << 10, 4 << 20, 32 << 20];
/// The longest file that is merged for its number.
const SMALL: u64 = 32 << 20;

/// What a data file weighs, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    pub(crate) len: u64,
    /// What a merge would leave out.
    pub(crate) dead: u64,
    /// Tombstones that a merge must keep: an older file is there.
    pub(crate) tombstones: u64,
}

impl Weight {
    /// Of the file with an index among those of its manifest.
    pub(crate) fn new(index: usize, len: u64, usage: Usage) -> Self {
        let tombstones = if index > 0 { usage.tombstones } else { 0 };
        let needed = HEADER as u64 + usage.live + tombstones;
        Self { len, dead: len.saturating_sub(needed), tombstones }
    }

    fn is_due(&self) -> bool {
        self.dead > DUE_DEAD && self.dead > self.len / 2
    }
}

/// The next run of neighbours to merge, if there is one.
pub(crate) fn pick(files: &[Weight], want: Reclaim) -> Option<Range<usize>> {
    match want {
        Reclaim::Due => due(files),
        Reclaim::All => winnable(files).or_else(|| down_to_the_oldest(files)),
    }
}

fn due(files: &[Weight]) -> Option<Range<usize>> {
    let dead = |run: &Range<usize>| files[run.clone()].iter().map(|file| file.dead).sum::<u64>();
    if let Some(run) = runs(files, Weight::is_due).max_by_key(dead) {
        return Some(run);
    }
    let of_size = |size: u64| {
        runs(files, move |file| file.len <= size).find(|run| run.len() >= DUE_NEIGHBOURS)
    };
    SIZES.into_iter().find_map(of_size)
}

fn winnable(files: &[Weight]) -> Option<Range<usize>> {
    let won = |run: &Range<usize>| run.len() > 1 || files[run.start].dead > 0;
    runs(files, |file| file.dead > 0 || file.len <= SMALL).find(won)
}

/// Takes the last tombstones towards the oldest file, where they fall away.
fn down_to_the_oldest(files: &[Weight]) -> Option<Range<usize>> {
    let last = files.iter().rposition(|file| file.tombstones > 0)?;
    Some((last + 1).saturating_sub(MOST_FILES)..last + 1)
}

/// The runs of neighbours that are all of a kind, each as long as it may be.
fn runs<'a>(
    files: &'a [Weight],
    of_kind: impl Fn(&Weight) -> bool + 'a,
) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at + files.get(at..)?.iter().position(&of_kind)?;
        let len = files[start..].iter().take(MOST_FILES).take_while(|file| of_kind(file)).count();
        at = start + len;
        Some(start..at)
    })
}

/// So many bytes may be dead before writers feel it, whatever their share.
const EASY_DEAD: u64 = 256 << 20;
/// So many files that are merged for their number may be there before writers feel it.
const EASY_FILES: u64 = 128;
/// Dead bytes make writers slow, never still: they cost space, not time.
const MOST_PRESSURE: u64 = 900;

/// How far merges are behind, from 0 to 900.
pub(crate) fn pressure(files: &[Weight]) -> u32 {
    let (len, dead) = files.iter().fold((0, 0), |(len, dead), it| (len + it.len, dead + it.dead));
    let small = files.iter().filter(|file| file.len <= SIZES[0]).count() as u64;
    // From three fifths dead on, in thousandths; full at nine tenths.
    let share = dead.saturating_mul(1000) / len.max(1);
    let by_dead = if dead > EASY_DEAD { share.saturating_sub(600) * 3 } else { 0 };
    let by_number = small.saturating_sub(EASY_FILES);
    u32::try_from(by_dead.max(by_number).min(MOST_PRESSURE)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
