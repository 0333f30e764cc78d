//! Media for tests: blocks by place.

use std::collections::BTreeMap;

use super::*;

/// Options of a small file system.
pub(super) fn options() -> Ext4Options {
    Ext4Options { journal: 64, blocks: 2048, inodes: 128, ..Ext4Options::default() }
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
        self.recover_sabotaged(None)
    }

    pub(super) fn recover_sabotaged(
        &mut self,
        sabotage: Option<Sabotage>,
    ) -> Result<Loaded, MountError> {
        let blocks = &self.blocks;
        let read = |lba: Lba| blocks.get(&lba).copied().unwrap_or_default();
        recover_sabotaged(&read, &mut self.arena, sabotage)
    }

    pub(super) fn image(&self, loaded: &Loaded) -> Image {
        image(loaded, &|lba| self.read(lba), &self.arena).unwrap()
    }

    /// What a mount would show.
    pub(super) fn mounted(&mut self) -> Image {
        let loaded = self.recover().unwrap();
        self.image(&loaded)
    }

    pub(super) fn read(&self, lba: Lba) -> BlockId {
        self.blocks.get(&lba).copied().unwrap_or_default()
    }

    pub(super) fn bytes(&self, lba: Lba) -> Bytes {
        *self.arena.bytes(self.read(lba))
    }

    pub(super) fn write(&mut self, lba: Lba, block: &Bytes) {
        let content = self.arena.put(block);
        self.blocks.insert(lba, content);
    }

    pub(super) fn write_all(&mut self, writes: &[life::Write]) {
        writes.iter().for_each(|(lba, block)| self.write(*lba, block));
    }
}
