//! What changes in which cells, by the events alone.
//!
//! Invariant: the same events give the same changes; a change says what the cell held, so it can
//! be taken back.
//!
//! | place | states |
//! |---|---|
//! | `buf` | `B` with the number of bytes held |
//! | `page` | `D` dirty, `W` being written, `C` clean, `E` clean though it could not be written |
//! | `jbd` | the state's name; nothing when all is home |
//! | `q` | `P` plugged, `Q` queued, `D` with the drive, `F` a FLUSH with the drive |
//! | `lba` | `V` in the drive's volatile cache, `S` survives a cut |
//! | `nand` | `P` programmed, `M` and the map names it, `S` stale, `T` a part of the saved map |

use std::collections::BTreeMap;

use super::cells::{Cell, Cells, Place, Value};
use crate::machine::event::{Cmd, Event, Kind, Txn};
use crate::machine::ids::{Ino, Lba, PageVer, Ppa};
use ondisk_fs::Rung;

/// A cell that changed.
pub(super) type Change = (Cell, Value, Value);

/// All cells, and what the next change depends on beside them.
#[derive(Clone, Debug, Default)]
pub(super) struct Derived {
    pub(super) cells: Cells,
    /// Whose a buffer is.
    owners: BTreeMap<u32, u32>,
    /// The page of flash that the map names for a block.
    places: BTreeMap<u32, Ppa>,
    /// What of a block survives a cut.
    stable: BTreeMap<u32, u32>,
    /// Cells to be looked at, used again.
    some: Vec<(Cell, Value)>,
}

impl Derived {
    /// What an event changes, in order; `changes` is emptied first.
    pub(super) fn event(&mut self, event: &Event, changes: &mut Vec<Change>) {
        changes.clear();
        let mut turn = Turn { derived: self, changes };
        turn.event(event);
        changes.sort_by_key(|(cell, ..)| *cell);
    }
}

/// An event's changes in the making.
struct Turn<'a> {
    derived: &'a mut Derived,
    changes: &'a mut Vec<Change>,
}

impl Turn<'_> {
    fn get(&self, cell: Cell) -> Value {
        self.derived.cells.get(cell)
    }

    fn set(&mut self, cell: Cell, value: Value) {
        let old = self.derived.cells.set(cell, value);
        if old != value {
            self.changes.push((cell, old, value));
        }
    }

    /// What of some cells holds something becomes something else.
    fn each(
        &mut self,
        place: Place,
        of: Option<u32>,
        new: impl Fn(&Derived, Cell, Value) -> Value,
    ) {
        let mut some = std::mem::take(&mut self.derived.some);
        some.extend(self.derived.cells.of(place, of));
        for (cell, old) in some.drain(..) {
            let value = new(self.derived, cell, old);
            self.set(cell, value);
        }
        self.derived.some = some;
    }

    fn event(&mut self, event: &Event) {
        let ver = event.ver.0;
        match event.kind {
            Kind::Buffered { task, file, held, .. } => {
                self.derived.owners.insert(file, task.0);
                self.buffer(file, held);
            }
            Kind::Spilled { file, len, .. } => {
                let held = self.get(Cell::one(Place::Buf, file)).ver;
                self.buffer(file, held.saturating_sub(len));
            }
            Kind::Dirtied { ino, page } => {
                self.set(Cell::two(Place::Page, ino.0, page), Value::new("D", ver));
            }
            Kind::WbStart { ino, page, count } => self.pages(ino, page, count, "D", "W"),
            Kind::WbDone { ino, page, count } => self.pages(ino, page, count, "W", "C"),
            Kind::WbError { ino, page, count } => self.pages(ino, page, count, "W", "E"),
            Kind::Handle { tid, .. } => {
                let cell = Cell::one(Place::Jbd, tid.0);
                if self.get(cell).is_none() {
                    self.set(cell, Value::new(state(Txn::Running), 0));
                }
            }
            Kind::TxnState { tid, to, .. } => {
                self.set(Cell::one(Place::Jbd, tid.0), Value::new(state(to), 0));
            }
            _ => self.below(&event.kind, event.ver),
        }
    }

    fn buffer(&mut self, file: u32, held: u32) {
        let value = if held == 0 { Value::NONE } else { Value::new("B", held) };
        self.set(Cell::one(Place::Buf, file), value);
    }

    /// Pages go from one state to another; those in a third stay.
    fn pages(&mut self, ino: Ino, page: u32, count: u32, from: &str, to: &str) {
        for n in page..page.saturating_add(count) {
            let cell = Cell::two(Place::Page, ino.0, n);
            let old = self.get(cell);
            if old.state() == from {
                self.set(cell, old.turned(to));
            }
        }
    }

    /// In the block layer and in the drive.
    fn below(&mut self, kind: &Kind, ver: PageVer) {
        let q = |rq: crate::machine::ids::RqId| Cell::one(Place::Q, rq.0);
        match *kind {
            Kind::Plugged { rq, .. } => self.set(q(rq), Value::new("P", ver.0)),
            Kind::Queued { rq, .. } => self.set(q(rq), Value::new("Q", ver.0)),
            Kind::Merged { from, .. } => self.set(q(from), Value::NONE),
            Kind::Dispatched { rq, cmd, .. } => {
                let word = if cmd == Cmd::Flush { "F" } else { "D" };
                self.set(q(rq), Value::new(word, ver.0));
            }
            Kind::RqDone { rq, .. } => self.set(q(rq), Value::NONE),
            Kind::CacheIn { lba } => self.block(lba, Value::new("V", ver.0)),
            Kind::Settled { lba, rung } => self.settled(lba, rung, ver),
            Kind::Programmed { ppa, .. } => self.page(ppa, "P", ver),
            Kind::GcCopy { to, .. } | Kind::WearMove { to, .. } => self.page(to, "P", ver),
            Kind::MapSaved { ppa, .. } => self.page(ppa, "T", ver),
            Kind::Mapped { lba, ppa } => {
                if let Some(old) = self.derived.places.insert(lba.0, ppa)
                    && old != ppa
                {
                    let cell = Cell::two(Place::Nand, old.block, u32::from(old.page));
                    if self.get(cell).state() == "M" {
                        self.set(cell, self.get(cell).turned("S"));
                    }
                }
                self.page(ppa, "M", ver);
            }
            Kind::Erased { block, .. } => {
                self.each(Place::Nand, Some(block), |_, _, _| Value::NONE);
            }
            _ => self.death(kind),
        }
    }

    fn block(&mut self, lba: Lba, value: Value) {
        self.set(Cell::one(Place::Lba, lba.0), value);
    }

    fn page(&mut self, ppa: Ppa, word: &str, ver: PageVer) {
        let cell = Cell::two(Place::Nand, ppa.block, u32::from(ppa.page));
        self.set(cell, Value::new(word, ver.0));
    }

    /// A content of a block is as safe as this; a newer one may be in the cache already.
    fn settled(&mut self, lba: Lba, rung: Rung, ver: PageVer) {
        match rung {
            Rung::Buffered | Rung::Cached => {}
            Rung::Device => self.block(lba, Value::new("V", ver.0)),
            Rung::Durable => {
                self.derived.stable.insert(lba.0, ver.0);
                let newer = self.get(Cell::one(Place::Lba, lba.0));
                if newer.state() != "V" || newer.ver == ver.0 {
                    self.block(lba, Value::new("S", ver.0));
                }
            }
        }
    }

    fn death(&mut self, kind: &Kind) {
        match kind {
            Kind::Kill { task } => self.each(Place::Buf, None, |derived, cell, old| {
                let own = derived.owners.get(&cell.n) == Some(&task.0);
                if own { Value::NONE } else { old }
            }),
            Kind::Crash | Kind::Cut => {
                for place in [Place::Buf, Place::Page, Place::Jbd, Place::Q] {
                    self.each(place, None, |_, _, _| Value::NONE);
                }
                if *kind == Kind::Cut {
                    self.each(Place::Lba, None, |derived, cell, old| match old.state() {
                        "V" => derived
                            .stable
                            .get(&cell.n)
                            .map_or(Value::NONE, |ver| Value::new("S", *ver)),
                        _ => old,
                    });
                }
            }
            _ => {}
        }
    }
}

/// The word for a state of a transaction; none when it is over.
fn state(state: Txn) -> &'static str {
    match state {
        Txn::Running => "running",
        Txn::Locked => "locked",
        Txn::Flush => "flush",
        Txn::Commit => "commit",
        Txn::Record => "record",
        Txn::Finished => "finished",
        Txn::Checkpointed => "",
    }
}
