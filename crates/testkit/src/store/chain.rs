//! The model: which contents a store may have, commit by commit and catalog by catalog.
//!
//! Invariant: `states[k]` is what there is when `k` commits are, and a store may hold a state
//! between what is owed and the last commit that was begun, under a catalog between the last one
//! that was surely installed and the last one that was tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ondisk::KeyspaceOptions;

/// What a keyspace holds.
pub type Map = BTreeMap<Vec<u8>, Bytes>;
/// What was found in a store: by name what a keyspace was made with, and what it holds.
pub type Found = BTreeMap<String, (KeyspaceOptions, Map)>;

/// A keyspace of a catalog. One that is made again under its name is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Listed {
    number: u32,
    options: KeyspaceOptions,
}

/// Which keyspaces there are.
type Catalog = BTreeMap<String, Listed>;
/// What the keyspaces hold, by number, those that are gone too.
type State = BTreeMap<u32, Arc<Map>>;

/// What a cut or a kill must leave at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owed {
    /// So many commits.
    pub commits: usize,
    /// This catalog, or one that was tried after it.
    pub catalog: usize,
}

/// What a store may hold, from its making or an open on.
#[derive(Clone, Debug)]
pub struct Chain {
    catalogs: Vec<Catalog>,
    installed: usize,
    next: u32,
    states: Vec<State>,
    acknowledged: usize,
}

impl Chain {
    /// Of a store that holds its default keyspace, and nothing in it.
    #[must_use]
    pub fn new() -> Self {
        let default = Listed { number: 0, options: KeyspaceOptions::default() };
        Self {
            catalogs: vec![BTreeMap::from([("default".to_owned(), default)])],
            installed: 0,
            next: 1,
            states: vec![State::new()],
            acknowledged: 0,
        }
    }

    /// What a keyspace of this name was made with, if there is one.
    #[must_use]
    pub fn options(&self, name: &str) -> Option<KeyspaceOptions> {
        self.catalogs[self.installed].get(name).map(|listed| listed.options)
    }

    /// The names of the keyspaces.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.catalogs[self.installed].keys().map(String::as_str)
    }

    /// Adds a commit that was begun; answers how many there are with it.
    pub fn commit<'a>(
        &mut self,
        ops: impl IntoIterator<Item = (&'a str, Vec<u8>, Option<Bytes>)>,
    ) -> usize {
        let catalog = &self.catalogs[self.installed];
        let mut state = self.states.last().cloned().unwrap_or_default();
        for (name, key, value) in ops {
            let Some(listed) = catalog.get(name) else { continue };
            let map = Arc::make_mut(state.entry(listed.number).or_default());
            match value {
                Some(value) => drop(map.insert(key, value)),
                None => drop(map.remove(&key)),
            }
        }
        self.states.push(state);
        self.states.len() - 1
    }

    /// All commits through this one were acknowledged.
    pub fn acknowledge(&mut self, commits: usize) {
        self.acknowledged = self.acknowledged.max(commits);
    }

    /// How many commits were acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.acknowledged
    }

    /// How many commits were begun.
    #[must_use]
    pub fn begun(&self) -> usize {
        self.states.len() - 1
    }

    /// The catalog that was surely installed last.
    #[must_use]
    pub fn catalog(&self) -> usize {
        self.installed
    }

    /// A keyspace is about to be made; answers the catalog that lists it.
    pub fn try_make(&mut self, name: &str, options: KeyspaceOptions) -> usize {
        let mut catalog = self.catalogs[self.installed].clone();
        catalog.insert(name.to_owned(), Listed { number: self.next, options });
        self.next += 1;
        self.try_catalog(catalog)
    }

    /// A keyspace is about to be dropped; answers the catalog without it.
    pub fn try_drop(&mut self, name: &str) -> usize {
        let mut catalog = self.catalogs[self.installed].clone();
        catalog.remove(name);
        self.try_catalog(catalog)
    }

    fn try_catalog(&mut self, catalog: Catalog) -> usize {
        self.catalogs.push(catalog);
        self.catalogs.len() - 1
    }

    /// The catalog that was tried is installed.
    pub fn install(&mut self, catalog: usize) {
        self.installed = catalog;
    }

    /// What a read of a keyspace answers now.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<Arc<Map>> {
        let listed = self.catalogs[self.installed].get(name)?;
        Some(self.states[self.acknowledged].get(&listed.number).cloned().unwrap_or_default())
    }

    /// What there is now.
    #[must_use]
    pub fn now(&self) -> Found {
        self.contents(self.installed, self.acknowledged)
    }

    /// What there was after so many commits, in the keyspaces of now.
    #[must_use]
    pub fn after(&self, commits: usize) -> Found {
        self.contents(self.installed, commits)
    }

    fn contents(&self, catalog: usize, commits: usize) -> Found {
        let map = |number| self.states[commits].get(number).cloned().unwrap_or_default();
        let listed = self.catalogs[catalog].iter();
        listed
            .map(|(name, it)| (name.clone(), (it.options, Map::clone(&map(&it.number)))))
            .collect()
    }

    fn is(&self, catalog: usize, commits: usize, found: &Found) -> bool {
        let (catalog, state) = (&self.catalogs[catalog], &self.states[commits]);
        catalog.len() == found.len()
            && catalog.iter().zip(found).all(|((name, listed), (found, (options, map)))| {
                let same = |expected: &Arc<Map>| **expected == *map;
                let content = state.get(&listed.number).map_or(map.is_empty(), same);
                name == found && listed.options == *options && content
            })
    }

    /// Where in the chain a store stands that was found like this and owes that much.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn place(&self, found: &Found, owed: Owed) -> Result<(usize, usize), String> {
        for catalog in owed.catalog..self.catalogs.len() {
            for commits in owed.commits..self.states.len() {
                if self.is(catalog, commits, found) {
                    return Ok((catalog, commits));
                }
            }
        }
        let begun = self.begun();
        let expected = self.contents(owed.catalog, owed.commits);
        Err(format!("{} of {begun} commits are owed: {}", owed.commits, unlike(&expected, found)))
    }

    /// The chain that goes on from a place of this one.
    #[must_use]
    pub fn from(&self, (catalog, commits): (usize, usize)) -> Self {
        Self {
            catalogs: vec![self.catalogs[catalog].clone()],
            installed: 0,
            next: self.next,
            states: self.states[..=commits].to_vec(),
            acknowledged: commits,
        }
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

/// In words, how what was found differs from what was expected.
#[must_use]
pub fn unlike(expected: &Found, found: &Found) -> String {
    let mut lines = Vec::new();
    for (name, (options, map)) in expected {
        let shown = name.escape_default();
        match found.get(name) {
            None => lines.push(format!("{shown}: not there")),
            Some((other, _)) if other != options => lines.push(format!("{shown}: is {other}")),
            Some((_, other)) => {
                maps_unlike(map, other, |line| lines.push(format!("{shown}{line}")))
            }
        }
    }
    let more = found.keys().filter(|name| !expected.contains_key(*name));
    lines.extend(more.map(|name| format!("{}: should not be there", name.escape_default())));
    lines.truncate(8);
    lines.join("; ")
}

fn maps_unlike(expected: &Map, found: &Map, mut say: impl FnMut(String)) {
    let shown = |value: Option<&Bytes>| match value {
        None => "nothing".to_owned(),
        Some(value) => {
            let head = value.get(..8).unwrap_or(value);
            format!("{} bytes {}", value.len(), head.escape_ascii())
        }
    };
    let keys = expected.keys().chain(found.keys().filter(|key| !expected.contains_key(*key)));
    for key in keys {
        let (one, other) = (expected.get(key), found.get(key));
        if one != other {
            let head = key.get(..12).unwrap_or(key).escape_ascii();
            say(format!("[{head}] is {}, expected at least {}", shown(other), shown(one)));
        }
    }
}
