//! Ways to look at a store, and to compare it with what it should hold.
//!
//! Invariant: nothing here writes. An `Error` is the store's own; a text says how what it answered
//! differs from the model.

use std::collections::VecDeque;
use std::ops::Bound;

use bytes::Bytes;
use ondisk::{Db, Error, Keyspace, Range, Reader, Snapshot, check};
use ondisk_sim::MemFs;

use super::chain::{Found, Map, unlike};
use super::keep::from_back;
use super::random::Random;
use super::story::{KEYS, Walk, key};
use super::world::{PATH, Setup};

type Entry = (Vec<u8>, Bytes);
/// How a look ends: the store's own error, or in words what differs.
pub type Looked = Result<Result<(), String>, Error>;

/// All entries of a range.
///
/// # Errors
/// The store's.
pub fn entries(range: Range) -> Result<Map, Error> {
    let entry = |(key, value): (ondisk::Key, ondisk::Value)| (key.to_vec(), value.into_bytes());
    range.map(|it| it.map(entry)).collect()
}

/// All that a store holds.
///
/// # Errors
/// The store's.
pub fn contents(db: &Db) -> Result<Found, Error> {
    let mut found = Found::new();
    for space in db.keyspaces()? {
        let map = entries(space.range(..)?)?;
        found.insert(space.name().to_owned(), (space.options(), map));
    }
    Ok(found)
}

/// Point reads of all keys, one by one and several at once, the first and the last.
///
/// # Errors
/// The store's.
pub fn points(db: &Db, name: &str, map: &Map) -> Looked {
    let space = db.existing_keyspace(name)?;
    let mut keys: Vec<Vec<u8>> = (0..KEYS).map(key).collect();
    keys.push(b"absent".to_vec());
    for (key, found) in keys.iter().zip(space.multi_get(&keys)?) {
        let (one, there) = (space.get(key)?, space.contains(key)?);
        let expected = map.get(key).map(|value| &value[..]);
        if one.as_deref() != expected || found.as_deref() != expected || there != expected.is_some()
        {
            let len = |it: Option<&[u8]>| it.map(<[u8]>::len);
            let (one, found, expected) =
                (len(one.as_deref()), len(found.as_deref()), len(expected));
            let shown = key.get(..12).unwrap_or(key).escape_ascii();
            return Ok(Err(format!(
                "{name}[{shown}]: get {one:?}, multi_get {found:?}, contains {there}, \
                 expected {expected:?} bytes"
            )));
        }
    }
    let owned = |it: Option<(ondisk::Key, ondisk::Value)>| {
        it.map(|(key, value)| (key.to_vec(), value.into_bytes()))
    };
    let (first, last) = (owned(space.first()?), owned(space.last()?));
    let expected = |it: Option<(&Vec<u8>, &Bytes)>| it.map(|(k, v)| (k.clone(), v.clone()));
    if first != expected(map.iter().next()) || last != expected(map.iter().next_back()) {
        return Ok(Err(format!("{name}: another first or last key")));
    }
    Ok(Ok(()))
}

/// The keys between two bounds.
///
/// # Errors
/// The store's.
pub fn range(
    db: &Db,
    name: &str,
    map: &Map,
    (lower, upper): &(Bound<Vec<u8>>, Bound<Vec<u8>>),
    walk: Walk,
) -> Looked {
    let above = |key: &[u8]| match lower {
        Bound::Unbounded => true,
        Bound::Included(start) => key >= &start[..],
        Bound::Excluded(start) => key > &start[..],
    };
    let below = |key: &[u8]| match upper {
        Bound::Unbounded => true,
        Bound::Included(end) => key <= &end[..],
        Bound::Excluded(end) => key < &end[..],
    };
    let expected = map.iter().filter(|(key, _)| above(key) && below(key));
    let mut left: VecDeque<Entry> = expected.map(|(k, v)| (k.clone(), v.clone())).collect();
    let bounds = (lower.as_ref().map(Vec::as_slice), upper.as_ref().map(Vec::as_slice));
    let mut range = db.existing_keyspace(name)?.range(bounds)?;
    let all = left.len() + 1;
    Ok(walk_on(&mut range, &mut left, walk, all))
}

/// The keys that begin like this.
///
/// # Errors
/// The store's.
pub fn prefix(db: &Db, name: &str, map: &Map, prefix: &[u8]) -> Looked {
    let found = entries(db.existing_keyspace(name)?.prefix(prefix)?)?;
    let expected = map.iter().filter(|(key, _)| key.starts_with(prefix));
    let same = found.iter().eq(expected);
    Ok(if same { Ok(()) } else { Err(format!("{name}: other keys of a prefix")) })
}

/// Takes so many entries of a walk, and compares each with what is left of it.
///
/// # Errors
/// In words, which entry is another one.
pub fn walk_on(
    range: &mut Range,
    left: &mut VecDeque<Entry>,
    walk: Walk,
    count: usize,
) -> Result<(), String> {
    let seed = if let Walk::Mixed(seed) = walk { seed } else { 0 };
    let mut random = Random(seed ^ left.len() as u64);
    for _ in 0..count {
        let back = from_back(walk, &mut random);
        let (found, expected) = if back {
            (range.next_back(), left.pop_back())
        } else {
            (range.next(), left.pop_front())
        };
        let found = found.transpose().map_err(|error| format!("a walk: {error}"))?;
        let found = found.map(|(key, value)| (key.to_vec(), value.into_bytes()));
        if found != expected {
            let key = |it: &Option<Entry>| {
                it.as_ref().map(|(key, value)| (key.escape_ascii().to_string(), value.len()))
            };
            let (found, expected) = (key(&found), key(&expected));
            return Err(format!("a walk gave {found:?}, expected {expected:?}"));
        }
    }
    Ok(())
}

/// All that a snapshot holds, by the handles of its time: keyspaces that were dropped since too.
///
/// # Errors
/// The store's.
pub fn snapshot(handles: &[Keyspace], snapshot: &Snapshot, expected: &Found) -> Looked {
    let names: Vec<&str> = snapshot.keyspaces().collect();
    if names.len() != expected.len() || !names.iter().all(|name| expected.contains_key(*name)) {
        return Ok(Err(format!("a snapshot holds {names:?}")));
    }
    let mut found = Found::new();
    for space in handles {
        let map = entries(snapshot.range_in(space, ..)?)?;
        for key in map.keys().take(6) {
            if snapshot.get_in(space, key)?.as_deref() != map.get(key).map(|value| &value[..]) {
                return Ok(Err("a point read of a snapshot differs from its range".into()));
            }
        }
        found.insert(space.name().to_owned(), (space.options(), map));
    }
    let same = found == *expected;
    Ok(if same { Ok(()) } else { Err(format!("a snapshot: {}", unlike(expected, &found))) })
}

/// What a reader serves and a check finds of a store that nobody has open.
///
/// # Errors
/// In words, what is wrong with it.
pub fn closed(fs: &MemFs, setup: &Setup, expected: &Found) -> Result<(), String> {
    let before = fs.image();
    let text = |error: Error| format!("a reader: {error}");
    let found = read_only(fs, setup).map_err(text)?;
    if found != *expected {
        return Err(format!("a reader: {}", unlike(expected, &found)));
    }
    let report = check(fs.share(), PATH).map_err(|error| format!("a check: {error}"))?;
    if !report.findings.is_empty() || !report.was_closed || report.torn_tail.is_some() {
        return Err(format!("a check: {report:?}"));
    }
    let keys: usize = expected.values().map(|(_, map)| map.len()).sum();
    if report.keys != keys as u64 || report.keyspaces != expected.len() as u64 {
        return Err(format!("a check counts {} keys, not {keys}", report.keys));
    }
    if fs.image() == before { Ok(()) } else { Err("reading writes".into()) }
}

/// All that a reader serves.
///
/// # Errors
/// The store's.
pub fn read_only(fs: &MemFs, setup: &Setup) -> Result<Found, Error> {
    of_reader(&setup.builder(fs).open_reader(PATH)?)
}

/// All that a reader holds.
///
/// # Errors
/// The store's.
pub fn of_reader(reader: &Reader) -> Result<Found, Error> {
    let mut found = Found::new();
    let names: Vec<_> =
        reader.keyspaces().map(|(name, options)| (name.to_owned(), options)).collect();
    for (name, options) in names {
        let map = entries(reader.range_in(&name, ..)?)?;
        found.insert(name, (options, map));
    }
    Ok(found)
}
