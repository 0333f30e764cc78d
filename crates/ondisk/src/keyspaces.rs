//! The keyspaces of an open store, and the catalog that names them.
//!
//! Invariant: what a keyspace's name or id finds is in the catalog that is installed, and is
//! opened. Looking one up takes no lock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};
use ondisk_fs::{FileSystem, Kind};
use ondisk_log::Lsn;

use crate::catalog::{CATALOG, Catalog, Listed};
use crate::engine::{CommitPoint, Pins, Site};
use crate::error::Error;
use crate::keyspace::{Space, keyspace_dir};
use crate::options::KeyspaceOptions;
use crate::place::keyspaces_dir;
use crate::sabotage::Sabotage;
use crate::sealed::overwrite;
use crate::values::ValueFiles;
use crate::young::Young;

/// Opened keyspaces, by ascending id.
pub(crate) type Spaces = Vec<Arc<Space>>;

#[derive(Debug)]
pub(crate) struct Keyspaces {
    now: ArcSwap<Spaces>,
    listed: Mutex<Installed>,
    path: PathBuf,
    /// What every keyspace of the store is opened with; directory, id and options aside.
    site: Site,
    /// Readers in other processes.
    pins: Arc<dyn Pins>,
}

/// The catalog, as it is installed.
#[derive(Debug)]
struct Installed {
    catalog: Catalog,
    /// Dropped, and somebody may read them still, as may readers up to this number: their files go
    /// when nobody does.
    doomed: Vec<(Arc<Space>, u64)>,
}

impl Keyspaces {
    pub(crate) fn new(
        path: PathBuf,
        site: Site,
        catalog: Catalog,
        spaces: Spaces,
        pins: Arc<dyn Pins>,
    ) -> Self {
        let listed = Mutex::new(Installed { catalog, doomed: Vec::new() });
        Self { now: ArcSwap::from_pointee(spaces), listed, path, site, pins }
    }

    /// The keyspaces of now.
    pub(crate) fn now(&self) -> Arc<Spaces> {
        self.now.load_full()
    }

    /// The keyspaces of now, for a moment: cheaper than [`now`](Self::now).
    pub(crate) fn load(&self) -> Guard<Arc<Spaces>> {
        self.now.load()
    }

    /// Calls `visit` with the keyspace of an id, if there is one.
    pub(crate) fn with<T>(&self, id: u32, visit: impl FnOnce(&Arc<Space>) -> T) -> Option<T> {
        find(&self.now.load(), id).map(visit)
    }

    pub(crate) fn named(&self, name: &str) -> Option<Arc<Space>> {
        self.now.load().iter().find(|space| space.name == name).cloned()
    }

    /// Opens the keyspace of a name; makes it, durably, where there is none. One that is there
    /// must have the options that are asked for, if any are.
    pub(crate) fn open(
        &self,
        name: &str,
        asked: Option<KeyspaceOptions>,
    ) -> Result<Arc<Space>, Error> {
        crate::keyspace::check_name(name)?;
        if let Some(space) = self.named(name) {
            return check_options(space, asked);
        }
        let mut listed = self.listed();
        if let Some(space) = self.named(name) {
            return check_options(space, asked); // made meanwhile
        }
        let options = asked.ok_or_else(|| Error::NoKeyspace { name: name.to_owned() })?;
        options.check()?;
        let mut catalog = listed.catalog.clone();
        let id = match catalog.keyspaces.last() {
            Some(last) if self.site.breaks(Sabotage::KeyspaceIdReused) => last.id + 1,
            _ => catalog.next_id,
        };
        // Never used again, even if installing fails: then a cut may bring the name back.
        catalog.next_id = id.checked_add(1).ok_or(Error::TooManyKeyspaces)?;
        listed.catalog.next_id = catalog.next_id;
        let confirmed = CommitPoint::default();
        catalog.keyspaces.push(Listed { id, name: name.to_owned(), options, confirmed });
        self.install(&catalog)?;
        let engine = crate::engines::open(self.site(id, options))?;
        let values = ValueFiles::open(self.site(id, options))?;
        let (name, young) = (name.to_owned(), Young::new());
        let space = Arc::new(Space::new(id, name, options, young, engine, values));
        listed.catalog = catalog;
        let mut spaces = Spaces::clone(&self.now.load());
        spaces.push(Arc::clone(&space));
        self.now.store(Arc::new(spaces));
        Ok(space)
    }

    /// Takes a keyspace out of the catalog, durably. Its files go when nobody reads them.
    pub(crate) fn remove(&self, space: &Arc<Space>) -> Result<(), Error> {
        let mut listed = self.listed();
        if space.is_dropped() {
            return Err(Error::KeyspaceDropped { name: space.name.clone() });
        }
        let mut catalog = listed.catalog.clone();
        catalog.keyspaces.retain(|it| it.id != space.id);
        if self.site.breaks(Sabotage::DroppedBeforeCatalog) {
            remove_tree(&*self.site.fs, &keyspace_dir(&self.path, space.id)).ok();
        }
        self.install(&catalog)?;
        listed.catalog = catalog;
        space.mark_dropped();
        let mut spaces = Spaces::clone(&self.now.load());
        spaces.retain(|it| it.id != space.id);
        self.now.store(Arc::new(spaces));
        // Behind the catalog: a reader with a higher number has not found the keyspace.
        listed.doomed.push((Arc::clone(space), self.pins.newest()));
        Ok(())
    }

    /// Removes the files of dropped keyspaces that nobody reads any more. What cannot be removed
    /// is tried again, and by the next open.
    pub(crate) fn bury(&self) {
        let mut listed = self.listed();
        if listed.doomed.is_empty() {
            return;
        }
        let oldest = self.pins.oldest();
        let doomed = std::mem::take(&mut listed.doomed);
        for (space, reader) in doomed {
            // Ours is one; a handle, a snapshot or a job of the engine has others.
            let read = Arc::strong_count(&space) > 1 || space.is_read();
            let read = read && !self.site.breaks(Sabotage::DroppedUnderHandle);
            let pinned = oldest.is_some_and(|oldest| oldest <= reader);
            let pinned = pinned && !self.site.breaks(Sabotage::DroppedUnderReader);
            if read
                || pinned
                || remove_tree(&*self.site.fs, &keyspace_dir(&self.path, space.id)).is_err()
            {
                listed.doomed.push((space, reader));
            }
        }
    }

    /// Puts a catalog in place that tells what is durable now, and up to where the log may be
    /// forgotten.
    pub(crate) fn confirm(&self, released: Lsn) -> Result<(), Error> {
        let mut listed = self.listed();
        let mut catalog = listed.catalog.clone();
        catalog.released = catalog.released.max(released);
        for entry in &mut catalog.keyspaces {
            let point = self.with(entry.id, |space| space.engine.commit_point());
            entry.confirmed = point.unwrap_or(entry.confirmed);
        }
        if catalog != listed.catalog {
            self.install(&catalog)?;
            listed.catalog = catalog;
        }
        Ok(())
    }

    /// What the installed catalog lets the log forget.
    pub(crate) fn released(&self) -> Lsn {
        self.listed().catalog.released
    }

    /// No keyspace has had this number yet.
    pub(crate) fn next_id(&self) -> u32 {
        self.listed().catalog.next_id
    }

    /// Where the store stands.
    pub(crate) fn place(&self) -> (&dyn FileSystem, &Path) {
        (&*self.site.fs, &self.path)
    }

    fn install(&self, catalog: &Catalog) -> Result<(), Error> {
        if self.site.breaks(Sabotage::CatalogInPlace) {
            return overwrite(&*self.site.fs, &self.path.join(CATALOG), &catalog.encode());
        }
        catalog.install(&*self.site.fs, &self.path)
    }

    fn site(&self, id: u32, options: KeyspaceOptions) -> Site {
        site_of(&self.site, &self.path, id, options)
    }

    fn listed(&self) -> MutexGuard<'_, Installed> {
        // A panic while it was held left a catalog that was installed, or the one before.
        self.listed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The keyspace with a number.
pub(crate) fn find(spaces: &Spaces, id: u32) -> Option<&Arc<Space>> {
    let place = spaces.binary_search_by_key(&id, |space| space.id).ok()?;
    spaces.get(place)
}

/// The site of one keyspace.
pub(crate) fn site_of(common: &Site, path: &Path, id: u32, options: KeyspaceOptions) -> Site {
    Site { dir: keyspace_dir(path, id), keyspace: id, options, ..common.clone() }
}

fn check_options(space: Arc<Space>, asked: Option<KeyspaceOptions>) -> Result<Arc<Space>, Error> {
    match asked {
        Some(asked) if asked != space.options => Err(Error::OtherOptions {
            name: space.name.clone(),
            stored: Box::new(space.options),
            asked: Box::new(asked),
        }),
        _ => Ok(space),
    }
}

/// Removes the directories of keyspaces that the catalog does not name: what a drop left, or the
/// making of one that was cut.
pub(crate) fn remove_unnamed(
    fs: &dyn FileSystem,
    store: &Path,
    catalog: &Catalog,
) -> Result<(), Error> {
    let dir = keyspaces_dir(store);
    for entry in fs.list(&dir).map_err(Error::io(&dir, "list the directory"))? {
        let id = entry.name.to_str().and_then(|name| name.parse::<u32>().ok());
        let named =
            id.is_some_and(|id| catalog.keyspaces.binary_search_by_key(&id, |it| it.id).is_ok());
        if entry.kind == Kind::Dir && id.is_some() && !named {
            let path = dir.join(&entry.name);
            remove_tree(fs, &path).map_err(Error::io(&path, "remove what belongs to nothing"))?;
        }
    }
    Ok(())
}

/// Removes a keyspace's directory and the files in it; one that is not there is no error.
fn remove_tree(fs: &dyn FileSystem, dir: &Path) -> std::io::Result<()> {
    let entries = match fs.list(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let path = dir.join(&entry.name);
        if entry.kind == Kind::Dir {
            remove_tree(fs, &path)?;
        } else {
            fs.remove(&path)?;
        }
    }
    fs.remove_dir(dir)
}
