//! Verifies every byte of a keyspace of sorted tables.
//!
//! Invariant: what is wrong is a finding, one by one, and the other tables are verified all the
//! same; an error of damage says that the manifest cannot tell which tables there are. Writes
//! nothing.

use crate::check::Finding;
use crate::engine::Site;
use crate::error::{Damage, Error};
use crate::lsm::named;
use crate::lsm::table::{Table, file_name};

/// Verifies the manifest, and every table that it names.
pub(crate) fn verify(site: &Site, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    let (manifest, numbers) = named(site)?;
    for meta in manifest.levels.iter().flatten() {
        if numbers.binary_search(&meta.number).is_err() {
            let path = site.dir.join(file_name(meta.number));
            tell(Error::damaged(&path, 0, Damage::Missing), sink);
            continue;
        }
        Table::open(site, meta)?.verify(&mut |error| tell(error, sink))?;
    }
    Ok(())
}

fn tell(error: Error, sink: &mut dyn FnMut(Finding)) {
    if let Error::Damaged { path, offset, damage } = error {
        sink(Finding { path, offset, what: damage.to_string() });
    }
}

#[cfg(test)]
pub(crate) mod tests;
