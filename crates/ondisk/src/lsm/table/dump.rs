//! A table as text.
//!
//! Invariant: reads alone. What is damaged is said where it stands, after what was whole.

use std::fmt::{self, Write};
use std::io;
use std::path::Path;

use ondisk_fs::FileSystem;

use super::block::{Entry, EntryKind, Understood};
use super::load::Loaded;
use crate::error::Error;

/// Writes a table as text: what its footer says, its blocks, its entries.
pub(crate) fn dump(fs: &dyn FileSystem, path: &Path, out: &mut String) -> Result<(), Error> {
    // No manifest is at hand, so the file is taken at its word.
    let loaded = Loaded::load_alone(fs, path)?;
    let failed = |fmt::Error| Error::io(path, "write the text")(io::Error::other(fmt::Error));
    write_head(&loaded, out).map_err(failed)?;
    let mut keys = Vec::new();
    for number in 0..loaded.index.blocks() {
        let place = loaded.place(number)?;
        let (stored, block) = (place.end - place.start, loaded.read_block(number)?);
        let raw = block.bytes().len();
        writeln!(out, "  {}: block of {stored} bytes, {raw} unpacked", place.start)
            .map_err(failed)?;
        let read = block.each(&mut keys, &mut |key, entry: &Entry| {
            let (lsn, key, len) = (entry.lsn, key.escape_ascii(), entry.value.len());
            match entry.kind {
                EntryKind::Value => writeln!(out, "    lsn {lsn} put {key} ({len} bytes)"),
                EntryKind::Tombstone => writeln!(out, "    lsn {lsn} delete {key}"),
            }
            .map_err(failed)
        })?;
        if read == Understood::InPart {
            return Err(loaded.malformed(number));
        }
    }
    Ok(())
}

fn write_head(loaded: &Loaded, out: &mut String) -> fmt::Result {
    let footer = &loaded.footer;
    let (number, keyspace) = (footer.identity.number, footer.identity.keyspace);
    writeln!(out, "table {number} of keyspace {keyspace}, store {}", footer.identity.store)?;
    writeln!(
        out,
        "  {} entries, {} tombstones, LSN {} through {}, crc {:08x}",
        footer.entries, footer.tombstones, footer.oldest, footer.newest, footer.crc
    )?;
    let filter = loaded.filter.as_bytes().len();
    writeln!(out, "  {}: filter of {filter} bytes", footer.filter_at)?;
    writeln!(out, "  {}: index of {} blocks", footer.index_at, loaded.index.blocks())
}
