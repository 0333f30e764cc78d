mod damage;
mod golden;
mod seeking;
mod text;
mod whole;

use super::derive::Derived;
use super::*;
use crate::machine::arena::{Arena, Version};
use crate::machine::choice::Stream;
use crate::machine::event::{Cmd, Event, HandleFor, Join, Kind, Layer, Txn};
use crate::machine::ids::{BioId, EventId, Ino, Lba, OpId, PageVer, Ppa, RqId, TaskId, Tid};
use ondisk_fs::Rung;

/// Events that come to somebody's mind, each with a number and a cause.
struct Events {
    arena: Arena,
    chance: Stream,
    all: Vec<Event>,
    ver: PageVer,
}

impl Events {
    fn new(seed: u64) -> Self {
        let (arena, chance) = (Arena::new(), Stream::new(seed));
        Self { arena, chance, all: Vec::new(), ver: PageVer(0) }
    }

    fn below(&mut self, n: u32) -> u32 {
        self.chance.below(Layer::World, n)
    }

    /// A version of a page, whose bytes are these.
    fn version(&mut self, ino: u32, page: u32, bytes: &[u8]) {
        let mut whole = [0; ondisk_fs::BLOCK];
        whole[..bytes.len()].copy_from_slice(bytes);
        let content = self.arena.put(&whole);
        let to = u16::try_from(bytes.len()).unwrap();
        let (ino, op, before) = (Ino(ino), OpId(1), PageVer(0));
        let version = Version { ino, page, content, op, from: 0, to, before };
        self.ver = self.arena.version(version);
    }

    fn push(&mut self, layer: Layer, kind: Kind) {
        let id = u32::try_from(self.all.len() + 1).unwrap();
        let ver = match kind {
            Kind::WbDone { .. } | Kind::TxnState { .. } | Kind::RqDone { .. } => PageVer(0),
            _ => self.ver,
        };
        let at = Ns(u64::from(id) * 300);
        let (id, cause) = (EventId(id), EventId(id - 1));
        self.all.push(Event { id, at, cause, op: OpId(1), ver, layer, kind });
    }

    /// Something that could happen, more or less.
    fn something(&mut self) {
        let (ino, page, n) = (Ino(12 + self.below(3)), self.below(40), self.below(9));
        let (lba, tid, rq) = (Lba(self.below(90)), Tid(self.below(4)), RqId(1 + self.below(9)));
        let ppa = Ppa { block: self.below(4), page: u16::try_from(self.below(16)).unwrap() };
        let (file, task) = (self.below(4), TaskId(self.below(2)));
        let rung = if n < 5 { Rung::Durable } else { Rung::Device };
        self.ver = PageVer(self.ver.0.min(1));
        let fs = [
            Kind::Buffered { task, file, held: 10 * n, len: 7 },
            Kind::Spilled { task, file, len: 20 },
            Kind::WbStart { ino, page, count: n },
            Kind::WbDone { ino, page, count: n },
            Kind::WbError { ino, page, count: n },
            Kind::Handle { tid, why: HandleFor::Create, ino },
            Kind::TxnState { tid, from: Txn::Running, to: Txn::Commit },
            Kind::TxnState { tid, from: Txn::Finished, to: Txn::Checkpointed },
        ];
        let bio = BioId(rq.0);
        let below = [
            Kind::Plugged { bio, rq, task },
            Kind::Merged { bio, rq, from: RqId(rq.0 - 1), join: Join::Back },
            Kind::Queued { rq, lba, count: 1 },
            Kind::Dispatched { rq, cmd: Cmd::Write, slot: 0, lba, count: 1 },
            Kind::RqDone { rq, ok: true },
            Kind::CacheIn { lba },
            Kind::Settled { lba, rung },
            Kind::Programmed { lba, ppa },
            Kind::Mapped { lba, ppa },
            Kind::GcCopy { lba, from: ppa, to: Ppa { block: 3, page: 1 } },
            Kind::Erased { block: ppa.block, wear: 1 },
        ];
        let deaths = [Kind::Kill { task }, Kind::Crash, Kind::Cut];
        match self.below(1000) {
            0..300 => {
                self.version(ino.0, page, &[n.to_le_bytes()[0]; 5]);
                self.push(Layer::PageCache, Kind::Dirtied { ino, page });
            }
            300..600 => {
                let at = self.below(u32::try_from(fs.len()).unwrap());
                self.push(Layer::Fs, fs[usize::try_from(at).unwrap()]);
            }
            600..996 => {
                let at = self.below(u32::try_from(below.len()).unwrap());
                self.push(Layer::Ssd, below[usize::try_from(at).unwrap()]);
            }
            _ => {
                let at = self.below(3);
                self.push(Layer::World, deaths[usize::try_from(at).unwrap()]);
            }
        }
    }

    fn some(seed: u64, count: usize) -> Self {
        let mut events = Self::new(seed);
        while events.all.len() < count {
            events.something();
        }
        events
    }

    fn record(&self) -> String {
        let header = Header { seed: u64::MAX, ..Header::default() };
        let mut recorder = Recorder::new(&header);
        self.all.iter().for_each(|event| recorder.event(event, &self.arena, ""));
        recorder.finish()
    }
}

fn read(text: &str) -> Result<Timeline, TimelineError> {
    Timeline::read(&mut text.as_bytes())
}

/// The cells as they are now.
fn now(timeline: &Timeline) -> Vec<(Cell, Value)> {
    timeline.cells().collect()
}
