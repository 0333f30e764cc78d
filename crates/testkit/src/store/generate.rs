//! Stories by chance.
//!
//! Invariant: the same engine, seed and length make the same story.

use std::ops::Bound;

use ondisk::{Compression, EngineKind, KeyspaceOptions, LargeValue, PageSize, SyncMode};

use super::random::Random;
use super::story::{Between, Budgets, Event, Fill, KEYS, NAMES, Op, Story, Walk, plain};

/// What a story is made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// To be compared with the model: long values, many reads.
    Model,
    /// To be cut: few calls, and what makes files.
    Cuts,
}

struct Author {
    random: Random,
    engine: EngineKind,
    purpose: For,
    values: u32,
}

/// A story about keyspaces of an engine, beside others.
#[must_use]
pub fn story(
    engine: EngineKind,
    seed: u64,
    length: usize,
    purpose: For,
    budgets: Budgets,
) -> Story {
    let mut author = Author { random: Random(seed), engine, purpose, values: 0 };
    let mut events = vec![Event::Make(1, author.options(Some(engine)))];
    if author.random.percent(60) {
        events.push(Event::Make(2, author.options(None)));
    }
    for _ in 0..length {
        let event = author.event();
        events.push(event);
    }
    Story { name: format!("{engine} {seed}"), budgets, events, cut_from: 0 }
}

impl Author {
    fn options(&mut self, engine: Option<EngineKind>) -> KeyspaceOptions {
        let engine = engine.unwrap_or_else(|| self.random.pick(&EngineKind::ALL));
        let mut options = plain(engine);
        if self.random.percent(30) {
            options.sync = Some(self.mode());
        }
        options.page_size = self.random.pick(&[PageSize(1024), PageSize(1024), PageSize(4096)]);
        options.compression = self.random.pick(&[Compression::Lz4, Compression::None]);
        options.large_value = self.random.pick(&[LargeValue::default(), LargeValue(1500)]);
        options
    }

    fn mode(&mut self) -> SyncMode {
        self.random.pick(&[
            SyncMode::Sync,
            SyncMode::None,
            SyncMode::Batch(ondisk::BatchLimits { records: 3, bytes: None, delay: None }),
        ])
    }

    fn asked(&mut self) -> Option<SyncMode> {
        if self.random.percent(50) { Some(self.mode()) } else { None }
    }

    /// Mostly the keyspace that the story is about.
    fn slot(&mut self) -> usize {
        if self.random.percent(55) { 1 } else { self.random.below(NAMES.len()) }
    }

    fn len(&mut self) -> u32 {
        let lens: &[u32] = match self.purpose {
            For::Model => &[0, 1, 20, 40, 300, 900, 2500, 5500],
            For::Cuts => &[0, 12, 12, 40, 300, 700],
        };
        self.random.pick(lens)
    }

    fn ops(&mut self) -> Vec<Op> {
        let most = if self.purpose == For::Model { 5 } else { 4 };
        let count = self.random.below(most);
        (0..count).map(|_| self.op()).collect()
    }

    fn op(&mut self) -> Op {
        self.values += 1;
        let (slot, key) = (self.slot(), self.random.below(KEYS));
        let fill = Fill { number: self.values, len: self.len() };
        let value = if self.random.percent(70) { Some(fill) } else { None };
        // Every value of some length fits beside a long key.
        Op { slot, key, value }
    }

    fn bound(&mut self) -> Bound<usize> {
        let key = self.random.below(KEYS);
        match self.random.below(3) {
            0 => Bound::Unbounded,
            1 => Bound::Included(key),
            _ => Bound::Excluded(key),
        }
    }

    fn walk(&mut self) -> Walk {
        match self.random.below(3) {
            0 => Walk::Forward,
            1 => Walk::Backward,
            _ => Walk::Mixed(self.random.draw()),
        }
    }

    fn event(&mut self) -> Event {
        let reads = if self.purpose == For::Model { 18 } else { 0 };
        match self.random.below(82 + reads) {
            0..26 => Event::Commit(self.ops(), self.asked()),
            26..30 => self.transaction(),
            30..38 => self.pipeline(),
            38..48 => Event::Steps(1 + u8::try_from(self.random.below(6)).unwrap_or(0)),
            48..56 => Event::Checkpoint,
            56..60 => Event::Compact,
            60..62 => Event::Sync,
            62..64 => Event::Idle,
            64..69 => {
                let slot = self.random.below(NAMES.len());
                let engine = if self.random.percent(50) { Some(self.engine) } else { None };
                Event::Make(slot, self.options(engine))
            }
            69..72 => Event::Drop(self.random.below(NAMES.len())),
            72..75 => Event::Reopen,
            75..78 => Event::Kill,
            78..79 => Event::Snapshot,
            79..80 => Event::Reader,
            80..82 => Event::LetGo,
            82..89 => Event::Range(self.slot(), self.bound(), self.bound(), self.walk()),
            89..94 => Event::Points(self.slot()),
            94..97 => Event::Prefix(self.slot(), self.random.below(KEYS)),
            _ => Event::KeepWalk(self.slot(), self.walk()),
        }
    }

    fn transaction(&mut self) -> Event {
        let between = if self.random.percent(40) { self.ops() } else { Vec::new() };
        Event::Transaction(self.ops(), between, self.mode())
    }

    fn pipeline(&mut self) -> Event {
        let count = 1 + self.random.below(3);
        let batches = (0..count).map(|_| self.ops()).collect();
        let between = self.random.pick(&[
            Between::Nothing,
            Between::Checkpoint,
            Between::Snapshot,
            Between::Steps,
        ]);
        Event::Pipeline(batches, self.asked(), between)
    }
}
