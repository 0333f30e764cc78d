//! One keyspace's files and keydir: opened, changed by one manifest at a time, looked at through
//! views.
//!
//! Invariant: the newest view is what the data files hold that the installed manifest names, or,
//! while the job that installed it applies it, what those of the one before held. Everything in
//! the directory that no manifest names is removed, but never a file that a manifest may name
//! which a power cut can bring back.
//!
//! Knows nothing of how a job's data file comes about.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use arc_swap::ArcSwap;
use ondisk_fs::{FileSystem, Kind, create_dir_durable};
use ondisk_log::Lsn;

use super::checkpoint::Checkpoint;
use super::data_file::{DataFile, Sums, file_number};
use super::graveyard::{Bury, Graveyard};
use super::hint::hint_number;
use super::keydir::Keydir;
use super::load::{Source, load};
use super::manifest::{DataFileRecord, MANIFEST, Manifest};
use super::merge::pick::{Weight, pick, pressure};
use super::merge::{Merge, Reach};
use super::sabotage::BitcaskRule;
use super::stats;
use super::view::{CaskView, Shared};
use super::{install_manifest, open_file, read_manifest};
use crate::engine::{CommitPoint, Engine, EngineStats, FileKind, Job, Reclaim, Site, View, Work};
use crate::error::{Damage, Error};
use crate::keyspace::Frozen;
use crate::sealed::overwrite;

/// The engine of one keyspace.
#[derive(Debug)]
pub(crate) struct Cask {
    pub(super) site: Site,
    pub(super) shared: Arc<Shared>,
    current: ArcSwap<CaskView>,
    /// Views that were the newest once, and that somebody may hold.
    former: Mutex<Vec<Weak<CaskView>>>,
    installed: Mutex<Installed>,
    /// What `installed` says, for who does not wait for a manifest that is being put in place.
    commit_point: Mutex<CommitPoint>,
    pub(super) written: Mutex<Written>,
    graveyard: Mutex<Graveyard>,
    /// A merge is under way: one at a time.
    merging: AtomicBool,
    pressure: AtomicU32,
    /// Hint files that a manifest names and that could not be read.
    pub(super) hints_lost: u64,
}

/// The right to merge, until it is dropped.
#[derive(Debug)]
pub(super) struct Claim(Arc<Cask>);

impl Drop for Claim {
    fn drop(&mut self) {
        self.0.merging.store(false, Ordering::Release);
    }
}

/// What counts on disk.
#[derive(Debug)]
struct Installed {
    manifest: Manifest,
    /// No attempt takes a number that an earlier one took: of one that failed late it is not
    /// known whether a manifest names its file.
    next_number: u32,
    /// Nor does one take the number of its manifest.
    next_edit: u64,
    /// Files of attempts that failed. A manifest whose installation failed may name them: they go
    /// when one that does not is in place.
    leftovers: Vec<PathBuf>,
}

/// Bytes that jobs wrote since the engine was opened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Written {
    pub(crate) taken_over: u64,
    pub(crate) checkpoint: u64,
    pub(crate) reclaim: u64,
}

/// Opens the engine: reads its manifest and all keys, and writes nothing. Where no manifest
/// stands nothing was ever taken over.
pub(crate) fn open(site: Site) -> Result<Arc<Cask>, Error> {
    let manifest = find_manifest(&site)?;
    let mut manifest = manifest.unwrap_or_else(|| Manifest::new(site.store, site.keyspace));
    let mut keydir = Keydir::new(site.store);
    let ignored = site.breaks(BitcaskRule::SumsIgnored.into());
    let sums = if ignored { Sums::Ignored } else { Sums::Checked };
    let (mut after, mut hints_lost) = (Lsn(0), 0);
    for index in 0..manifest.files.len() {
        let record = manifest.files[index];
        let file = open_file(&*site.fs, &site.dir, &manifest, record, after, sums)?;
        after = file.span.through;
        manifest.files[index] = file.record;
        if load(&site, &file, &mut keydir)? == Source::DataForHint {
            hints_lost += 1;
        }
        let data = file.data.lazily(&site.fs, &site.caches.handles);
        keydir.add_file(record.number, Arc::new(data));
    }
    keydir.count_live();
    let shared = Arc::new(Shared::new(keydir));
    let view = CaskView::new(Arc::clone(&shared), manifest.checkpoint);
    let (through, edit) = (manifest.checkpoint, manifest.edit);
    let (next_number, next_edit) = (manifest.next_number, edit.saturating_add(1));
    let installed = Installed { manifest, next_number, next_edit, leftovers: Vec::new() };
    let cask = Cask {
        site,
        shared,
        current: ArcSwap::from_pointee(view),
        former: Mutex::default(),
        installed: Mutex::new(installed),
        commit_point: Mutex::new(CommitPoint { through, edit }),
        written: Mutex::default(),
        graveyard: Mutex::default(),
        merging: AtomicBool::new(false),
        pressure: AtomicU32::new(0),
        hints_lost,
    };
    cask.look_at_pressure();
    Ok(Arc::new(cask))
}

/// The manifest of the keyspace, if there is one.
pub(super) fn find_manifest(site: &Site) -> Result<Option<Manifest>, Error> {
    let Some(manifest) = read_manifest(&*site.fs, &site.dir)? else { return Ok(None) };
    let differs = [
        (manifest.store != site.store).then_some("store"),
        (manifest.keyspace != site.keyspace).then_some("keyspace"),
    ];
    match differs.into_iter().flatten().next() {
        Some(field) => Err(Error::damaged(&site.dir.join(MANIFEST), 0, Damage::Elsewhere(field))),
        None => Ok(Some(manifest)),
    }
}

impl Cask {
    fn installed(&self) -> MutexGuard<'_, Installed> {
        // A panic while it was held: an assertion, in front of the first change.
        self.installed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All commits through this one are in the files that the manifest names.
    pub(super) fn checkpoint_lsn(&self) -> Lsn {
        self.commit_point().through
    }

    pub(super) fn breaks(&self, rule: BitcaskRule) -> bool {
        self.site.breaks(rule.into())
    }

    pub(super) fn graveyard(&self) -> MutexGuard<'_, Graveyard> {
        self.graveyard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a file that a manifest names one that keys can have places in.
    pub(super) fn add_file(&self, number: u32, data: DataFile) {
        let data = data.lazily(&self.site.fs, &self.site.caches.handles);
        self.shared.keydir_mut().add_file(number, Arc::new(data));
    }

    /// Makes the directory, durably; one that is there already is made durable too.
    pub(super) fn make_dir(&self) -> Result<(), Error> {
        let (fs, dir) = (&*self.site.fs, &self.site.dir);
        let made = if self.breaks(BitcaskRule::DirectoryNotSynced) {
            fs.create_dir(dir).or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(()),
                _ => Err(error),
            })
        } else {
            create_dir_durable(fs, dir).map(drop)
        };
        made.map_err(Error::io(dir, "make the directory"))
    }

    /// The number of a new data file: no other ever had it.
    pub(super) fn take_number(&self) -> u32 {
        let mut installed = self.installed();
        let number = installed.next_number;
        if !self.breaks(BitcaskRule::NumberReused) {
            installed.next_number = number.saturating_add(1);
        }
        number
    }

    /// Puts a changed manifest in place, durably: from here on its files are the keyspace.
    /// After an error either may be in place.
    pub(super) fn install(
        &self,
        work: &Work<'_>,
        change: impl FnOnce(&mut Manifest),
    ) -> Result<(), Error> {
        let mut installed = self.installed();
        let mut manifest = installed.manifest.clone();
        change(&mut manifest);
        (manifest.next_number, manifest.edit) = (installed.next_number, installed.next_edit);
        if self.breaks(BitcaskRule::NumberReused) {
            manifest.next_number = manifest.next_number.saturating_add(1);
        }
        installed.next_edit += 1;
        let (through, edit) = (manifest.checkpoint, manifest.edit);
        // Else a power cut could keep in the engine what it takes out of the log.
        let durable = (work.durable)();
        assert!(
            durable >= through || self.breaks(BitcaskRule::AheadOfLog),
            "a manifest through LSN {through} while the log is durable through {durable}",
        );
        let (fs, dir) = (&*self.site.fs, &self.site.dir);
        if self.breaks(BitcaskRule::ManifestInPlace) {
            overwrite(fs, &dir.join(MANIFEST), &manifest.encode())?;
        } else {
            install_manifest(fs, dir, &manifest)?;
        }
        installed.next_number = installed.next_number.max(manifest.next_number);
        installed.manifest = manifest;
        *self.commit_point.lock().unwrap_or_else(PoisonError::into_inner) =
            CommitPoint { through, edit };
        installed.leftovers.retain(|path| remove(fs, path).is_err());
        Ok(())
    }

    /// Keeps in mind files that cannot be removed before the next manifest is in place.
    pub(super) fn leave(&self, paths: &mut Vec<PathBuf>) {
        if !paths.is_empty() {
            self.installed().leftovers.append(paths);
        }
    }

    /// Makes a newer state the one that everybody sees from here on.
    pub(super) fn publish(&self, through: Lsn) {
        let view = Arc::new(CaskView::new(Arc::clone(&self.shared), through));
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.current.swap(view);
        former.push(Arc::downgrade(&before));
    }

    /// The oldest view that somebody may hold.
    pub(super) fn oldest_view(&self) -> Lsn {
        if self.breaks(BitcaskRule::ViewsIgnored) {
            return Lsn(u64::MAX);
        }
        let mut former = self.former.lock().unwrap_or_else(PoisonError::into_inner);
        former.retain(|view| view.strong_count() > 0);
        let held = former.iter().filter_map(Weak::upgrade).map(|view| view.through());
        held.min().unwrap_or_else(|| self.current.load().through())
    }

    /// The files in the directory that the manifest does not name.
    fn unnamed_files(&self, manifest: &Manifest) -> Result<Vec<PathBuf>, Error> {
        let dir = &self.site.dir;
        let entries = match self.site.fs.list(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io(dir, "list the directory"))?,
        };
        let named = |number| manifest.files.iter().any(|file| file.number == number);
        let unnamed = entries.iter().filter(|entry| entry.kind == Kind::File).filter(|entry| {
            let name = entry.name.to_str().unwrap_or_default();
            let number = file_number(name).or_else(|| hint_number(name));
            number.is_some_and(|number| !named(number))
        });
        Ok(unnamed.map(|entry| dir.join(&entry.name)).collect())
    }

    /// The files that count, and what each of them weighs. One whose entries are on their way to
    /// the keydir is left out: nobody can say what of it lives.
    pub(super) fn weights(&self) -> (Vec<DataFileRecord>, Vec<Weight>) {
        let shown = self.current.load().through();
        let mut files = self.installed().manifest.files.clone();
        files.retain(|file| file.span.through <= shown);
        let keydir = self.shared.keydir();
        let weigh = |(index, file): (usize, &DataFileRecord)| {
            Weight::new(index, file.len, keydir.usage(file.number))
        };
        let weights = files.iter().enumerate().map(weigh).collect();
        (files, weights)
    }

    /// What pressure there is, is what it was here.
    pub(super) fn look_at_pressure(&self) {
        let (_, weights) = self.weights();
        self.pressure.store(pressure(&weights), Ordering::Relaxed);
    }

    fn claim(self: &Arc<Self>) -> Option<Claim> {
        let claimed = !self.merging.swap(true, Ordering::Acquire);
        claimed.then(|| Claim(Arc::clone(self)))
    }
}

impl Engine for Cask {
    fn view(&self) -> Arc<dyn View> {
        self.current.load_full()
    }

    fn commit_point(&self) -> CommitPoint {
        *self.commit_point.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self) -> Result<(), Error> {
        let installed = self.installed();
        if installed.manifest.edit == 0 || self.breaks(BitcaskRule::RenewSkipped) {
            return Ok(()); // there is nothing to put in place
        }
        self.make_dir()?;
        install_manifest(&*self.site.fs, &self.site.dir, &installed.manifest)
    }

    fn sweep(&self) -> Result<(), Error> {
        let installed = self.installed();
        for path in self.unnamed_files(&installed.manifest)? {
            let removed = remove(&*self.site.fs, &path);
            removed.map_err(Error::io(&path, "remove a file that belongs to nothing"))?;
        }
        Ok(())
    }

    fn checkpoint(self: Arc<Self>, frozen: Frozen) -> Box<dyn Job> {
        Box::new(Checkpoint::new(self, frozen))
    }

    fn reclaim(self: Arc<Self>, want: Reclaim) -> Option<Box<dyn Job>> {
        let claim = self.claim()?;
        let (files, weights) = self.weights();
        if let Some(run) = pick(&weights, want) {
            let reach = if run.start == 0 { Reach::Oldest } else { Reach::Inner };
            return Some(Box::new(Merge::new(claim, self, files.get(run)?, reach)));
        }
        drop(claim);
        let free = self.graveyard().has_untried(&self.shared.keydir());
        if free { Some(Box::new(Bury(self))) } else { None }
    }

    fn pressure(&self) -> u32 {
        self.pressure.load(Ordering::Relaxed)
    }

    fn stats(&self) -> EngineStats {
        stats::stats(self)
    }

    fn files(&self) -> Vec<FileKind> {
        stats::files()
    }
}

/// Removes a file; one that is not there is no error.
pub(super) fn remove(fs: &dyn FileSystem, path: &Path) -> io::Result<()> {
    match fs.remove(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

#[cfg(test)]
pub(super) mod tests;
