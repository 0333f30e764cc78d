//! Which engine a keyspace's options name: the one place that knows all of them.

use std::sync::Arc;

use crate::bitcask;
use crate::btree;
use crate::check::Finding;
use crate::engine::{Engine, Site};
use crate::error::Error;
use crate::lsm;
use crate::options::EngineKind;
use crate::salvage::Salvage;

/// Opens the engine of a keyspace. Reads, writes nothing.
pub(crate) fn open(site: Site) -> Result<Arc<dyn Engine>, Error> {
    Ok(match site.options.engine {
        EngineKind::Bitcask => bitcask::open(site)?,
        EngineKind::Lsm => lsm::open(site)?,
        EngineKind::Btree => btree::open(site)?,
    })
}

/// Verifies every byte of a keyspace's files; what is wrong goes to `sink`, as far as the engine
/// can go on behind it. An error of damage says that it could not.
pub(crate) fn verify(site: &Site, sink: &mut dyn FnMut(Finding)) -> Result<(), Error> {
    match site.options.engine {
        EngineKind::Bitcask => bitcask::verify(site, sink),
        EngineKind::Lsm => lsm::verify(site, sink),
        EngineKind::Btree => btree::verify::verify(site, sink),
    }
}

/// Gives out every entry of a keyspace's files that verifies, and every range that does not.
pub(crate) fn salvage(site: &Site, sink: &mut dyn Salvage) -> Result<(), Error> {
    match site.options.engine {
        EngineKind::Bitcask => bitcask::salvage(site, sink),
        EngineKind::Lsm => lsm::salvage(site, sink),
        EngineKind::Btree => btree::salvage::salvage(site, sink),
    }
}
