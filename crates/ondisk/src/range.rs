//! An ordered walk over a keyspace, as it stood at one moment.
//!
//! Invariant: which commit the walk is of is fixed when it is made: it keeps the generations that
//! it reads, and they do not change at or below that commit. Memory is bounded by a page of young
//! keys and what the engine's walk holds, whatever the length of the range.

use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;
use std::vec;

use ondisk_log::Lsn;

use crate::engine::{Direction, Walk};
use crate::error::Error;
use crate::keyspace::Generations;
use crate::snapshot::Pin;
use crate::value::{Key, Value};
use crate::values::{Reference, ValueFiles};
use crate::young::{Found, Newest, Young};

/// How many young keys are looked up at once.
const YOUNG_PAGE: usize = 64;

/// The keys between two bounds with their values, as of one commit, from either end. What is
/// committed later does not show.
///
/// Made by [`Db::range`](crate::Db::range) and its like. It is lazy: keys and values are read as
/// the walk gets there. As an iterator it gives keys and values that may be kept;
/// [`advance`](Self::advance) with [`key`](Self::key) and [`value`](Self::value) only lends them,
/// which is faster where they are not kept. An error concerns one place; the walk can go on
/// behind it.
///
/// ```
/// # fn main() -> Result<(), ondisk::Error> {
/// # let dir = tempfile::tempdir().expect("a directory to work in");
/// # let db = ondisk::Db::open(dir.path())?;
/// # db.put("a", "1")?; db.put("b", "2")?;
/// let mut range = db.range(..)?;
/// let mut bytes = 0;
/// while range.advance()? {
///     bytes += range.key().len() + range.value()?.len();
/// }
/// assert_eq!(bytes, 4);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Range {
    /// `None` for a pair of bounds between which no key can lie, and when all keys were given.
    origin: Option<Origin>,
    front: Option<Merge>,
    back: Option<Merge>,
    /// Where the two ends meet: the last key that the other end gave.
    last_front: Option<Vec<u8>>,
    last_back: Option<Vec<u8>>,
    both: bool,
    /// Keeps the value files that the walk may come to.
    _pin: Option<Pin>,
}

/// What a range is of.
#[derive(Clone, Debug)]
struct Origin {
    generations: Arc<Generations>,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    visible: Lsn,
}

impl Range {
    pub(crate) fn new(
        generations: Arc<Generations>,
        lower: Bound<&[u8]>,
        upper: Bound<&[u8]>,
        visible: Lsn,
    ) -> Self {
        let (lower, upper) = (lower.map(<[u8]>::to_vec), upper.map(<[u8]>::to_vec));
        let origin = Some(Origin { generations, lower, upper, visible });
        Self { origin, ..Self::empty() }
    }

    /// The same walk, keeping what it may come to from being removed.
    pub(crate) fn pinned(self, pin: Option<Pin>) -> Self {
        Self { _pin: pin, ..self }
    }

    /// The range of a pair of bounds between which no key can lie.
    pub(crate) fn empty() -> Self {
        let (front, back, last_front, last_back) = (None, None, None, None);
        Self { origin: None, front, back, last_front, last_back, both: false, _pin: None }
    }

    /// Goes to the next entry from the front; `false` at the end. Then [`key`](Self::key) and
    /// [`value`](Self::value) lend it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`]: of one place; the next call goes on behind it.
    pub fn advance(&mut self) -> Result<bool, Error> {
        let Some(origin) = &self.origin else { return Ok(false) };
        let front = self.front.get_or_insert_with(|| Merge::new(origin, Direction::Forward));
        if !front.advance()? {
            self.origin = None; // the other end has nothing left either
            return Ok(false);
        }
        if self.both {
            let met = self.last_back.as_deref().is_some_and(|last| front.key() >= last);
            if met {
                self.origin = None;
                return Ok(false);
            }
            self.last_front.get_or_insert_default().clear();
            self.last_front.get_or_insert_default().extend_from_slice(front.key());
        }
        Ok(true)
    }

    /// The key that [`advance`](Self::advance) went to; empty before it answered `true`.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        self.front.as_ref().map_or(&[], Merge::key)
    }

    /// The value of that key; empty before [`advance`](Self::advance) answered `true`.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub fn value(&mut self) -> Result<&[u8], Error> {
        self.front.as_mut().map_or(Ok(&[]), Merge::value)
    }

    fn advance_back(&mut self) -> Result<bool, Error> {
        let Some(origin) = &self.origin else { return Ok(false) };
        if !self.both {
            // From here on each end tells the other how far it has come.
            self.both = true;
            self.last_front = self.front.as_ref().and_then(Merge::current).map(<[u8]>::to_vec);
        }
        let back = self.back.get_or_insert_with(|| Merge::new(origin, Direction::Backward));
        if !back.advance()? || self.last_front.as_deref().is_some_and(|last| back.key() <= last) {
            self.origin = None;
            return Ok(false);
        }
        self.last_back.get_or_insert_default().clear();
        self.last_back.get_or_insert_default().extend_from_slice(back.key());
        Ok(true)
    }
}

impl Iterator for Range {
    type Item = Result<(Key, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.advance() {
            Ok(true) => self.front.as_mut().map(Merge::keep),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        match self.advance_back() {
            Ok(true) => self.back.as_mut().map(Merge::keep),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

/// One end of a range: the young maps and the engine's walk in one order.
#[derive(Debug)]
struct Merge {
    direction: Direction,
    /// Younger before older.
    young: Vec<YoungWalk>,
    old: Box<dyn Walk>,
    /// Whether the engine's walk stands at an entry that was not given yet.
    old_waits: bool,
    old_ended: bool,
    current: Current,
    values: Arc<ValueFiles>,
    /// The large value of the current entry, once it was asked for.
    large: Option<Value>,
}

#[derive(Debug)]
enum Current {
    None,
    Young(Newest),
    Old,
}

impl Merge {
    fn new(origin: &Origin, direction: Direction) -> Self {
        let Origin { generations, lower, upper, visible } = origin;
        let maps = [Some(&generations.active), generations.frozen.as_ref().map(|it| &it.young)];
        let young = maps.into_iter().flatten().filter(|map| !map.is_empty());
        let young = young.map(|map| {
            let (lower, upper) = (lower.clone(), upper.clone());
            let page = Vec::new().into_iter();
            let young = Arc::clone(map);
            YoungWalk { young, lower, upper, visible: *visible, page, head: None, ended: false }
        });
        let (lower, upper) = (as_slice(lower), as_slice(upper));
        let old = Arc::clone(&generations.old).walk(lower, upper, direction);
        let (old_waits, old_ended, current) = (false, false, Current::None);
        let (young, values) = (young.collect(), Arc::clone(&generations.values));
        Self { direction, young, old, old_waits, old_ended, current, values, large: None }
    }

    fn advance(&mut self) -> Result<bool, Error> {
        self.large = None;
        loop {
            if !self.old_waits && !self.old_ended {
                self.current = Current::None;
                self.old_waits = self.old.advance()?;
                self.old_ended = !self.old_waits;
            }
            let Some(first) = self.first_young() else {
                self.current = if self.old_waits { Current::Old } else { Current::None };
                return Ok(std::mem::take(&mut self.old_waits));
            };
            let head = self.young[first].peek(self.direction);
            let key = head.map_or(&[][..], |it| &it.key[..]);
            let order = if self.old_waits {
                order(self.direction, key, self.old.key())
            } else {
                Ordering::Less
            };
            if order == Ordering::Greater {
                self.old_waits = false;
                self.current = Current::Old;
                return Ok(true);
            }
            if order == Ordering::Equal {
                self.old_waits = false; // the young map has a newer version of the key
            }
            let Some(newest) = self.take_young(first) else { continue };
            if matches!(newest.found, Found::Value(_)) {
                self.current = Current::Young(newest);
                return Ok(true);
            }
        }
    }

    /// The young walk that comes next; of two with the same key the younger.
    fn first_young(&mut self) -> Option<usize> {
        let mut first: Option<(usize, bytes::Bytes)> = None;
        if self.young.len() == 1 {
            return self.young[0].peek(self.direction).map(|_| 0);
        }
        for (index, walk) in self.young.iter_mut().enumerate() {
            let Some(head) = walk.peek(self.direction) else { continue };
            let before = first
                .as_ref()
                .is_none_or(|(_, key)| order(self.direction, &head.key, key) == Ordering::Less);
            if before {
                first = Some((index, head.key.clone()));
            }
        }
        first.map(|(index, _)| index)
    }

    /// Takes a head, and the older ones with the same key along.
    fn take_young(&mut self, first: usize) -> Option<Newest> {
        let newest = self.young[first].head.take()?;
        for older in self.young.iter_mut().skip(first + 1) {
            if older.peek(self.direction).is_some_and(|it| it.key == newest.key) {
                older.head = None;
            }
        }
        Some(newest)
    }

    fn current(&self) -> Option<&[u8]> {
        match &self.current {
            Current::None => None,
            Current::Young(newest) => Some(&newest.key),
            Current::Old => Some(self.old.key()),
        }
    }

    fn key(&self) -> &[u8] {
        self.current().unwrap_or_default()
    }

    fn value(&mut self) -> Result<&[u8], Error> {
        if !self.values.are_there() {
            return self.held(); // so it is no reference
        }
        if let Some(reference) = Reference::of(self.held()?) {
            let value = self.values.read(self.key(), reference)?;
            return Ok(self.large.insert(value));
        }
        self.held()
    }

    /// What is held for the key: its value, or a reference to it.
    fn held(&mut self) -> Result<&[u8], Error> {
        match &self.current {
            Current::Young(Newest { found: Found::Value(value), .. }) => Ok(value),
            Current::Old => self.old.value(),
            _ => Ok(&[]),
        }
    }

    fn keep(&mut self) -> Result<(Key, Value), Error> {
        match &self.current {
            Current::Young(Newest { key, found: Found::Value(value), .. }) => {
                let value = self.values.resolve(key, Value::from(value.clone()))?;
                Ok((Key::from(key.clone()), value))
            }
            _ => {
                let value = self.old.keep()?;
                let key = self.old.key();
                Ok((Key::from(Arc::from(key)), self.values.resolve(key, value)?))
            }
        }
    }
}

/// A walk over a young map, a page at a time.
#[derive(Debug)]
struct YoungWalk {
    young: Arc<Young>,
    lower: Bound<Vec<u8>>,
    upper: Bound<Vec<u8>>,
    visible: Lsn,
    page: vec::IntoIter<Newest>,
    head: Option<Newest>,
    ended: bool,
}

impl YoungWalk {
    fn peek(&mut self, direction: Direction) -> Option<&Newest> {
        if self.head.is_none() {
            self.head = self.page.next();
        }
        if self.head.is_none() && !self.ended {
            self.fill(direction);
            self.head = self.page.next();
        }
        self.head.as_ref()
    }

    fn fill(&mut self, direction: Direction) {
        let (lower, upper) = (as_slice(&self.lower), as_slice(&self.upper));
        let page: Vec<Newest> = match direction {
            Direction::Forward => {
                self.young.range(lower, upper, self.visible).take(YOUNG_PAGE).collect()
            }
            Direction::Backward => {
                self.young.range_back(lower, upper, self.visible).take(YOUNG_PAGE).collect()
            }
        };
        self.ended = page.len() < YOUNG_PAGE;
        if let Some(last) = page.last() {
            let last = Bound::Excluded(last.key.to_vec());
            match direction {
                Direction::Forward => self.lower = last,
                Direction::Backward => self.upper = last,
            }
        }
        self.page = page.into_iter();
    }
}

fn order(direction: Direction, a: &[u8], b: &[u8]) -> Ordering {
    match direction {
        Direction::Forward => a.cmp(b),
        Direction::Backward => b.cmp(a),
    }
}

fn as_slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

#[cfg(test)]
mod tests;
