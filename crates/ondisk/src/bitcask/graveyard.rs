//! Files that were merged, until nobody reads them any more.
//!
//! Invariant: a file is removed only when the manifest that does not name it is durable, no view
//! has a place in it, nobody in this process holds it, and no reader in another process came
//! before it was obsolete.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_log::Lsn;

use super::cask::{Cask, remove};
use super::data_file::file_name;
use super::hint::hint_name;
use super::keydir::Keydir;
use super::sabotage::BitcaskRule;
use crate::engine::{Job, Pins, Progress, Work};
use crate::error::Error;

/// The files that wait.
#[derive(Debug, Default)]
pub(crate) struct Graveyard(Vec<Obsolete>);

/// A data file, with its hint file, that no manifest names any more.
#[derive(Debug)]
struct Obsolete {
    number: u32,
    /// Former places up to those that this checkpoint replaced may be in it.
    replaced: Option<Lsn>,
    /// The newest reader in another process that may have opened it.
    pin: u64,
    /// It was looked at when no view had a place in it.
    tried: bool,
}

impl Graveyard {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a file in, when no key has its place in it any more.
    pub(super) fn add(&mut self, number: u32, keydir: &Keydir, pins: &dyn Pins) {
        let replaced = keydir.replaced().map(|(_, last)| last);
        self.0.push(Obsolete { number, replaced, pin: pins.newest(), tried: false });
    }

    /// Whether there is a file that views have let go of since it was looked at.
    pub(super) fn has_untried(&self, keydir: &Keydir) -> bool {
        self.0.iter().any(|it| !it.tried && it.is_free(keydir))
    }
}

impl Obsolete {
    fn is_free(&self, keydir: &Keydir) -> bool {
        let Some(last) = self.replaced else { return true };
        keydir.replaced().is_none_or(|(first, _)| first > last)
    }
}

/// Removes the files that nobody reads any more.
pub(super) fn bury(cask: &Cask, work: &Work<'_>) {
    let pinned = |pin: u64| {
        let reads = work.pins.oldest().is_some_and(|oldest| oldest <= pin);
        reads && !cask.breaks(BitcaskRule::PinsIgnored)
    };
    let mut gone = Vec::new();
    cask.graveyard().0.retain_mut(|it| {
        let mut keydir = cask.shared.keydir_mut();
        if !it.is_free(&keydir) {
            return true;
        }
        it.tried = true;
        let held = keydir.files().get(&it.number).is_some_and(|file| Arc::strong_count(file) > 1);
        if held || pinned(it.pin) {
            return true;
        }
        keydir.remove_file(it.number);
        gone.push(it.number);
        false
    });
    let mut left: Vec<PathBuf> = Vec::new();
    for number in gone {
        for name in [file_name(number), hint_name(number)] {
            let path = cask.site.dir.join(name);
            if remove(&*cask.site.fs, &path).is_err() {
                left.push(path);
            }
        }
    }
    cask.leave(&mut left);
}

/// Removes what views held when it became obsolete.
#[derive(Debug)]
pub(super) struct Bury(pub(super) Arc<Cask>);

impl Job for Bury {
    fn step(&mut self, work: &Work<'_>) -> Result<Progress, Error> {
        bury(&self.0, work);
        Ok(Progress::Finished)
    }
}
