//! Takes out of a keyspace of sorted tables what verifies.
//!
//! Invariant: where the manifest can be read, the tables that it names are read and no others.
//! Where it cannot, all that are there are, those too that compaction had replaced: of each key
//! the newest entry that is left counts, and a key that was deleted may come back, which is said.
//! Writes nothing.

use std::path::Path;

use ondisk_log::Lsn;

use crate::engine::Site;
use crate::error::{Damage, Error};
use crate::lsm::manifest::manifest_path;
use crate::lsm::table::format::Identity;
use crate::lsm::table::salvage::{Lost as Gap, salvage as salvage_table};
use crate::lsm::table::{TableMeta, file_name};
use crate::lsm::{named, table_numbers};
use crate::salvage::{Lost, Salvage};

/// Gives out every entry that verifies, and every range that does not.
pub(crate) fn salvage(site: &Site, sink: &mut dyn Salvage) -> Result<(), Error> {
    let metas = match named(site) {
        Ok((manifest, _)) => manifest.levels.into_iter().flatten().collect(),
        Err(error) if error.is_damage() => {
            sink.lost(whole(&manifest_path(&site.dir), format!(
                "{error}; so every table is taken, those too that were replaced, and deleted keys \
                 may come back"
            )));
            Vec::new()
        }
        Err(error) => return Err(error),
    };
    if metas.is_empty() {
        for number in table_numbers(site)? {
            table(site, number, None, sink)?;
        }
    }
    for meta in &metas {
        table(site, meta.number, Some(meta), sink)?;
    }
    Ok(())
}

fn table(
    site: &Site,
    number: u64,
    meta: Option<&TableMeta>,
    sink: &mut dyn Salvage,
) -> Result<(), Error> {
    let (path, from) = (site.dir.join(file_name(number)), meta.map(|it| it.oldest));
    let mut take = |key: &[u8], lsn: Lsn, value: Option<&[u8]>| {
        sink.entry(key, value, Some(lsn));
        Ok(())
    };
    let identity = Identity { store: site.store, keyspace: site.keyspace, number };
    match salvage_table(&*site.fs, &path, identity, &mut take) {
        Ok(salvaged) => {
            let gaps = salvaged.lost.iter().map(|gap| lost(gap, from));
            gaps.for_each(|it| sink.lost(it));
            Ok(())
        }
        Err(Error::Damaged { damage: damage @ Damage::Missing, .. }) => {
            let len = meta.map_or(0, |it| it.len);
            sink.lost(Lost { len, lsn: from, ..whole(&path, damage.to_string()) });
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// A file of which nothing can be said.
fn whole(path: &Path, what: String) -> Lost {
    Lost { path: path.to_owned(), offset: 0, len: 0, lsn: None, what }
}

/// A part of a table, with the keys that it lay between.
fn lost(gap: &Gap, from: Option<Lsn>) -> Lost {
    let key = |key: &[u8]| format!("`{}`", key.escape_ascii());
    let above = gap.above.as_deref().map_or_else(String::new, |it| format!(" above {}", key(it)));
    let below = gap.below.as_deref().map_or_else(String::new, |it| format!(" below {}", key(it)));
    let between = match (above.is_empty(), below.is_empty()) {
        (false, false) => format!("{above} and{below}"),
        _ => format!("{above}{below}"),
    };
    Lost {
        path: gap.path.clone(),
        offset: gap.place.start,
        len: gap.place.end - gap.place.start,
        lsn: from,
        what: format!(
            "entries with keys{between} do not verify; older values of them may stand in their \
             place"
        ),
    }
}

#[cfg(test)]
mod tests;
