//! What a death leaves: the bytes in flash, and what a mount makes of them.
//!
//! Invariant: no state of the dead machine is in here but the drive's flash.

use super::Death;
use super::arena::Arena;
use super::choice::Chooser;
use super::config::{Config, Mount};
use super::digest::Digest;
use super::ids::{BlockId, EventId, Lba, Ns};
use super::nfs::server::{self, Server};
use super::sim::Sim;
use super::ssd::{Flash, Ssd};
use super::whole::Machine;
use crate::ops::{At, Image};

pub use super::ext4::disk::{FormatError, MountError};

/// Why a machine does not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// Its drive cannot be formatted.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Its file system cannot be mounted.
    #[error(transparent)]
    Mount(#[from] MountError),
}

/// A moment of a machine, kept so that it can die there later.
#[derive(Clone, Debug)]
pub struct Shot {
    pub(super) config: Config,
    pub(super) arena: Arena,
    pub(super) ssd: Ssd,
    pub(super) at: At,
    pub(super) now: Ns,
    pub(super) event: EventId,
    /// The machine that has the drive, where that is another than the one that dies.
    pub(super) server: Option<Box<Server>>,
}

impl Shot {
    /// What is left if this death came at this moment.
    #[must_use]
    pub fn cut(&self, how: Death, chooser: &mut dyn Chooser) -> Media {
        let synced = match how {
            Death::Crash => self.server.as_ref().map(|server| server.synced()),
            Death::Kill | Death::Cut => None,
        };
        let drive = synced.as_ref().unwrap_or(self);
        let mut arena = drive.arena.clone();
        let flash = drive.ssd.left_by(how, &mut arena, chooser);
        Media { config: self.config.clone(), arena, flash, base: None }
    }

    /// The place in the history.
    #[must_use]
    pub fn at(&self) -> At {
        self.at
    }

    /// The clock.
    #[must_use]
    pub fn now(&self) -> Ns {
        self.now
    }

    /// The last event before it.
    #[must_use]
    pub fn event(&self) -> EventId {
        self.event
    }
}

/// A drive without power, and the machine that it was in.
#[derive(Clone, Debug)]
pub struct Media {
    pub(super) config: Config,
    pub(super) arena: Arena,
    pub(super) flash: Flash,
    /// With what files the history of the next life begins; `None` keeps none.
    pub(super) base: Option<Image>,
}

impl Media {
    /// A drive that was formatted, with these files on it.
    ///
    /// # Errors
    /// When they do not fit.
    pub fn format(mut config: Config, base: &Image) -> Result<Self, FormatError> {
        config.drive.sabotage = config.drive.sabotage.or(config.sabotage);
        let mut arena = Arena::new();
        let blocks = match &config.mount {
            Mount::Ext4(options) => super::ext4::disk::format(base, options, &mut arena)?,
            Mount::Nfs => {
                // Of the server's drive: the client has none.
                super::ext4::disk::format(base, &server::options(&config), &mut arena)?
            }
            Mount::Tmpfs => Vec::new(),
        };
        let flash = Flash::format(&config.drive, &blocks);
        let base = config.history.then(|| base.clone());
        Ok(Self { config, arena, flash, base })
    }

    /// All files that a mount would show, without mounting: the journal is replayed in memory.
    ///
    /// # Errors
    /// What a mount would refuse.
    pub fn image(&mut self) -> Result<Image, MountError> {
        if self.config.mount == Mount::Tmpfs {
            return Ok(Image::new());
        }
        let Self { config, flash, arena, .. } = self;
        let loaded =
            super::ext4::disk::recover_sabotaged(&|lba| flash.peek(lba), arena, config.sabotage)?;
        super::ext4::disk::image(&loaded, &|lba| flash.peek(lba), arena)
    }

    /// Switches the machine on, and waits until the file system is mounted.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn mount(mut self, seed: u64) -> Result<Sim, MountError> {
        if self.base.is_none() && self.config.history {
            self.base = Some(self.image()?);
        }
        let sim = self.boot(seed)?;
        sim.wait_mounted();
        Ok(sim)
    }

    /// Switches the machine on; the file system is still to be mounted, event by event.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn boot(self, seed: u64) -> Result<Sim, MountError> {
        Machine::boot(self, seed).map(Sim::of)
    }

    /// The bytes of a block.
    #[must_use]
    pub fn read(&self, lba: Lba) -> &[u8] {
        self.arena.bytes(self.flash.peek(lba))
    }

    /// Damages a block, for tests of what a mount does then.
    pub fn write(&mut self, lba: Lba, bytes: &super::arena::Bytes) {
        let content = self.arena.put(bytes);
        self.flash.poke(lba, content);
    }

    /// What stands where, as a number: equal media have equal ones.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut digest = Digest::default();
        for lba in 0..self.config.drive.blocks {
            let content = self.flash.peek(Lba(lba));
            if content != BlockId::ZERO {
                let bytes = crate::ops::digest::bytes_digest(self.arena.bytes(content));
                digest.add(u64::from(lba));
                digest.add(bytes.0);
                digest.add(bytes.1);
            }
        }
        digest
    }
}
