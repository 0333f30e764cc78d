//! Verifies every byte of the files that a manifest names.
//!
//! Invariant: reads alone. What is wrong with a file is a finding, and the next file is looked at.

use std::path::PathBuf;

use ondisk_log::Lsn;

use super::cask::find_manifest;
use super::data_file::scan::{Depth, Scan};
use super::data_file::{Identity, Place, Sums};
use super::hint::{HintReader, Kind, hint_name};
use super::manifest::DataFileRecord;
use super::{Opened, open_file};
use crate::check::Finding;
use crate::engine::Site;
use crate::error::Error;

/// Verifies every byte of the files that the manifest names: each data file, and that its hint
/// file says of it what is so. That a hint file is damaged costs an open time alone, and is a
/// finding all the same: it was durable once, so the disk has changed it.
pub(crate) fn verify(site: &Site, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let Some(manifest) = find_manifest(site)? else { return Ok(()) };
    let mut after = Lsn(0);
    for &record in &manifest.files {
        match open_file(&*site.fs, &site.dir, &manifest, record, after, Sums::Checked) {
            Ok(file) => {
                after = file.span.through;
                verify_file(site, &file, sink)?;
            }
            Err(error) => note(error, sink)?,
        }
    }
    Ok(())
}

fn verify_file(site: &Site, file: &Opened, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let mut hints = Hints::open(site, file.record, sink)?;
    let mut scan = Scan::new(&file.data, file.record, file.span, Depth::All);
    loop {
        let place = scan.place();
        match scan.next() {
            Ok(None) => break,
            Ok(Some(entry)) => {
                let kind = if entry.tombstone { Kind::Tombstone } else { Kind::Put };
                hints.compare(entry.key, entry.place, kind, sink)?;
            }
            Err(error) => {
                note(error, sink)?;
                if scan.place() == place {
                    return Ok(()); // where the next entry begins is not known
                }
                hints.pass(sink)?;
            }
        }
    }
    hints.pass(sink) // so that its end is looked at
}

/// A hint file, told entry by entry; nothing where there is none, or none that can be read.
#[derive(Debug)]
struct Hints {
    path: PathBuf,
    reader: Option<HintReader>,
    /// What of a section is left, the last entry first.
    ahead: Vec<(Vec<u8>, Place, Kind)>,
}

impl Hints {
    fn open(
        site: &Site,
        record: DataFileRecord,
        sink: &mut dyn FnMut(Finding),
    ) -> Result<Self, Error> {
        let (store, keyspace, number) = (site.store, site.keyspace, record.number);
        let identity = Identity { store, keyspace, number };
        let mut reader = None;
        if record.hint_len > 0 {
            match HintReader::open(&*site.fs, &site.dir, identity, record, Sums::Checked) {
                Ok(opened) => reader = Some(opened),
                Err(error) => note(error, sink)?,
            }
        }
        let path = site.dir.join(hint_name(number));
        Ok(Self { path, reader, ahead: Vec::new() })
    }

    fn next(
        &mut self,
        sink: &mut dyn FnMut(Finding),
    ) -> Result<Option<(Vec<u8>, Place, Kind)>, Error> {
        while self.ahead.is_empty() {
            let Some(reader) = &mut self.reader else { return Ok(None) };
            match reader.next_section() {
                Ok(Some(hints)) => {
                    let ahead = hints.iter().rev();
                    self.ahead = ahead.map(|it| (it.key.to_vec(), it.place, it.kind)).collect();
                }
                Ok(None) => self.reader = None,
                Err(error) => {
                    self.reader = None;
                    note(error, sink)?;
                }
            }
        }
        Ok(self.ahead.pop())
    }

    /// Passes over an entry that the data file cannot tell.
    fn pass(&mut self, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
        self.next(sink).map(drop)
    }

    fn compare(
        &mut self,
        key: &[u8],
        place: Place,
        kind: Kind,
        sink: &mut dyn FnMut(Finding),
    ) -> Result<(), Error> {
        let Some((told, at, as_kind)) = self.next(sink)? else { return Ok(()) };
        if (&told[..], at, as_kind) != (key, place, kind) {
            // A stop: each entry behind it would differ too.
            (self.reader, self.ahead) = (None, Vec::new());
            let (path, offset) = (self.path.clone(), place.offset);
            let what = format!("the data file's entry at {offset} is another than it says");
            sink(Finding { path, offset: 0, what });
        }
        Ok(())
    }
}

/// Makes damage a finding, and passes on what is no damage.
fn note(error: Error, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    match error {
        Error::Damaged { path, offset, damage } => {
            sink(Finding { path, offset, what: damage.to_string() });
            Ok(())
        }
        other => Err(other),
    }
}
