//! Recovery: the journal is scanned, what was revoked is left out, the rest stands over the
//! media; then all metadata are read through that.
//!
//! Invariant: nothing is written, so recovering again finds the same. The scan ends at the first
//! block with another magic number, transaction or checksum, and goes at most once around the
//! ring; a transaction without its commit block is nothing.
//!
//! Knows nothing of when the blocks go home.

use std::collections::BTreeMap;

use super::codec::{self, Sums};
use super::jbd::{self, Found, Tag};
use super::{Damage, Geometry, Loaded, Log, MountError, Part, Replayed, Superblock, load};
use crate::machine::arena::Arena;
use crate::machine::config::Sabotage;
use crate::machine::ids::{BlockId, Lba, Tid};

/// Reads a file system from the media. `read` answers the content of a block, zeros where
/// nothing was ever written or the device ends. Nothing is written: see [`Loaded::replayed`].
///
/// # Errors
/// Which block is damaged, and how.
pub fn recover(read: &dyn Fn(Lba) -> BlockId, arena: &mut Arena) -> Result<Loaded, MountError> {
    recover_sabotaged(read, arena, None)
}

/// As [`recover`], with a mistake planted on purpose.
///
/// # Errors
/// As [`recover`].
#[doc(hidden)]
pub fn recover_sabotaged(
    read: &dyn Fn(Lba) -> BlockId,
    arena: &mut Arena,
    sabotage: Option<Sabotage>,
) -> Result<Loaded, MountError> {
    let sums = match sabotage {
        Some(Sabotage::ChecksumIgnored) => Sums::Ignored,
        _ => Sums::Checked,
    };
    let found = superblock(arena, read(SUPER), sums)?;
    let geometry = found.geometry;
    let scan = Scan::run(read, arena, &geometry, sums, sabotage)?;
    let log = scan.log(read);
    let replayed = scan.survivors(arena, sabotage);
    let mut loaded = Loaded { replayed, log, ..Loaded::default() };
    let superblock = superblock(arena, loaded.block(SUPER, read), sums)?;
    if superblock.geometry != geometry {
        return Err(MountError { lba: SUPER, part: Part::Super, damage: Damage::Impossible });
    }
    loaded.superblock = superblock;
    load::load(&mut loaded, read, arena, sums)?;
    Ok(loaded)
}

const SUPER: Lba = Lba(0);

fn superblock(arena: &Arena, content: BlockId, sums: Sums) -> Result<Superblock, MountError> {
    codec::decode_super(arena.bytes(content), sums).map_err(|damage| MountError {
        lba: SUPER,
        part: Part::Super,
        damage,
    })
}

/// What the ring holds.
struct Scan<'a> {
    geometry: &'a Geometry,
    on_media: jbd::Super,
    /// The first transaction that is not whole.
    end: Tid,
    /// Blocks of the whole ones.
    filled: u32,
    /// Their copies in order, still escaped.
    copies: Vec<(Replayed, Tag)>,
    /// For each revoked block the last transaction that revokes it.
    revoked: BTreeMap<Lba, Tid>,
}

impl<'a> Scan<'a> {
    fn run(
        read: &dyn Fn(Lba) -> BlockId,
        arena: &Arena,
        geometry: &'a Geometry,
        sums: Sums,
        sabotage: Option<Sabotage>,
    ) -> Result<Self, MountError> {
        let lba = geometry.journal;
        let on_media = jbd::decode_super(arena.bytes(read(lba)), geometry.journal_len, sums)
            .map_err(|damage| MountError { lba, part: Part::JournalSuper, damage })?;
        let (copies, revoked) = (Vec::new(), BTreeMap::new());
        let end = on_media.sequence;
        let mut scan = Self { geometry, on_media, end, filled: 0, copies, revoked };
        if on_media.start != 0 {
            while scan.transaction(read, arena, sums, sabotage)? {}
        }
        Ok(scan)
    }

    /// Reads one transaction; answers whether it was whole and there may be another.
    fn transaction(
        &mut self,
        read: &dyn Fn(Lba) -> BlockId,
        arena: &Arena,
        sums: Sums,
        sabotage: Option<Sabotage>,
    ) -> Result<bool, MountError> {
        let (ring, tid) = (self.on_media.ring(), self.end);
        let (mut used, before) = (self.filled, self.copies.len());
        let mut revoked = Vec::new();
        let next = |used: &mut u32| {
            let block = self.on_media.nth(self.on_media.start, *used);
            *used += 1;
            (*used <= ring).then(|| jbd::place(self.geometry, block))
        };
        let whole = loop {
            let Some(lba) = next(&mut used) else { break false };
            match jbd::decode(arena.bytes(read(lba)), tid, sums) {
                None => break false,
                Some(Found::Commit) => break true,
                Some(Found::Revoke(lbas)) => revoked.extend(lbas),
                Some(Found::Descriptor(tags)) => {
                    let mut fit = true;
                    for tag in tags {
                        if tag.home.0 >= self.geometry.blocks || self.is_ring(tag.home) {
                            let damage = Damage::Beyond(tag.home);
                            return Err(MountError { lba, part: Part::Journal, damage });
                        }
                        let Some(at) = next(&mut used) else {
                            fit = false;
                            break;
                        };
                        let content = read(at);
                        fit &= jbd::fits(&tag, tid, arena.bytes(content), sums);
                        self.copies.push((Replayed { tid, lba: tag.home, content }, tag));
                    }
                    if !fit {
                        break false;
                    }
                }
            }
        };
        if whole {
            self.filled = used;
            self.end = Tid(tid.0 + 1);
        } else if sabotage != Some(Sabotage::ReplayWithoutCommit) {
            self.copies.truncate(before);
            revoked.clear();
        }
        self.revoked.extend(revoked.into_iter().map(|lba| (lba, tid)));
        Ok(whole && self.filled < ring)
    }

    fn is_ring(&self, lba: Lba) -> bool {
        lba >= self.geometry.journal && lba < self.geometry.bitmap
    }

    fn log(&self, read: &dyn Fn(Lba) -> BlockId) -> Log {
        // What was not whole left blocks of its number behind, and a new transaction of that
        // number could be completed by them; only a ring in which nothing stands has none.
        let mut ring = self.geometry.journal.0 + jbd::FIRST..self.geometry.bitmap.0;
        let fresh = self.on_media.start == 0
            || self.filled == 0 && ring.all(|lba| read(Lba(lba)) == BlockId::ZERO);
        let next = if fresh { self.end } else { Tid(self.end.0 + 1) };
        let whole = self.end.0 - self.on_media.sequence.0;
        Log { on_media: self.on_media, next, whole, filled: self.filled }
    }

    /// The last copy of each block that was not revoked since, as it belongs home.
    fn survivors(mut self, arena: &mut Arena, sabotage: Option<Sabotage>) -> Vec<Replayed> {
        if sabotage != Some(Sabotage::ReplayIgnoresRevoke) {
            let revoked = &self.revoked;
            let since = |lba: Lba| revoked.get(&lba).copied().unwrap_or_default();
            self.copies.retain(|(copy, _)| copy.tid > since(copy.lba));
        }
        // Stable: of one block the last copy stays the last.
        self.copies.sort_by_key(|(copy, _)| copy.lba);
        let mut survivors: Vec<Replayed> = Vec::with_capacity(self.copies.len());
        for (nth, (copy, tag)) in self.copies.iter().enumerate() {
            let last = self.copies.get(nth + 1).is_none_or(|(next, _)| next.lba != copy.lba);
            if last {
                let content = match tag.escaped {
                    true => {
                        let content = jbd::unescape(arena.bytes(copy.content));
                        arena.put(&content)
                    }
                    false => copy.content,
                };
                survivors.push(Replayed { content, ..*copy });
            }
        }
        survivors
    }
}
