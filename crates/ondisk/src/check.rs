//! Verifies every byte of a store, and writes nothing.
//!
//! Invariant: what is wrong with the store is a finding, not an error; an error says that it
//! could not be judged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use ondisk_fs::FileSystem;
use ondisk_log::{Flow, Log, LogError, Lsn, Recovered, TornTail};

use crate::cache::Caches;
use crate::catalog::Catalog;
use crate::engine::{EngineStats, Site};
use crate::error::Error;
use crate::keyspaces::site_of;
use crate::open::{
    Engines, HALF_MADE, NOTHING_HERE, Replayed, common_site, lock_shared, read_catalog,
    read_commit, spaces,
};
use crate::place::{Standing, log_dir, not_a_store, refuse_restoring, survey};

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// What is damaged; empty for a store that is whole.
    pub findings: Vec<Finding>,
    /// Where the log of a store that was not closed ends, if something stands behind it.
    pub torn_tail: Option<TornTail>,
    /// The store was closed, so that every change to it is noticed.
    pub was_closed: bool,
    /// Some commits stand above the last watermark: what of them is on disk, this boot's cache
    /// does not tell.
    pub above_watermark: bool,
    /// The last commit in the log.
    pub end: Lsn,
    /// Commits that the log holds.
    pub records: u64,
    /// Keys that have a value, in all keyspaces that are whole.
    pub keys: u64,
    /// Bytes of the log's groups and of the engines' files.
    pub bytes: u64,
    /// The engines' files.
    pub files: u64,
    /// Keyspaces.
    pub keyspaces: u64,
}

/// One thing that is damaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub path: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong there, as a sentence.
    pub what: String,
}

/// Verifies every byte of a store that no writer has open: the catalog, every group of the log,
/// every file of every engine. Writes nothing.
///
/// # Errors
/// [`Error::NotAStore`], [`Error::Locked`], [`Error::NewerFormat`], [`Error::Io`]: the store could
/// not be judged. Damage is no error but a finding.
pub fn check(fs: Arc<dyn FileSystem>, path: impl AsRef<Path>) -> Result<CheckReport, Error> {
    let (fs, path) = (&fs, path.as_ref());
    let mut check = Check::default();
    refuse_restoring(&**fs, path)?;
    match check.note(survey(&**fs, path))? {
        Some(Standing::Store) | None => {}
        Some(Standing::HalfMade) => return Err(not_a_store(path, HALF_MADE)),
        Some(Standing::Absent | Standing::Empty) => return Err(not_a_store(path, NOTHING_HERE)),
    }
    let _held = lock_shared(&**fs, path)?;
    let catalog = check.note(read_catalog(&**fs, path))?;
    if let Some(catalog) = &catalog {
        let site = common_site(fs, catalog.store, Arc::new(Caches::new(CACHE)));
        check.engines(&site, path, catalog)?;
        if check.report.findings.is_empty() {
            check.together(site, path, catalog.clone())?;
        }
    }
    check.log(&**fs, path, catalog.as_ref())?;
    Ok(check.report)
}

/// Bytes of memory for what engines read.
const CACHE: u64 = 64 << 20;

#[derive(Debug, Default)]
struct Check {
    report: CheckReport,
}

impl Check {
    /// Makes damage a finding, and passes on what is no damage.
    fn note<T>(&mut self, result: Result<T, Error>) -> Result<Option<T>, Error> {
        let error = match result {
            Ok(value) => return Ok(Some(value)),
            Err(error) => error,
        };
        let finding = match &error {
            Error::Damaged { path, offset, damage } => {
                Finding { path: path.clone(), offset: *offset, what: damage.to_string() }
            }
            Error::Log(LogError::Damaged { path, offset, damage, durable, end }) => {
                let what = format!(
                    "{damage}; all through LSN {durable} was durable, and what is whole ends at \
                     LSN {end}"
                );
                Finding { path: path.clone(), offset: *offset, what }
            }
            Error::Log(LogError::AnchorMissing { path }) => {
                let what = "the anchor is missing".to_owned();
                Finding { path: path.clone(), offset: 0, what }
            }
            _ => return Err(error),
        };
        self.report.findings.push(finding);
        Ok(None)
    }

    fn engines(&mut self, site: &Site, path: &Path, catalog: &Catalog) -> Result<(), Error> {
        for listed in &catalog.keyspaces {
            let site = site_of(site, path, listed.id, listed.options);
            self.report.keyspaces += 1;
            let findings = &mut self.report.findings;
            let verified = crate::engines::verify(&site, &mut |finding| findings.push(finding));
            self.note(verified)?;
        }
        Ok(())
    }

    /// What holds between the catalog, the engines and the log; and how many keys there are.
    fn together(&mut self, site: Site, path: &Path, catalog: Catalog) -> Result<(), Error> {
        let fs = Arc::clone(&site.fs);
        let Some(engines) = self.note(Engines::open(site, path, catalog))? else { return Ok(()) };
        let mut replayed = Replayed::of(&engines);
        let log = log_dir(path);
        let mut sink = |lsn, payload: Bytes| replayed.take(&log, lsn, &payload, u64::MAX);
        let read = Log::read(&*fs, &log, engines.replay_from(), &mut sink).map_err(Error::from);
        // What is wrong with the log alone is found when all of it is read.
        let Ok(recovered) = read else { return Ok(()) };
        if replayed.failure.is_some() {
            return Ok(());
        }
        if self.note(engines.check_together(path, &recovered))?.is_none() {
            return Ok(());
        }
        let Engines { catalog, site, opened } = engines;
        for space in spaces(&site, path, &catalog, replayed.young, opened)? {
            let mut range = crate::snapshot::range(&space.generations(), .., recovered.end);
            while let Some(true) = self.note(range.advance())? {
                self.report.keys += 1;
                if space.values.are_there() {
                    self.note(range.value().map(drop))?;
                }
            }
            let EngineStats { files, .. } = space.engine.stats();
            self.report.files += files.values().map(|it| it.count).sum::<u64>();
            self.report.bytes += files.values().map(|it| it.bytes).sum::<u64>();
        }
        Ok(())
    }

    fn log(
        &mut self,
        fs: &dyn FileSystem,
        path: &Path,
        catalog: Option<&Catalog>,
    ) -> Result<(), Error> {
        let dir = log_dir(path);
        let mut refused = None;
        let next_id = catalog.map_or(u32::MAX, |catalog| catalog.next_id);
        // From the first commit that the log still has: what a checkpoint holds is verified too.
        let mut sink = |lsn, payload| {
            self.report.records += 1;
            match read_commit(&dir, lsn, payload, next_id) {
                Ok(_) => Flow::Continue,
                Err(error) => {
                    refused = Some(error);
                    Flow::Full
                }
            }
        };
        let read = Log::read(fs, &dir, Lsn(0), &mut sink).map_err(Error::from);
        if let Some(error) = refused {
            self.note(Err::<(), _>(error))?;
        }
        let Some(recovered) = self.note(read)? else { return Ok(()) };
        let Recovered { end, was_closed, torn_tail, above_watermark, bytes, .. } = recovered;
        self.report.bytes += bytes;
        self.report.end = end;
        self.report.was_closed = was_closed;
        self.report.torn_tail = torn_tail;
        self.report.above_watermark = above_watermark;
        Ok(())
    }
}
