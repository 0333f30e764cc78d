//! A manifest of sorted tables as text, a line for each table.
//!
//! Invariant: all that a manifest says is in the text.

use std::fmt::{self, Write};

use super::Manifest;

/// Writes a manifest as text.
pub(crate) fn dump(manifest: &Manifest, out: &mut String) -> fmt::Result {
    let Manifest { store, keyspace, through, edit, next_number, levels } = manifest;
    writeln!(out, "manifest of keyspace {keyspace}, engine lsm, store {store}")?;
    writeln!(out, "  commit point {edit}: through LSN {through}")?;
    let count: usize = levels.iter().map(Vec::len).sum();
    writeln!(out, "  next table {next_number}, tables {count}")?;
    for (level, tables) in levels.iter().enumerate() {
        for table in tables {
            let (number, len, crc) = (table.number, table.len, table.crc);
            let (entries, tombstones) = (table.entries, table.tombstones);
            write!(out, "  level {level}: table {number}: {len} bytes, {entries} entries, ")?;
            write!(out, "{tombstones} of them tombstones, LSN {} ", table.oldest)?;
            write!(out, "to {}, crc {crc:08x}, ", table.newest)?;
            let (first, last) = (table.first.escape_ascii(), table.last.escape_ascii());
            writeln!(out, "keys {first} to {last}")?;
        }
    }
    Ok(())
}
