//! Pages of failed syncs that the page cache forgets.

use super::*;

impl Brute {
    /// Whether a sync of the block failed, and nothing happened to it since.
    fn is_doubtful(&self, ino: usize, block: usize) -> bool {
        let its = |made: &&Made| match made.effect {
            Effect::Data { ino: i, block: b, .. } => (i, b) == (ino, block),
            Effect::SetLen { ino: i, len, shorter: true } => i == ino && (block + 1) * BLOCK > len,
            _ => false,
        };
        let last = self.made.iter().rev().find(its);
        last.is_some_and(|made| made.dropped.is_some() && made.evicted.is_none())
    }

    /// Whether there is something to forget, of one file.
    pub(crate) fn is_evictable(&self) -> bool {
        let doubtful = |ino: &usize| (0..4).any(|block| self.is_doubtful(*ino, block));
        (0..self.files.len()).filter(doubtful).count() == 1
    }

    /// The page cache shows again what it showed when the block was last synced.
    pub(super) fn evict(&mut self) {
        for ino in 0..self.files.len() {
            for block in 0..4 {
                if !self.is_doubtful(ino, block) {
                    continue;
                }
                let from = block * BLOCK;
                let mut content = self.base[ino].get(from..).unwrap_or_default().to_vec();
                content.resize(BLOCK, 0);
                for made in &mut self.made {
                    match &made.effect {
                        Effect::Data { ino: i, block: b, content: bytes }
                            if (*i, *b) == (ino, block) =>
                        {
                            if made.floor.is_some() {
                                content.clone_from(bytes);
                            } else if made.dropped.is_some() && made.evicted.is_none() {
                                made.evicted = Some(self.ops);
                            }
                        }
                        _ => {}
                    }
                }
                let to = self.files[ino].len().min(from + BLOCK);
                self.files[ino][from..to].copy_from_slice(&content[..to - from]);
            }
        }
    }
}
