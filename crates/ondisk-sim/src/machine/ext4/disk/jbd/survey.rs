//! What a journal holds, transaction by transaction, for who looks at media: nothing is replayed.
//!
//! Invariant: the transactions that are called whole are those that a mount replays, in its order;
//! the one behind them is what the death left of the next.

use super::{Found, decode, decode_super, fits, place};
use crate::machine::config::Mount;
use crate::machine::ext4::disk::Geometry;
use crate::machine::ext4::disk::codec::Sums;
use crate::machine::ids::{Lba, Tid};
use crate::machine::media::Media;

/// A transaction in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InJournal {
    /// Its number.
    pub tid: Tid,
    /// How many copies of blocks it has there.
    pub blocks: u32,
    /// Whether all of it is there, its commit block included.
    pub whole: bool,
}

impl Media {
    /// What the journal of an ext4 holds that is to be replayed, and what is left of the transaction
    /// behind; nothing for another file system, and where the journal cannot be read.
    #[must_use]
    pub fn journal(&self) -> Vec<InJournal> {
        let Mount::Ext4(options) = &self.config.mount else { return Vec::new() };
        Geometry::new(options).map_or_else(|_| Vec::new(), |geometry| survey(self, &geometry))
    }
}

fn survey(media: &Media, geometry: &Geometry) -> Vec<InJournal> {
    let read = |lba: Lba| media.arena.bytes(media.flash.peek(lba));
    let head = decode_super(read(geometry.journal), geometry.journal_len, Sums::Checked);
    let Ok(on_media) = head else { return Vec::new() };
    let mut all = Vec::new();
    if on_media.start == 0 {
        return all;
    }
    let (mut used, mut tid) = (0, on_media.sequence);
    let mut next = || {
        let block = on_media.nth(on_media.start, used);
        used += 1;
        (used <= on_media.ring()).then(|| read(place(geometry, block)))
    };
    loop {
        let (mut blocks, mut found) = (0, false);
        let whole = 'transaction: loop {
            let Some(what) = next().and_then(|block| decode(block, tid, Sums::Checked)) else {
                break false;
            };
            found = true;
            match what {
                Found::Commit => break true,
                Found::Revoke(_) => {}
                Found::Descriptor(tags) => {
                    for tag in tags {
                        match next() {
                            Some(copy) if fits(&tag, tid, copy, Sums::Checked) => blocks += 1,
                            _ => break 'transaction false,
                        }
                    }
                }
            }
        };
        if found {
            all.push(InJournal { tid, blocks, whole });
        }
        if !whole {
            return all;
        }
        tid = Tid(tid.0 + 1);
    }
}

#[cfg(test)]
mod tests {
    use crate::machine::choice::{First, Last};
    use crate::machine::play::{Play, Stage};
    use crate::machine::{Death, Kind};
    use crate::ops::script::Script;

    #[test]
    fn what_is_whole_is_what_a_mount_replays() {
        let text = "open f create; write f \"A\"; fsync f; open g create; write g \"B\"; fsync g";
        let script = Script::parse(text).unwrap();
        let mut play = Play::new(&script, &Stage::default()).unwrap();
        let (mut torn, mut whole) = (0, 0);
        while play.event().is_some() {
            for last in [false, true] {
                let media = match last {
                    true => play.cut(Death::Cut, &mut Last),
                    false => play.cut(Death::Cut, &mut First),
                };
                let found = media.journal();
                torn += found.iter().filter(|it| !it.whole).count();
                let mut tids: Vec<_> =
                    found.iter().filter(|it| it.whole).map(|it| it.tid).collect();
                whole += tids.len();
                let sim = media.boot(1).unwrap();
                let mut replayed = Vec::new();
                while let Some(event) = sim.step() {
                    match event.kind {
                        Kind::Replayed { tid, .. } => replayed.push(tid),
                        Kind::Mounted => break,
                        _ => {}
                    }
                }
                replayed.sort();
                replayed.dedup();
                // Of a block with several copies the last alone goes home.
                tids.retain(|tid| replayed.contains(tid));
                assert_eq!(tids, replayed);
            }
        }
        assert!(torn > 0 && whole > 0, "{torn} {whole}");
    }
}
