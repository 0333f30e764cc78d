//! Gives out every entry that verifies, of files that may be damaged.
//!
//! Invariant: reads alone. What is given out was verified, key and value; what is passed over is
//! told, with its place. Of a key the entry with the highest LSN counts, so the order of the files
//! does not matter.
//!
//! Behind a damaged head the hint file says where the next entry stands; without one the data
//! file is searched for it, byte by byte.

use std::path::PathBuf;

use ondisk_fs::Kind as FileKind;
use ondisk_log::Lsn;

use super::cask::find_manifest;
use super::data_file::scan::{Depth, Scan};
use super::data_file::{DataFile, HEADER, Identity, Span, Sums, file_name, file_number};
use super::hint::HintReader;
use super::manifest::{DataFileRecord, MANIFEST};
use crate::engine::Site;
use crate::error::Error;
use crate::salvage::{Lost, Salvage};

/// Any commit.
const ANY: Span = Span { after: Lsn(0), through: Lsn(u64::MAX) };

/// Gives out what can be read.
pub(crate) fn salvage(site: &Site, sink: &mut dyn Salvage) -> Result<(), Error> {
    let path = site.dir.join(MANIFEST);
    let records = match find_manifest(site) {
        Ok(Some(manifest)) => manifest.files,
        Ok(None) => {
            let records = all_files(site)?;
            if !records.is_empty() {
                sink.lost(all_taken(path, "the manifest is missing"));
            }
            records
        }
        Err(error @ (Error::Damaged { .. } | Error::Io { .. })) => {
            sink.lost(all_taken(path, &what(&error)));
            all_files(site)?
        }
        Err(error) => return Err(error),
    };
    for record in records {
        salvage_file(site, record, sink)?;
    }
    Ok(())
}

/// What is said where a manifest cannot be read.
fn all_taken(path: PathBuf, why: &str) -> Lost {
    let what = format!(
        "{why}: all data files are read, so a key that was deleted may come back where its \
         deletion was merged away"
    );
    Lost { path, offset: 0, len: 0, lsn: None, what }
}

fn what(error: &Error) -> String {
    match error {
        Error::Damaged { damage, .. } => damage.to_string(),
        Error::Io { op, source, .. } => format!("cannot {op}: {source}"),
        other => other.to_string(),
    }
}

/// Every data file in the directory, as one that nobody vouches for.
fn all_files(site: &Site) -> Result<Vec<DataFileRecord>, Error> {
    let dir = &site.dir;
    let is_there = site.fs.kind(dir).map_err(Error::io(dir, "look at the directory"))?;
    if is_there.is_none() {
        return Ok(Vec::new());
    }
    let entries = site.fs.list(dir).map_err(Error::io(dir, "list the directory"))?;
    let files = entries.iter().filter(|entry| entry.kind == FileKind::File);
    let numbers = files.filter_map(|entry| file_number(entry.name.to_str()?));
    let record =
        |number| DataFileRecord { number, len: 0, entries: 0, crc: 0, span: ANY, hint_len: 0 };
    Ok(numbers.map(record).collect())
}

fn salvage_file(
    site: &Site,
    mut record: DataFileRecord,
    sink: &mut dyn Salvage,
) -> Result<(), Error> {
    let path = site.dir.join(file_name(record.number));
    let mut lost = |offset, len, lsn, what| {
        sink.lost(Lost { path: path.clone(), offset, len, lsn, what });
    };
    let first_lsn = (record.span != ANY && record.span != Span::UNKNOWN).then_some(Lsn(record
        .span
        .after
        .0
        .saturating_add(1)));
    let (data, found) = match DataFile::open_damaged(&*site.fs, &path) {
        Ok(opened) => opened,
        Err(error) => {
            lost(0, record.len, first_lsn, what(&error));
            return Ok(());
        }
    };
    if found < record.len {
        lost(found, record.len - found, first_lsn, format!("the file ends here, at {found} bytes"));
    }
    let named = record;
    let alone = record.len == 0;
    record.len = if alone { found } else { record.len.min(found) };
    match data.identity(Sums::Checked) {
        Ok((identity, span)) => {
            let differs = [
                (identity.store != site.store).then_some("store"),
                (identity.keyspace != site.keyspace).then_some("keyspace"),
                (identity.number != record.number).then_some("number"),
            ];
            if let Some(field) = differs.into_iter().flatten().next() {
                let what = format!("the file belongs elsewhere: its {field} differs");
                lost(0, record.len, None, what);
                return Ok(());
            }
            if first_lsn.is_none() {
                record.span = span;
            }
        }
        Err(error) => {
            lost(0, HEADER as u64, None, what(&error));
            if first_lsn.is_none() {
                record.span = ANY;
            }
        }
    }
    salvage_entries(&data, record, |place| told_by_hint(site, named, place), sink);
    Ok(())
}

/// `told` says where the entry behind one stands that cannot be read, if anybody knows.
fn salvage_entries(
    data: &DataFile,
    record: DataFileRecord,
    told: impl Fn(u64) -> Option<u64>,
    sink: &mut dyn Salvage,
) {
    let mut scan = Scan::new(data, record, record.span, Depth::Keys);
    let mut value = Vec::new();
    let mut key = Vec::new();
    while scan.place() < record.len {
        let place = scan.place();
        let (lsn, error) = match scan.next() {
            Ok(None) => return,
            Ok(Some(entry)) => {
                let (lsn, tombstone) = (entry.place.lsn, entry.tombstone);
                key.clear();
                key.extend_from_slice(entry.key);
                value.clear();
                match scan.read_value(&mut value) {
                    Ok(()) => {
                        sink.entry(&key, (!tombstone).then_some(&value[..]), Some(lsn));
                        continue;
                    }
                    Err(error) => (Some(lsn), error),
                }
            }
            Err(error) => (None, error),
        };
        if scan.place() == place {
            let next = told(place).filter(|&next| next <= record.len);
            let next = next.unwrap_or_else(|| scan.find_entry(place + 1));
            scan.skip_to(next);
        }
        let len = scan.place() - place;
        let path = data.path().to_owned();
        sink.lost(Lost { path, offset: place, len, lsn, what: what(&error) });
    }
}

/// Where the entry behind the one at an offset stands, if the hint file can say it.
fn told_by_hint(site: &Site, record: DataFileRecord, place: u64) -> Option<u64> {
    if record.hint_len == 0 {
        return None;
    }
    let (store, keyspace, number) = (site.store, site.keyspace, record.number);
    let identity = Identity { store, keyspace, number };
    let reader = HintReader::open(&*site.fs, &site.dir, identity, record, Sums::Checked);
    let mut reader = reader.ok()?;
    while let Some(hints) = reader.next_section().ok()? {
        let told = hints.iter().find(|hint| hint.place.offset == place);
        if let Some(hint) = told {
            return Some(hint.place.end(hint.key.len()));
        }
    }
    None
}

#[cfg(test)]
mod tests;
