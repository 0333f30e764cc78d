//! Writing a timeline, as the events come.
//!
//! Invariant: the text is a function of the header and the events; what was written is never
//! gone back to. A key line costs at most about as much as the changes since the one before.

use std::fmt;
use std::io;

use super::base64;
use super::cells::Run;
use super::derive::{Change, Derived};
use super::json::{digits, number, quote};
use super::{EVERY, Header, VERSION, words};
use crate::machine::Sim;
use crate::machine::arena::{Arena, Version};
use crate::machine::event::Event;
use crate::machine::ids::PageVer;
use crate::ops::digest::{Digest, bytes_digest};

/// Bytes of a version up to here are kept whole,
pub(super) const WHOLE: usize = 1024;
/// of longer ones so many.
pub(super) const BEGIN: usize = 64;

/// Writes a timeline. Its text is taken by [`drain`](Self::drain) now and then, and at the end by
/// [`finish`](Self::finish).
#[derive(Clone, Debug)]
pub struct Recorder {
    text: String,
    /// Where the line begins that is being written.
    line: usize,
    derived: Derived,
    digest: Digest,
    events: u64,
    /// Cells that changed since the last key line.
    since: usize,
    /// Versions whose bytes were written, by number.
    known: Vec<u64>,
    /// What is added to the numbers of events: they may begin anew, with another machine.
    before: u64,
    last: u64,
    changes: Vec<Change>,
    runs: Vec<Run>,
    words: String,
}

impl Recorder {
    /// A timeline without events.
    #[must_use]
    pub fn new(header: &Header) -> Self {
        let mut recorder = Self {
            text: String::new(),
            line: 0,
            derived: Derived::default(),
            digest: Digest::default(),
            events: 0,
            since: 0,
            known: Vec::new(),
            before: 0,
            last: 0,
            changes: Vec::new(),
            runs: Vec::new(),
            words: String::new(),
        };
        recorder.header(header);
        recorder
    }

    fn header(&mut self, header: &Header) {
        let text = &mut self.text;
        text.push_str("{\"ondisk\":\"timeline\",\"v\":");
        number(text, VERSION);
        text.push_str(",\"seed\":\"");
        digits(text, header.seed);
        text.push_str("\",\"config\":{");
        for (at, (name, value)) in header.config.iter().enumerate() {
            text.push_str(if at > 0 { "," } else { "" });
            quote(text, name);
            text.push(':');
            quote(text, value);
        }
        text.push_str("},\"script\":");
        quote(text, &header.script);
        text.push_str(",\"every\":");
        number(text, EVERY);
        self.end_line();
    }

    fn end_line(&mut self) {
        self.text.push('}');
        let Digest(a, b) = bytes_digest(&self.text.as_bytes()[self.line..]);
        self.digest.add(a);
        self.digest.add(b);
        self.text.push('\n');
        self.line = self.text.len();
    }

    /// The next event. The arena is asked for the bytes of a version that was not met before, so
    /// events are to be given while they are young. `note` says in words why; when it is empty, the
    /// event says itself what it is.
    pub fn event(&mut self, event: &Event, arena: &Arena, note: &str) {
        if event.ver != PageVer(0) && self.is_new(event.ver) {
            self.blob(event.ver, arena);
        }
        let mut changes = std::mem::take(&mut self.changes);
        self.derived.event(event, &mut changes);
        self.since += changes.len();
        self.join(&changes);
        self.changes = changes;
        self.line(event, note);
        self.events += 1;
        if self.events.is_multiple_of(EVERY) && self.since >= self.derived.cells.len() {
            self.key();
        }
    }

    /// All events of a machine that were not taken yet.
    pub fn follow(&mut self, sim: &Sim) {
        let mut machine = sim.lock();
        while let Some(event) = machine.event() {
            self.event(&event, &machine.cx.arena, "");
        }
    }

    /// How many events there were.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    fn is_new(&mut self, ver: PageVer) -> bool {
        let (word, bit) = (ver.index() / 64, ver.index() % 64);
        if word >= self.known.len() {
            self.known.resize(word + 1, 0);
        }
        let new = self.known[word] >> bit & 1 == 0;
        self.known[word] |= 1 << bit;
        new
    }

    fn blob(&mut self, ver: PageVer, arena: &Arena) {
        let Version { ino, page, content, op, from, to, before } = *arena.ver(ver);
        let all = arena.bytes(content);
        let bytes = all.get(usize::from(from)..usize::from(to)).unwrap_or_default();
        let kept = if bytes.len() > WHOLE { &bytes[..BEGIN] } else { bytes };
        let text = &mut self.text;
        text.push_str("{\"blob\":\"");
        digits(text, u64::from(ver.0));
        text.push_str("\",\"len\":");
        number(text, bytes.len() as u64);
        text.push_str(",\"b64\":\"");
        base64::encode(text, kept);
        text.push('"');
        if kept.len() < bytes.len() {
            let Digest(a, b) = bytes_digest(bytes);
            append(text, format_args!(",\"hash\":\"{a:016x}{b:016x}\""));
        }
        let [page, from, op] = [u64::from(page), u64::from(from), u64::from(op.0)];
        for (name, value) in [("ino", u64::from(ino.0)), ("page", page), ("at", from), ("op", op)] {
            field(text, name, value);
        }
        if before != PageVer(0) {
            text.push_str(",\"before\":\"");
            digits(text, u64::from(before.0));
            text.push('"');
        }
        self.end_line();
    }

    /// Joins changes of cells that lie together.
    fn join(&mut self, changes: &[Change]) {
        self.runs.clear();
        for (cell, old, new) in changes {
            let joined = self.runs.last_mut().is_some_and(|run| run.takes(*cell, *old, *new));
            if !joined {
                self.runs.push(Run::one(*cell, *old, *new));
            }
        }
    }

    fn line(&mut self, event: &Event, note: &str) {
        if u64::from(event.id.0) + self.before <= self.last {
            self.before = self.last;
        }
        self.last = u64::from(event.id.0) + self.before;
        let text = &mut self.text;
        text.push_str("{\"i\":");
        number(text, self.last);
        field(text, "t", event.at.0);
        field(text, "l", event.layer as u64);
        text.push_str(",\"k\":\"");
        text.push_str(words::name(&event.kind));
        text.push('"');
        if event.cause.0 != 0 {
            field(text, "c", u64::from(event.cause.0) + self.before);
        }
        for (name, value) in [("op", event.op.0), ("ver", event.ver.0)] {
            if value != 0 {
                field(text, name, u64::from(value));
            }
        }
        for (at, run) in self.runs.iter().enumerate() {
            text.push_str(if at == 0 { ",\"d\":[[\"" } else { ",[\"" });
            run.cell.write(run.len, text);
            text.push_str("\",\"");
            run.old.write(text);
            text.push_str("\",\"");
            run.new.write(text);
            text.push_str("\"]");
        }
        if !self.runs.is_empty() {
            text.push(']');
        }
        self.words.clear();
        if note.is_empty() {
            let words = words::words(&event.kind, &mut self.words);
            debug_assert!(words.is_ok(), "a `String` takes all");
        } else {
            self.words.push_str(note);
        }
        if !self.words.is_empty() {
            self.text.push_str(",\"m\":");
            quote(&mut self.text, &self.words);
        }
        self.end_line();
    }

    fn key(&mut self) {
        self.since = 0;
        self.runs.clear();
        for (cell, value) in self.derived.cells.iter() {
            let joined = self.runs.last_mut().is_some_and(|run| run.takes(cell, value, value));
            if !joined {
                self.runs.push(Run::one(cell, value, value));
            }
        }
        let text = &mut self.text;
        text.push_str("{\"key\":");
        number(text, self.events);
        text.push_str(",\"cells\":{");
        for (at, run) in self.runs.iter().enumerate() {
            text.push_str(if at == 0 { "\"" } else { ",\"" });
            run.cell.write(run.len, text);
            text.push_str("\":\"");
            run.new.write(text);
            text.push('"');
        }
        text.push('}');
        self.end_line();
    }

    /// Writes the lines so far to somewhere and forgets them.
    ///
    /// # Errors
    /// What the writer answers; then nothing is forgotten.
    pub fn drain(&mut self, to: &mut dyn io::Write) -> io::Result<()> {
        to.write_all(self.text.as_bytes())?;
        self.text.clear();
        self.line = 0;
        Ok(())
    }

    /// Ends the timeline; the lines that were not drained.
    #[must_use]
    pub fn finish(mut self) -> String {
        let Digest(a, b) = self.digest;
        let (events, text) = (self.events, &mut self.text);
        text.push_str("{\"end\":");
        number(text, events);
        append(text, format_args!(",\"digest\":\"{a:016x}{b:016x}\"}}\n"));
        self.text
    }
}

fn field(text: &mut String, name: &str, value: u64) {
    text.push_str(",\"");
    text.push_str(name);
    text.push_str("\":");
    number(text, value);
}

fn append(text: &mut String, what: fmt::Arguments<'_>) {
    let done = fmt::Write::write_fmt(text, what);
    debug_assert!(done.is_ok(), "a `String` takes all");
}
