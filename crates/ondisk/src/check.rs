//! Verifies every byte of a store, and writes nothing.
//!
//! Invariant: what is wrong with the store is a finding, not an error; an error says that it
//! could not be judged.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ondisk_fs::FileSystem;
use ondisk_log::{Flow, Log, LogError, Lsn, Recovered, TornTail};

use crate::bitcask::data_file::Sums;
use crate::bitcask::data_file::scan::{Depth, Scan};
use crate::bitcask::manifest::Manifest;
use crate::bitcask::{Opened, open_file, read_manifest};
use crate::error::Error;
use crate::open::{HALF_MADE, NOTHING_HERE, check_together, lock_shared, read_commit};
use crate::place::{Standing, keyspace_dir, log_dir, not_a_store, survey};

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
    /// Keys that have a value.
    pub keys: u64,
    /// Bytes of the log's groups and of the data files.
    pub bytes: u64,
    /// Data files.
    pub files: u64,
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

/// Verifies every byte of a store that no writer has open: every group of the log, the manifest,
/// every entry of every data file. Writes nothing.
///
/// # Errors
/// [`Error::NotAStore`], [`Error::Locked`], [`Error::NewerFormat`], [`Error::Io`]: the store could
/// not be judged. Damage is no error but a finding.
pub fn check(fs: &dyn FileSystem, path: impl AsRef<Path>) -> Result<CheckReport, Error> {
    let path = path.as_ref();
    let mut check = Check::default();
    match check.note(survey(fs, path))? {
        Some(Standing::Store) | None => {}
        Some(Standing::HalfMade) => return Err(not_a_store(path, HALF_MADE)),
        Some(Standing::Absent | Standing::Empty) => return Err(not_a_store(path, NOTHING_HERE)),
    }
    let _held = lock_shared(fs, path)?;
    let manifest = check.engine(fs, &keyspace_dir(path))?;
    check.log(fs, path, manifest.as_ref())?;
    Ok(check.report)
}

#[derive(Debug, Default)]
struct Check {
    report: CheckReport,
    keys: BTreeSet<Vec<u8>>,
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

    fn engine(&mut self, fs: &dyn FileSystem, dir: &Path) -> Result<Option<Manifest>, Error> {
        let Some(manifest) = self.note(read_manifest(fs, dir))? else { return Ok(None) };
        let mut after = Lsn(0);
        for &record in &manifest.files {
            let opened = open_file(fs, dir, &manifest, record, after, Sums::Checked);
            if let Some(file) = self.note(opened)? {
                after = file.span.through;
                self.data_file(&file)?;
            }
        }
        Ok(Some(manifest))
    }

    fn data_file(&mut self, file: &Opened) -> Result<(), Error> {
        self.report.files += 1;
        self.report.bytes += file.record.len;
        let mut scan = Scan::new(&file.data, file.record, file.span, Depth::All);
        loop {
            let place = scan.place();
            match scan.next() {
                Ok(None) => return Ok(()),
                Ok(Some(entry)) if entry.tombstone => {
                    self.keys.remove(entry.key);
                }
                Ok(Some(entry)) => {
                    self.keys.insert(entry.key.to_vec());
                }
                Err(error) => {
                    self.note(Err::<(), _>(error))?;
                    if scan.place() == place {
                        return Ok(()); // where the next entry begins is not known
                    }
                }
            }
        }
    }

    fn log(
        &mut self,
        fs: &dyn FileSystem,
        path: &Path,
        manifest: Option<&Manifest>,
    ) -> Result<(), Error> {
        let dir = log_dir(path);
        let mut refused = None;
        let checkpoint = manifest.map_or(Lsn(0), |manifest| manifest.checkpoint);
        // From the first commit that the log still has: what a checkpoint holds is verified too.
        let mut sink = |lsn, payload| {
            self.report.records += 1;
            match read_commit(&dir, lsn, payload) {
                Ok(commit) if lsn > checkpoint => {
                    for op in commit.ops() {
                        let key = op.key.of(commit.payload());
                        match op.value {
                            Some(_) => drop(self.keys.insert(key.to_vec())),
                            None => drop(self.keys.remove(key)),
                        }
                    }
                }
                Ok(_) => {}
                Err(error) => {
                    refused = Some(error);
                    return Flow::Full;
                }
            }
            Flow::Continue
        };
        let read = Log::read(fs, &dir, Lsn(0), &mut sink).map_err(Error::from);
        if let Some(error) = refused {
            self.note(Err::<(), _>(error))?;
        }
        let recovered = self.note(read)?;
        self.report.keys = self.keys.len() as u64;
        let Some(recovered) = recovered else { return Ok(()) };
        if let Some(manifest) = manifest {
            self.note(check_together(&keyspace_dir(path), manifest, &recovered))?;
        }
        let Recovered { end, was_closed, torn_tail, above_watermark, bytes, .. } = recovered;
        self.report.bytes += bytes;
        self.report.end = end;
        self.report.was_closed = was_closed;
        self.report.torn_tail = torn_tail;
        self.report.above_watermark = above_watermark;
        Ok(())
    }
}
