//! A drive alone: what it is told and answers, what survives, and what that costs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod basic;
mod lives;
mod storms;

use super::super::arena::{Arena, Marks};
use super::super::config::{DriveCache, DriveConfig, FlushIs};
use super::super::event::{Cmd, Event, Kind};
use super::super::ids::{BlockId, Lba, Ns, OpId, PageVer, Ppa, RqId};
use super::super::layer::{Cx, Layer};
use super::super::message::{Cargo, Msg, SsdDone, SsdReq};
use super::{Flash, Ssd};

/// A drive with somebody who gives it commands.
#[derive(Clone)]
struct Host {
    cx: Cx,
    ssd: Ssd,
    next: u32,
    done: Vec<SsdDone>,
}

impl Host {
    fn new(config: &DriveConfig) -> Self {
        Self::with(config, Flash::format(config, &[]), Arena::new())
    }

    fn with(config: &DriveConfig, flash: Flash, arena: Arena) -> Self {
        let (cx, ssd) = (Cx::new(arena, 7), Ssd::new(config, flash));
        Self { cx, ssd, next: 1, done: Vec::new() }
    }

    /// A content that is this number and nothing else.
    fn content(&mut self, value: u64) -> BlockId {
        let mut bytes = [0; ondisk_fs::BLOCK];
        for chunk in bytes.chunks_exact_mut(8) {
            chunk.copy_from_slice(&value.to_le_bytes());
        }
        self.cx.arena.put(&bytes)
    }

    fn send(&mut self, cmd: Cmd, lba: u32, cargo: Vec<Cargo>) -> RqId {
        let rq = RqId(self.next);
        self.next += 1;
        let req = SsdReq { rq, slot: 0, op: OpId(1), cmd, lba: Lba(lba), cargo, fail: None };
        self.ssd.accept(&mut self.cx, req);
        rq
    }

    /// Writes blocks of these values.
    fn write(&mut self, cmd: Cmd, lba: u32, values: &[u64]) -> RqId {
        let blocks = values.iter().map(|value| Cargo {
            content: self.content(*value),
            ver: PageVer(u32::try_from(*value).unwrap()),
        });
        let cargo = blocks.collect();
        self.send(cmd, lba, cargo)
    }

    fn flush(&mut self) -> RqId {
        self.send(Cmd::Flush, 0, Vec::new())
    }

    /// Does the next thing that is due; whether there was one.
    fn step(&mut self) -> bool {
        if let Some(msg) = self.cx.take() {
            let Msg::SsdDone(done) = msg else { panic!("a drive answers to the block layer") };
            self.done.push(done);
            return true;
        }
        let Some(at) = self.ssd.next_tick() else { return false };
        self.cx.now = self.cx.now.max(at);
        self.ssd.tick(&mut self.cx);
        if self.cx.arena.is_full() {
            self.sweep();
        }
        true
    }

    /// Uses again what neither the drive nor a message to come holds.
    fn sweep(&mut self) {
        let mut marks = Marks::default();
        self.ssd.marks(&mut marks);
        for msg in self.cx.pending() {
            let Msg::SsdDone(done) = msg else { panic!("a drive answers to the block layer") };
            done.cargo.iter().for_each(|cargo| marks.hold(cargo.content));
        }
        self.cx.arena.sweep(&marks);
    }

    fn is_done(&self, rq: RqId) -> bool {
        self.done.iter().any(|done| done.rq == rq)
    }

    /// Waits for an answer; when it came.
    fn wait(&mut self, rq: RqId) -> Ns {
        while !self.is_done(rq) {
            assert!(self.step(), "no answer will ever come");
        }
        self.cx.now
    }

    fn idle(&mut self) {
        while self.step() {}
    }

    fn kinds(&self) -> Vec<Kind> {
        self.cx.events.iter().map(|Event { kind, .. }| *kind).collect()
    }
}

/// The number that a content is.
fn value(arena: &Arena, content: BlockId) -> u64 {
    let bytes = arena.bytes(content);
    assert!(bytes.chunks_exact(8).all(|chunk| chunk == &bytes[..8]), "a mixture");
    u64::from_le_bytes(bytes[..8].try_into().unwrap())
}

/// A small drive, so that all of it is written many times.
fn small() -> DriveConfig {
    DriveConfig { blocks: 24, pages: 4, cache_blocks: 6, channels: 2, ..DriveConfig::default() }
}
