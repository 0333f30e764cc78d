//! How a keyspace of sorted tables goes from one version to the next: durably, and as a whole.
//!
//! Invariant: tables are durable, then the manifest names them, then readers see them; what is
//! replaced is removed after. The log is durable through all that a manifest holds. No two
//! manifests have the same number, not even one whose installation failed.

use std::path::PathBuf;
use std::sync::Arc;

use ondisk_fs::{Kind, create_dir_durable, temp_path};

use crate::engine::{Pins, Work};
use crate::error::Error;
use crate::lsm::Lsm;
use crate::lsm::graveyard::remove;
use crate::lsm::manifest::{self, Manifest, manifest_path};
use crate::lsm::output::Output;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::table::file_number;
use crate::lsm::version::{Edit, Version};
use crate::sealed::overwrite;

impl Lsm {
    /// Makes the directory and a manifest without tables, durably, where there is none yet. So
    /// from the first table on there is a manifest, and one that is lost is noticed.
    pub(crate) fn found(&self) -> Result<(), Error> {
        let mut tried = self.installing();
        if self.version().point.edit > 0 {
            return Ok(());
        }
        let site = &self.site;
        let made = if self.breaks(LsmRule::DirectoryNotSynced) {
            site.fs.create_dir(&site.dir)
        } else {
            create_dir_durable(&*site.fs, &site.dir).map(drop)
        };
        made.map_err(Error::io(&site.dir, "make the directory"))?;
        *tried += 1;
        let next = self.version().edited(&Edit::default(), *tried);
        manifest::install(&*site.fs, &site.dir, &self.manifest(&next))?;
        self.state().publish(self, next);
        Ok(())
    }

    /// Turns the version into the next one. `output` has the tables that come.
    pub(crate) fn install(
        &self,
        edit: &Edit,
        output: Option<&mut Output>,
        claim: Option<u64>,
        work: &Work<'_>,
    ) -> Result<(), Error> {
        let mut tried = self.installing();
        *tried += 1;
        let current = self.version();
        let next = current.edited(edit, *tried);
        let durable = (work.durable)();
        // Else a power cut could keep in the tables what it takes out of the log.
        assert!(
            durable >= next.point.through || self.breaks(LsmRule::AheadOfLog),
            "a manifest through LSN {} while the log is durable through {durable}",
            next.point.through,
        );
        if self.breaks(LsmRule::InputsRemovedEarly) {
            self.remove_early(&current, edit);
        }
        let installed = self.put_in_place(&self.manifest(&next));
        if let Some(output) = output {
            match &installed {
                Ok(()) => output.named(),
                Err(_) if self.breaks(LsmRule::TriedTablesRemoved) => output.discard(),
                Err(_) => output.tried(*tried),
            }
        }
        installed?;
        let goes = current.tables().filter(|it| edit.remove.contains(&it.meta().number));
        let stays = |number| next.tables().any(|it| it.meta().number == number);
        let goes: Vec<_> = goes.filter(|it| !stays(it.meta().number)).map(Arc::clone).collect();
        let newest_pin = work.pins.newest(); // after the manifest: who comes now reads this one
        let mut state = self.state();
        state.publish(self, next);
        state.graveyard.bury(goes, newest_pin);
        if let Some(claim) = claim {
            state.claims.release(claim);
        }
        Ok(())
    }

    /// Removes what nobody needs any more. What cannot be removed now is tried again later.
    pub(crate) fn clear(&self, pins: &dyn Pins) {
        let (oldest, installed) = (pins.oldest(), self.version().point.edit);
        let mut files = self.state().graveyard.take(installed, oldest, self.broken());
        files.retain(|path| remove(&*self.site.fs, path).is_err());
        if !files.is_empty() {
            self.state().graveyard.take_back(files);
        }
    }

    /// Puts the manifest that is in place there once more, durably.
    pub(crate) fn put_anew(&self) -> Result<(), Error> {
        let _tried = self.installing();
        let version = self.version();
        if version.point.edit == 0 || self.breaks(LsmRule::RenewSkipped) {
            return Ok(());
        }
        let (fs, dir) = (&*self.site.fs, &self.site.dir);
        create_dir_durable(fs, dir).map_err(Error::io(dir, "make the directory's name durable"))?;
        manifest::install(fs, dir, &self.manifest(&version))
    }

    /// Removes the files that the manifest does not name. Nothing else may be at work.
    pub(crate) fn remove_unnamed(&self) -> Result<(), Error> {
        let version = self.version();
        let names: Vec<u64> = version.tables().map(|it| it.meta().number).collect();
        for path in self.unnamed(&names)? {
            remove(&*self.site.fs, &path).map_err(Error::io(&path, "remove the file"))?;
        }
        Ok(())
    }

    /// The manifest of a version.
    pub(crate) fn manifest(&self, version: &Version) -> Manifest {
        let levels = version.levels.each_ref();
        let manifest = Manifest {
            through: version.point.through,
            edit: version.point.edit,
            next_number: self.next_number(),
            levels: levels.map(|it| it.tables().iter().map(|it| it.meta().clone()).collect()),
            ..Manifest::new(self.site.store, self.site.keyspace)
        };
        // What is asserted before a write is checked after the read.
        let contradiction = manifest.contradiction();
        assert!(
            contradiction.is_none(),
            "a manifest in contradiction with itself: {contradiction:?}"
        );
        manifest
    }

    fn put_in_place(&self, manifest: &Manifest) -> Result<(), Error> {
        let (fs, dir) = (&*self.site.fs, &self.site.dir);
        if self.breaks(LsmRule::ManifestInPlace) {
            overwrite(fs, &manifest_path(dir), &manifest.encode())
        } else {
            manifest::install(fs, dir, manifest)
        }
    }

    /// The canary's way.
    fn remove_early(&self, current: &Version, edit: &Edit) {
        let goes = current.tables().filter(|it| edit.remove.contains(&it.meta().number));
        let stays = |number| edit.add.iter().any(|(_, it)| it.meta().number == number);
        for table in goes.filter(|it| !stays(it.meta().number)) {
            remove(&*self.site.fs, table.path()).ok();
        }
    }

    fn unnamed(&self, names: &[u64]) -> Result<Vec<PathBuf>, Error> {
        let (fs, dir) = (&*self.site.fs, &self.site.dir);
        if fs.kind(dir).map_err(Error::io(dir, "look for the directory"))? != Some(Kind::Dir) {
            return Ok(Vec::new());
        }
        let entries = fs.list(dir).map_err(Error::io(dir, "list the directory"))?;
        let prepared = temp_path(&manifest_path(dir));
        let paths = entries.iter().filter(|it| it.kind == Kind::File).filter_map(|entry| {
            let path = dir.join(&entry.name);
            let number = entry.name.to_str().and_then(file_number);
            let goes = number.is_some_and(|number| !names.contains(&number)) || path == prepared;
            goes.then_some(path)
        });
        Ok(paths.collect())
    }
}
