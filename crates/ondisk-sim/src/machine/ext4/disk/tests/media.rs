//! Media for tests: blocks by place.

use std::collections::BTreeMap;

use super::*;

/// Options of a small file system.
pub(super) fn options() -> Ext4Options {
    Ext4Options { journal: 64, blocks: 1024, inodes: 128, ..Ext4Options::default() }
}

/// Blocks by place, and their contents.
#[derive(Clone, Debug)]
pub(super) struct Media {
    pub(super) arena: Arena,
    pub(super) blocks: BTreeMap<Lba, BlockId>,
}

impl Media {
    /// A formatted one.
    pub(super) fn of(base: &Image) -> Self {
        let mut arena = Arena::new();
        let blocks = format(base, &options(), &mut arena).unwrap().into_iter().collect();
        Self { arena, blocks }
    }

    pub(super) fn recover(&mut self) -> Result<Loaded, MountError> {
        let blocks = &self.blocks;
        recover(&|lba| blocks.get(&lba).copied().unwrap_or_default(), &mut self.arena)
    }

    pub(super) fn image(&self, loaded: &Loaded) -> Image {
        image(loaded, &|lba| self.read(lba), &self.arena).unwrap()
    }

    pub(super) fn read(&self, lba: Lba) -> BlockId {
        self.blocks.get(&lba).copied().unwrap_or_default()
    }
}
