//! The files of backups as text.
//!
//! Invariant: reads alone.

use std::fmt::{self, Write};
use std::path::Path;

use ondisk_fs::FileSystem;

use crate::backup::list::List;
use crate::backup::part::PartReader;
use crate::error::Error;

pub(crate) fn list(out: &mut String, list: &List) -> fmt::Result {
    writeln!(out, "backups of store {}", list.store)?;
    for backup in &list.backups {
        let (number, lsn, largest) = (backup.number, backup.lsn, backup.largest);
        writeln!(out, "backup {number}: LSN {lsn}, largest entry {largest} bytes")?;
        for listed in &backup.keyspaces {
            let (name, options) = (listed.name.escape_default(), listed.options);
            writeln!(out, "  keyspace {} `{name}`: {options}", listed.id)?;
        }
        for part in &backup.parts {
            let (number, keyspace, bytes) = (part.number, part.keyspace, part.bytes);
            let (entries, gone, crc) = (part.entries, part.tombstones, part.crc);
            writeln!(
                out,
                "  part {number} of keyspace {keyspace}: {bytes} bytes, {entries} entries, \
                 {gone} of them gone, crc {crc:08x}"
            )?;
        }
    }
    Ok(())
}

pub(crate) fn part(fs: &dyn FileSystem, path: &Path, out: &mut String) -> Result<(), Error> {
    // No list is at hand, so the file is taken at its word; its frames are verified.
    let (mut reader, identity) = PartReader::open_alone(fs, path)?;
    let (number, backup, lsn) = (identity.part, identity.backup, identity.lsn);
    let (store, keyspace) = (identity.store, identity.keyspace);
    told(out, format_args!("part {number} of backup {backup}, store {store}, LSN {lsn}"));
    told(out, format_args!("  of keyspace {keyspace}"));
    while reader.advance()? {
        let key = reader.key().escape_ascii();
        match reader.value() {
            Some(value) => told(out, format_args!("  put {key} ({} bytes)", value.len())),
            None => told(out, format_args!("  gone {key}")),
        }
    }
    Ok(())
}

fn told(out: &mut String, line: fmt::Arguments<'_>) {
    writeln!(out, "{line}").unwrap_or_default(); // a string takes everything
}
