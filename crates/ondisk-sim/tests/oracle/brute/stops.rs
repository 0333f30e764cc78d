//! Where a file may stop on the way of a write, beside the ends of the blocks that it writes.

use super::*;
use ondisk_sim::model::Append;

impl Brute {
    pub(super) fn len_of(&mut self, ino: usize, len: usize, stop: Stop, offset: usize) {
        let block = (len - 1) / BLOCK;
        let is_placed = self.below_floor(ino, block);
        let journalled = self.model.append == Append::AsName && is_placed && stop == Stop::Own;
        let is_way = match stop {
            Stop::Own | Stop::LeftOut => true,
            Stop::Allocated => !is_placed || block < offset / BLOCK,
        };
        if is_way {
            self.add(Effect::Len { ino, len, journalled, stop });
        }
    }

    /// Below a length that a write brings all others at which a file might stop: those that the
    /// calls to come give no reason for are left out later.
    pub(super) fn stops(&mut self, ino: usize, old: usize, offset: usize, below: usize) {
        let last = self.made.iter().rev().find_map(|made| match made.effect {
            Effect::Len { ino: i, len, .. } if i == ino && made.op == self.ops => Some(len),
            _ => None,
        });
        let from = last.unwrap_or(old) + 1;
        let below = if self.stops_anywhere() { below } else { from };
        for len in from..below {
            let left_out = len % BLOCK == 0 && old / BLOCK < offset / BLOCK && len <= offset;
            if left_out && !self.below_floor(ino, (len - 1) / BLOCK) {
                self.len_of(ino, len, Stop::LeftOut, offset);
            } else if ALLOCATED.contains(&len) {
                self.len_of(ino, len, Stop::Allocated, offset);
            }
        }
    }

    /// Whether a file's length is that of what got its place last.
    fn stops_anywhere(&self) -> bool {
        matches!(self.model.len, Len::Float(Needs::Nothing | Needs::LastAny))
            && self.model.names != Names::Everything
    }

    /// Whether a file cannot stop at this length after all.
    pub(super) fn is_no_stop(&self, at: usize, made: usize) -> bool {
        let Effect::Len { stop, .. } = self.made[at].effect else { return false };
        match stop {
            Stop::Own => false,
            Stop::LeftOut if self.is_allocated(at, self.ops) => !self.is_allocated(at, made),
            Stop::LeftOut => {
                let is_made = |version: usize| self.made[version].op < made;
                !self.last_versions(at).into_iter().any(is_made)
            }
            Stop::Allocated => !self.is_allocated(at, made),
        }
    }

    /// Whether a later call allocated exactly so much while the file was no shorter.
    pub(super) fn is_allocated(&self, at: usize, made: usize) -> bool {
        let Effect::Len { ino, len, .. } = self.made[at].effect else { return false };
        let grew = |op: usize| {
            self.made
                .iter()
                .any(|made| made.op == op && matches!(made.effect, Effect::SetLen { .. }))
        };
        let later = |op: usize| (self.made[at].op + 1..made).contains(&op) && !grew(op);
        let its =
            |(_, op, i, n): &(usize, usize, usize, usize)| (*i, *n) == (ino, len) && later(*op);
        self.stops_anywhere() && self.allocated.iter().any(its)
    }

    /// Whether blocks of a file were allocated before an effect, and no others were new.
    pub(super) fn all_placed(&self, ino: usize, before: usize) -> bool {
        let is_fresh = |at: usize| match self.made[at].effect {
            Effect::Data { ino: i, block, .. } => {
                i == ino
                    && self.is_new(at)
                    && !self.is_cut_off(ino, block, at..before)
                    && !self.is_reserved(ino, block, before)
            }
            _ => false,
        };
        self.is_reserved(ino, 0, before) && !(0..before).any(is_fresh)
    }

    /// Whether a block was allocated before an effect, without being cut off since.
    pub(super) fn is_reserved(&self, ino: usize, block: usize, before: usize) -> bool {
        let floats = matches!(self.model.len, Len::Float(_));
        floats
            && self.allocated.iter().any(|(made, _, i, len)| {
                *i == ino
                    && *made <= before
                    && block * BLOCK < *len
                    && !self.is_cut_off(ino, block, *made..before)
            })
    }
}
