//! A walk over what a transaction sees: its snapshot, and its own writes over that.
//!
//! Invariant: from the moment it is made until it is dropped, all between its bounds counts as
//! read; from then on, what it gave or passed over. A key that was looked at and not given yet was
//! not read: the caller knows nothing of it.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::ops::Bound;

use bytes::Bytes;

use crate::error::Error;
use crate::range::Range;
use crate::transaction::reads::{Reads, Stretch};
use crate::transaction::sabotage::TransactionRule;
use crate::transaction::writes::{Write, Written};
use crate::value::{Key, Value};

/// The keys between two bounds with their values as a transaction sees them, from either end. Made
/// by [`Transaction::range`](crate::Transaction::range) and its like.
///
/// It is lazy, and only what it gave, or passed over, counts as read: a walk that is left early
/// meets no conflict behind its last key.
#[derive(Debug)]
pub struct TransactionRange<'t> {
    walk: Option<Walk<'t>>,
}

#[derive(Debug)]
struct Walk<'t> {
    base: Range,
    own: Option<Written<'t>>,
    /// What each end looked at and did not give yet.
    front: Heads<'t>,
    back: Heads<'t>,
    track: Track<'t>,
    breaks: Option<TransactionRule>,
}

#[derive(Debug, Default)]
struct Heads<'t> {
    base: Option<(Key, Value)>,
    own: Option<(&'t Bytes, &'t Write)>,
}

/// How far it was read, and who is told.
#[derive(Debug)]
struct Track<'t> {
    reads: &'t RefCell<Reads>,
    number: u64,
    stretch: Stretch,
    front: Far,
    back: Far,
    /// It gave nothing.
    is_empty: bool,
}

/// How far an end came.
#[derive(Debug, Default)]
enum Far {
    /// It gave nothing yet.
    #[default]
    Nowhere,
    /// Through this key.
    To(Key),
    /// To the other end; or an error hides how far.
    All,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Front,
    Back,
}

impl<'t> TransactionRange<'t> {
    pub(crate) fn new(
        base: Range,
        own: Option<Written<'t>>,
        reads: &'t RefCell<Reads>,
        keyspace: u32,
        stretch: Stretch,
        breaks: Option<TransactionRule>,
    ) -> Self {
        let number = reads.borrow_mut().open(keyspace, stretch.clone());
        let (front, back) = (Far::Nowhere, Far::Nowhere);
        let track = Track { reads, number, stretch, front, back, is_empty: true };
        let own = own.filter(|_| breaks != Some(TransactionRule::OwnWritesNotInRanges));
        let (front, back) = (Heads::default(), Heads::default());
        Self { walk: Some(Walk { base, own, front, back, track, breaks }) }
    }

    /// The range of a pair of bounds between which no key can lie.
    pub(crate) fn empty() -> Self {
        Self { walk: None }
    }
}

impl Iterator for TransactionRange<'_> {
    type Item = Result<(Key, Value), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.walk.as_mut()?.advance(Side::Front)
    }
}

impl DoubleEndedIterator for TransactionRange<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.walk.as_mut()?.advance(Side::Back)
    }
}

impl<'t> Walk<'t> {
    fn advance(&mut self, side: Side) -> Option<Result<(Key, Value), Error>> {
        loop {
            if let Err(error) = self.look(side) {
                *self.track.far(side) = Far::All;
                return Some(Err(error));
            }
            let heads = if side == Side::Front { &mut self.front } else { &mut self.back };
            let own_first = match (&heads.base, heads.own) {
                (None, None) => {
                    *self.track.far(side) = Far::All;
                    return None;
                }
                (Some(_), None) => false,
                (None, Some(_)) => true,
                (Some((base, _)), Some((own, _))) => match own[..].cmp(base) {
                    Ordering::Equal => {
                        heads.base = None; // written over
                        true
                    }
                    Ordering::Less => side == Side::Front,
                    Ordering::Greater => side == Side::Back,
                },
            };
            let found = if own_first {
                heads.own.take().and_then(|(key, write)| {
                    let shown = write.value.clone().or_else(|| self.shows_deletes());
                    Some((Key::from(key.clone()), Value::from(shown?)))
                })
            } else {
                heads.base.take()
            };
            if let Some((key, value)) = found {
                *self.track.far(side) = Far::To(key.clone());
                self.track.is_empty = false;
                return Some(Ok((key, value)));
            }
        }
    }

    /// Looks at the next of each kind from one end, where that was not done yet. When there is no
    /// more, what the other end looked at may be left.
    fn look(&mut self, side: Side) -> Result<(), Error> {
        let (heads, other) = match side {
            Side::Front => (&mut self.front, &mut self.back),
            Side::Back => (&mut self.back, &mut self.front),
        };
        if heads.own.is_none() {
            let next = self.own.as_mut().and_then(|own| match side {
                Side::Front => own.next(),
                Side::Back => own.next_back(),
            });
            heads.own = next.or_else(|| other.own.take());
        }
        if heads.base.is_none() {
            let next = match side {
                Side::Front => self.base.next(),
                Side::Back => self.base.next_back(),
            };
            heads.base = next.transpose()?.or_else(|| other.base.take());
        }
        Ok(())
    }

    fn shows_deletes(&self) -> Option<Bytes> {
        (self.breaks == Some(TransactionRule::OwnDeletesNotInRanges)).then(Bytes::new)
    }
}

impl Track<'_> {
    fn far(&mut self, side: Side) -> &mut Far {
        match side {
            Side::Front => &mut self.front,
            Side::Back => &mut self.back,
        }
    }

    /// What was read: from each end as far as that came.
    fn read(&self, breaks: Option<TransactionRule>) -> Vec<Stretch> {
        let through = |key: &Key| {
            let missed = breaks == Some(TransactionRule::RangeEndNotRead);
            let bound = if missed { Bound::Excluded } else { Bound::Included };
            bound(Box::from(&key[..]))
        };
        let from_front = |key| Stretch { upper: through(key), ..self.stretch.clone() };
        let from_back = |key| Stretch { lower: through(key), ..self.stretch.clone() };
        let mut read = Vec::new();
        match (&self.front, &self.back) {
            _ if self.is_empty && breaks == Some(TransactionRule::EmptyRangeNotRead) => {}
            (Far::All, _) | (_, Far::All) => read.push(self.stretch.clone()),
            (front, back) => {
                if let Far::To(key) = front {
                    read.push(from_front(key));
                }
                match back {
                    Far::To(key) if breaks == Some(TransactionRule::BackwardAsForward) => {
                        read.push(from_front(key));
                    }
                    Far::To(key) => read.push(from_back(key)),
                    _ => {}
                }
            }
        }
        read
    }
}

impl Drop for Walk<'_> {
    fn drop(&mut self) {
        let read = self.track.read(self.breaks);
        self.track.reads.borrow_mut().close(self.track.number, read);
    }
}
