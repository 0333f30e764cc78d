//! The one shape of every layer, and the context in which a layer works.
//!
//! Invariant: no layer calls another. A layer changes itself, says what moved ([`Cx::event`]) and
//! sends messages ([`Cx::send`]); the machine delivers them, at one instant in the order in
//! which they were sent.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::arena::{Arena, Marks};
use super::choice::{Chooser, Stream};
use super::event::{Event, Kind, Layer as Number};
use super::ids::{EventId, Ns, OpId, PageVer};
use super::message::{Cargo, Msg};
use crate::machine::Death;
use crate::machine::digest::Digest;
use crate::ops::record::Recorder;

/// A layer of the machine.
pub trait Layer {
    /// What comes from above.
    type Req;
    /// What comes back from below.
    type Done;

    /// A request from above. It may be answered later.
    fn accept(&mut self, cx: &mut Cx, req: Self::Req);
    /// The answer to something that was sent down.
    fn complete(&mut self, cx: &mut Cx, done: Self::Done);
    /// The clock has come to [`next_tick`](Self::next_tick).
    fn tick(&mut self, cx: &mut Cx);
    /// When to be called, whatever else happens.
    fn next_tick(&self) -> Option<Ns>;
    /// What a death does to it: what dies is forgotten, what survives stays.
    fn power_cut(&mut self, how: Death, arena: &mut Arena, chooser: &mut dyn Chooser);
    /// Adds its state, for comparing two machines.
    fn digest(&self, arena: &Arena, digest: &mut Digest);
    /// Marks every content that it holds.
    fn marks(&self, marks: &mut Marks);
}

/// What a layer works with.
#[derive(Clone, Debug)]
pub struct Cx {
    /// The instant.
    pub now: Ns,
    /// Contents and versions.
    pub arena: Arena,
    /// What the layers decide by chance, a stream each.
    pub chance: Stream,
    agenda: Agenda,
    /// What made the present message.
    cause: EventId,
    /// The last event of the present dispatch, or `cause`.
    last: EventId,
    next: EventId,
    /// What moved and was not yet taken.
    pub events: VecDeque<Event>,
    /// Whether anybody wants the events; else they are counted alone.
    pub watched: bool,
    /// What was called, where that is kept: the VFS tells it of each change when it is applied.
    pub history: Option<Recorder>,
    cargo: Vec<Vec<Cargo>>,
    pages: Vec<Vec<(u32, Cargo)>>,
}

impl Cx {
    /// A context at the beginning of time.
    #[must_use]
    pub fn new(arena: Arena, seed: u64) -> Self {
        Self {
            now: Ns(0),
            arena,
            chance: Stream::new(seed),
            agenda: Agenda::default(),
            cause: EventId(0),
            last: EventId(0),
            next: EventId(1),
            events: VecDeque::new(),
            watched: true,
            history: None,
            cargo: Vec::new(),
            pages: Vec::new(),
        }
    }

    /// Says that something moved. Its cause is the event behind the message that is dealt with,
    /// or what [`because`](Self::because) said. Messages sent from here on have it as theirs.
    pub fn event(&mut self, layer: Number, op: OpId, ver: PageVer, kind: Kind) -> EventId {
        let id = self.next;
        self.next = EventId(id.0 + 1);
        self.last = id;
        if self.watched {
            self.events.push_back(Event {
                id,
                at: self.now,
                cause: self.cause,
                op,
                ver,
                layer,
                kind,
            });
        }
        id
    }

    /// Events and messages from here on, in this dispatch, are due to this event.
    pub fn because(&mut self, event: EventId) {
        self.cause = event;
        self.last = event;
    }

    /// The event to which a message sent now would be due: for what is sent later.
    #[must_use]
    pub fn reason(&self) -> EventId {
        self.last
    }

    /// How many events there were.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.next.0 - 1
    }

    /// Sends a message, delivered at this instant after all that was sent before.
    pub fn send(&mut self, msg: Msg) {
        self.agenda.now.push_back((self.agenda.seq, self.last, msg));
        self.agenda.seq += 1;
    }

    /// Hands an answer on: it is delivered next, so that answers that come by way of another layer
    /// keep their order among those that do not.
    pub fn hand_on(&mut self, msg: Msg) {
        self.agenda.now.push_front((0, self.last, msg));
    }

    /// Sends a message that is delivered at an instant to come.
    pub fn send_at(&mut self, at: Ns, msg: Msg) {
        let at = at.max(self.now);
        let seq = self.agenda.seq;
        self.agenda.later.push(Reverse(Later { at, seq, cause: self.last, msg }));
        self.agenda.seq += 1;
    }

    /// Whether a message is to be delivered at this instant.
    pub(super) fn is_busy(&self) -> bool {
        !self.agenda.now.is_empty()
            || self.agenda.later.peek().is_some_and(|Reverse(later)| later.at <= self.now)
    }

    /// When the next message is due.
    pub(super) fn due(&self) -> Option<Ns> {
        if !self.agenda.now.is_empty() {
            return Some(self.now);
        }
        self.agenda.later.peek().map(|Reverse(later)| later.at)
    }

    /// The next message that is due at this instant; makes its cause the present one.
    pub(super) fn take(&mut self) -> Option<Msg> {
        let Agenda { now, later, .. } = &mut self.agenda;
        let first = now.front().map_or(u64::MAX, |(seq, ..)| *seq);
        let due = later.peek().filter(|Reverse(top)| top.at <= self.now && top.seq < first);
        let (cause, msg) = match due {
            Some(_) => later.pop().map(|Reverse(top)| (top.cause, top.msg))?,
            None => now.pop_front().map(|(_, cause, msg)| (cause, msg))?,
        };
        self.because(cause);
        Some(msg)
    }

    /// All messages that were not delivered.
    pub(super) fn pending(&self) -> impl Iterator<Item = &Msg> {
        let later = self.agenda.later.iter().map(|Reverse(later)| &later.msg);
        self.agenda.now.iter().map(|(.., msg)| msg).chain(later)
    }

    /// An empty list for a bio or a request, used again where there is one.
    pub fn list(&mut self) -> Vec<Cargo> {
        self.cargo.pop().unwrap_or_default()
    }

    /// Gives a list back.
    pub fn give_back(&mut self, mut list: Vec<Cargo>) {
        list.clear();
        // One that never held anything would be no better than a new one.
        if list.capacity() > 0 && self.cargo.len() < 256 {
            self.cargo.push(list);
        }
    }

    /// An empty list for pages of a file, used again where there is one.
    pub fn pages(&mut self) -> Vec<(u32, Cargo)> {
        self.pages.pop().unwrap_or_default()
    }

    /// Gives a list of pages back.
    pub fn give_back_pages(&mut self, mut list: Vec<(u32, Cargo)>) {
        list.clear();
        if list.capacity() > 0 && self.pages.len() < 256 {
            self.pages.push(list);
        }
    }
}

/// What is to be delivered.
#[derive(Clone, Debug, Default)]
struct Agenda {
    now: VecDeque<(u64, EventId, Msg)>,
    later: BinaryHeap<Reverse<Later>>,
    seq: u64,
}

#[derive(Clone, Debug)]
struct Later {
    at: Ns,
    seq: u64,
    cause: EventId,
    msg: Msg,
}

impl PartialEq for Later {
    fn eq(&self, other: &Self) -> bool {
        self.seq == other.seq
    }
}

impl Eq for Later {}

impl PartialOrd for Later {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Later {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.seq).cmp(&(other.at, other.seq))
    }
}
