//! What truncations take, and which blocks are new.
//!
//! Invariant: whether a truncation is waited for depends on what was durable when something was
//! written, not on what came to be durable later.

use super::{BLOCK, Brute, Effect};
use ondisk_sim::model::Append;

impl Brute {
    /// Whether a truncation took bytes that the media may have had, as far as was known when this
    /// was written. Where lengths are journalled, what made a file longer may be of one transaction
    /// with it.
    pub(super) fn takes(&self, cut: usize, written: usize) -> bool {
        let Effect::SetLen { ino, len: to, .. } = self.made[cut].effect else { return false };
        if self.model.append != Append::AsName {
            return true;
        }
        let mut before = vec![self.base[ino].len()];
        for made in &self.made[..cut] {
            if let Effect::Len { ino: i, len, .. } | Effect::SetLen { ino: i, len, .. } =
                made.effect
                && i == ino
            {
                if made.floor.is_some_and(|floor| floor < self.made[written].op) {
                    before.clear();
                }
                before.push(len);
            }
        }
        before.into_iter().all(|len| len > to)
    }

    /// Whether the block had no place on the media before it was written by this.
    pub(super) fn is_new(&self, effect: usize) -> bool {
        let Effect::Data { ino, block, .. } = &self.made[effect].effect else { return false };
        let mut is_new = self.base[*ino].len() <= block * BLOCK;
        for at in 0..effect {
            match &self.made[at].effect {
                Effect::Data { ino: i, block: b, .. } if (i, b) == (ino, block) => is_new = false,
                _ => is_new |= self.is_cut_off(*ino, *block, at..at + 1),
            }
        }
        is_new
    }

    /// Whether one of these effects cuts off a block.
    pub(super) fn is_cut_off(
        &self,
        ino: usize,
        block: usize,
        effects: std::ops::Range<usize>,
    ) -> bool {
        self.made[effects].iter().any(|made| {
            matches!(made.effect, Effect::SetLen { ino: i, len, shorter: true }
                if i == ino && len <= block * BLOCK)
        })
    }
}
