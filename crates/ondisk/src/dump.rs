//! Any file of a store as text, by its magic.
//!
//! Invariant: reads alone. What is damaged is said where it stands, after what was whole.

use std::fmt::{self, Write};
use std::io;
use std::path::Path;

use ondisk_fs::{Access, FileSystem};

use crate::backup;
use crate::backup::list::{self, List};
use crate::backup::part::PART_MAGIC;
use crate::bitcask::data_file::scan::{Depth, Scan};
use crate::bitcask::data_file::{DATA_MAGIC, DataFile, Span};
use crate::bitcask::hint::{HINT_MAGIC, HintReader, Kind};
use crate::bitcask::manifest::{self, Manifest};
use crate::btree::{self, meta::META_MAGIC};
use crate::catalog::{self, Catalog};
use crate::error::{Damage, Error};
use crate::lsm::manifest as lsm_manifest;
use crate::lsm::table::{self, format::TABLE_MAGIC};
use crate::values;

/// More than the longest of our magics takes; what a log's header needs to be known by.
const FIRST_BYTES: usize = 4096;

/// Writes a file of a store as text: an anchor, a segment of the log, the catalog, a value file, a
/// file of an engine, or one of its backups.
///
/// # Errors
/// [`Error::NotAFile`] when it is none of them; [`Error::Io`]; [`Error::NewerFormat`];
/// [`Error::Damaged`] or [`Error::Log`] behind what could be shown.
pub fn dump(
    fs: &dyn FileSystem,
    file: impl AsRef<Path>,
    out: &mut dyn fmt::Write,
) -> Result<(), Error> {
    let path = file.as_ref();
    let mut text = String::new();
    let dumped = dump_to(fs, path, &mut text);
    // What can be shown is shown, also in front of damage.
    let written = out.write_str(&text);
    dumped?;
    written.map_err(|error| Error::io(path, "write the text")(io::Error::other(error)))
}

fn dump_to(fs: &dyn FileSystem, path: &Path, out: &mut String) -> Result<(), Error> {
    let file = fs.open(path, Access::Read).map_err(Error::io(path, "open the file"))?;
    let len = file.size().map_err(Error::io(path, "ask for the file's length"))?;
    let all = |limit: u64| {
        let mut bytes = vec![0; usize::try_from(len.min(limit)).unwrap_or_default()];
        let read = file.read_exact_at(&mut bytes, 0);
        read.map_err(Error::io(path, "read the file")).map(|()| bytes)
    };
    let first = all(FIRST_BYTES as u64)?;
    if first.starts_with(&manifest::SEALED.magic) {
        let manifest = Manifest::decode(path, &all(manifest::SEALED.longest)?)?;
        return write(path, out, |out| write_manifest(out, &manifest));
    }
    if first.starts_with(&lsm_manifest::SEALED.magic) {
        let bytes = all(lsm_manifest::SEALED.longest)?;
        let manifest = lsm_manifest::Manifest::decode(path, &bytes)?;
        return write(path, out, |out| lsm_manifest::dump::dump(&manifest, out));
    }
    if first.starts_with(&list::SEALED.magic) {
        let list = List::decode(path, &all(list::SEALED.longest)?)?;
        return write(path, out, |out| backup::dump::list(out, &list));
    }
    if first.starts_with(&PART_MAGIC) {
        return backup::dump::part(fs, path, out);
    }
    if first.starts_with(&DATA_MAGIC) {
        return dump_data(fs, path, out);
    }
    if first.starts_with(&HINT_MAGIC) {
        return dump_hint(fs, path, out);
    }
    if first.starts_with(&TABLE_MAGIC) {
        return table::dump::dump(fs, path, out);
    }
    if first.starts_with(&catalog::SEALED.magic) {
        let catalog = Catalog::decode(path, &all(catalog::SEALED.longest)?)?;
        return write(path, out, |out| write_catalog(out, &catalog));
    }
    if first.starts_with(&values::MAGIC) {
        let line = values::describe(path, &*file)?;
        return write(path, out, |out| out.write_str(&line));
    }
    if first.starts_with(&META_MAGIC) {
        return btree::dump::dump(fs, path, out);
    }
    match ondisk_log::dump::kind(&first) {
        Some("anchor") => Ok(ondisk_log::dump::anchor(&first, path, out)?),
        Some(_) => Ok(ondisk_log::dump::segment(file, path, out)?),
        None => Err(Error::NotAFile { path: path.to_owned() }),
    }
}

fn write(
    path: &Path,
    out: &mut String,
    body: impl FnOnce(&mut String) -> fmt::Result,
) -> Result<(), Error> {
    body(out).map_err(|error| Error::io(path, "write the text")(io::Error::other(error)))
}

fn write_catalog(out: &mut String, catalog: &Catalog) -> fmt::Result {
    let Catalog { store, released, next_id, keyspaces } = catalog;
    writeln!(out, "catalog, store {store}")?;
    writeln!(out, "  the log may forget all through LSN {released}")?;
    writeln!(out, "  next keyspace {next_id}, keyspaces {}", keyspaces.len())?;
    for listed in keyspaces {
        let (id, name, options) = (listed.id, listed.name.escape_default(), listed.options);
        let (through, edit) = (listed.confirmed.through, listed.confirmed.edit);
        writeln!(out, "  keyspace {id} `{name}`: {options}")?;
        writeln!(out, "    commit point {edit} was durable: checkpoint LSN {through}")?;
    }
    Ok(())
}

fn write_manifest(out: &mut String, manifest: &Manifest) -> fmt::Result {
    let Manifest { store, keyspace, checkpoint, edit, next_number, files, .. } = manifest;
    writeln!(out, "manifest of keyspace {keyspace}, engine bitcask, store {store}")?;
    writeln!(out, "  commit point {edit}: checkpoint LSN {checkpoint}")?;
    writeln!(out, "  next file {next_number}, files {}", files.len())?;
    for file in files {
        let (number, len, entries, crc) = (file.number, file.len, file.entries, file.crc);
        write!(out, "  file {number}: {len} bytes, {entries} entries, crc {crc:08x}")?;
        if file.hint_len > 0 {
            write!(out, ", {} bytes of hints", file.hint_len)?;
        }
        if file.span != Span::UNKNOWN {
            write!(out, ", commits above {} through {}", file.span.after, file.span.through)?;
        }
        writeln!(out)?;
    }
    Ok(())
}

fn dump_data(fs: &dyn FileSystem, path: &Path, out: &mut String) -> Result<(), Error> {
    // No manifest is at hand, so the file is taken at its word; its entries are verified.
    let (data, identity, record, span) = DataFile::open_alone(fs, path)?;
    write(path, out, |out| {
        let (store, keyspace, number) = (identity.store, identity.keyspace, identity.number);
        writeln!(out, "data file {number} of keyspace {keyspace}, store {store}")?;
        writeln!(
            out,
            "  {} bytes, commits above {} through {}",
            record.len, span.after, span.through
        )
    })?;
    let mut scan = Scan::new(&data, record, span, Depth::All);
    loop {
        let entry = match scan.next() {
            Ok(Some(entry)) => entry,
            // The manifest alone knows how many entries and which sum the whole file has.
            Ok(None) => return Ok(()),
            Err(Error::Damaged { damage: Damage::EntryCount { .. } | Damage::FileSum, .. }) => {
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let (offset, lsn, len) = (entry.place.offset, entry.place.lsn, entry.place.value_len);
        let key = entry.key.escape_ascii();
        write(path, out, |out| {
            if entry.tombstone {
                writeln!(out, "  {offset}: lsn {lsn} delete {key}")
            } else {
                writeln!(out, "  {offset}: lsn {lsn} put {key} ({len} bytes)")
            }
        })?;
    }
}

fn dump_hint(fs: &dyn FileSystem, path: &Path, out: &mut String) -> Result<(), Error> {
    let (mut reader, identity, record) = HintReader::open_alone(fs, path)?;
    write(path, out, |out| {
        let (store, keyspace, number) = (identity.store, identity.keyspace, identity.number);
        writeln!(out, "hint file {number} of keyspace {keyspace}, store {store}")?;
        let (len, entries, crc) = (record.len, record.entries, record.crc);
        writeln!(out, "  for a data file of {len} bytes, {entries} entries, crc {crc:08x}")
    })?;
    while let Some(hints) = reader.next_section()? {
        write(path, out, |out| {
            hints.iter().try_for_each(|hint| {
                let (offset, lsn, len) = (hint.place.offset, hint.place.lsn, hint.place.value_len);
                let key = hint.key.escape_ascii();
                match hint.kind {
                    Kind::Put => writeln!(out, "  {offset}: lsn {lsn} put {key} ({len} bytes)"),
                    Kind::Tombstone => writeln!(out, "  {offset}: lsn {lsn} delete {key}"),
                }
            })
        })?;
    }
    Ok(())
}
