//! A file of pages as text.
//!
//! Invariant: reads alone. The tree is shown from its root, so that what is damaged is said where it
//! would be read.

use std::fmt::Write;
use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ondisk_fs::{Access, FileSystem};

use crate::btree::cache::Table;
use crate::btree::meta::{META, Meta, Place};
use crate::btree::page::{Content, Expected, Kind, PageRef, Shape};
use crate::btree::read_free_list;
use crate::btree::space::Run;
use crate::btree::tree::{Counters, Refs, Tree};
use crate::cache::Cache;
use crate::error::Error;

/// Writes both meta pages, the tree of the newer one and its free list as text.
pub(crate) fn dump(fs: &dyn FileSystem, path: &Path, out: &mut String) -> Result<(), Error> {
    let file = fs.open(path, Access::Read).map_err(Error::io(path, "open the file"))?;
    let read = |offset| {
        let mut bytes = [0; META];
        let read = file.read_exact_at(&mut bytes, offset);
        read.map_err(Error::io(path, "read a meta page"))?;
        Meta::decode(path, offset, &bytes)
    };
    let first = read(0)?;
    let second = read(Place::Second.offset(first.page_size))?;
    let meta = if first.edit > second.edit { first } else { second };
    let tree = Tree {
        path: path.to_owned(),
        shape: Shape::new(meta.page_size as usize, meta.store, meta.keyspace),
        file: OnceLock::from(Arc::clone(&file)),
        table: Arc::new(Table::new(&Arc::new(Cache::new(0)))),
        counters: Counters::default(),
        refs: Refs::Checked,
    };
    let written = |result: std::fmt::Result| {
        result.map_err(|error| Error::io(path, "write the text")(io::Error::other(error)))
    };
    let Meta { store, keyspace, page_size, .. } = meta;
    written(writeln!(out, "pages of keyspace {keyspace}, {page_size} bytes each, store {store}"))?;
    written([first, second].iter().try_for_each(|meta| write_meta(out, meta)))?;
    if let Some(level) = meta.height.checked_sub(1) {
        node(&tree, meta.root, level, out)?;
    }
    let list = read_free_list(&tree, &meta)?.unwrap_or_default();
    let runs = |runs: &[Run]| {
        runs.iter().map(|run| format!(" {}+{}", run.first, run.len)).collect::<String>()
    };
    written(writeln!(out, "  free:{}", runs(&list.free)))?;
    written(writeln!(out, "  held:{}", runs(&list.held)))
}

fn write_meta(out: &mut String, meta: &Meta) -> std::fmt::Result {
    let Meta { edit, through, height, page_count, entries, free_pages, .. } = meta;
    let (root, list) = (meta.root.number, meta.free_list.page.number);
    writeln!(out, "  commit point {edit}: checkpoint LSN {through}, {entries} keys")?;
    writeln!(
        out,
        "    root {root}, height {height}, {page_count} pages, {free_pages} free, listed at {list}"
    )
}

fn node(tree: &Tree, at: PageRef, level: u8, out: &mut String) -> Result<(), Error> {
    let want = Expected { number: at.number.get(), sum: Some(at.sum.get()) };
    let page = tree.read_page(want, tree.shape.longest_node())?;
    let (number, count, generation) = (page.number, page.count(), page.generation);
    let (prefix, kind) = (page.tail().escape_ascii(), page.kind);
    let name = if kind == Kind::Leaf { "leaf" } else { "branch" };
    let mut text = format!(
        "  page {number}: {name} of edit {generation}, {count} entries, prefix \"{prefix}\"\n"
    );
    for index in 0..count {
        let suffix = page.suffix(index).escape_ascii();
        let entry = match page.content(index) {
            _ if kind != Kind::Leaf => format!("{suffix} page {}", page.child(index).number),
            Content::Inline(value) => format!("{suffix} ({} bytes)", value.len()),
            Content::Blob(blob) => {
                format!("{suffix} ({} bytes at page {})", blob.len, blob.page.number)
            }
        };
        text.push_str(&format!("    {}\n", entry.trim_start()));
    }
    out.push_str(&text);
    if kind == Kind::Leaf || page.level != level {
        return Ok(());
    }
    (0..count).try_for_each(|index| node(tree, page.child(index), level.saturating_sub(1), out))
}
