//! The machine as a picture in text: six layers, from the program down to flash, at one event.
//!
//! Invariant: what a layer holds is read from the cells of the timeline; only names, which the
//! timeline has no cells for, are gathered from the events before. No line is wider than
//! [`WIDTH`], and what is coloured says the same without colour.

use ondisk_sim::machine::event::{Cmd, Layer};
use ondisk_sim::machine::timeline::{Cell, Place, Timeline, Value, words};

use super::names::Names;
use super::played::Reel;
use super::screen::clock;
use super::wrap::{WIDTH, printable, shortened, wrapped};
use crate::out::{Colour, Paint};

/// So many cells of a row are drawn one by one.
const DRAWN: usize = 48;
/// So many rows of one layer are drawn.
const ROWS: usize = 6;
/// Where what a layer holds begins.
const INSET: usize = 18;

/// The machine at the present moment of its timeline.
pub(crate) fn picture(reel: &Reel, timeline: &Timeline, paint: Paint) -> Vec<String> {
    let at = timeline.at();
    let moved = reel.moved.get(..at).unwrap_or_default();
    let now = moved.last().map(|(event, _)| event.layer);
    let drawn = Drawn { names: Names::of(moved), timeline, paint, now };
    let mut lines = drawn.heading(reel, at);
    lines.extend(drawn.layer(Layer::Buffer, "1 program", drawn.buffers()));
    lines.push(drawn.boundary(reel));
    lines.extend(drawn.layer(Layer::Vfs, "2 vfs", drawn.open(reel)));
    lines.extend(drawn.layer(Layer::PageCache, "3 page cache", drawn.pages()));
    lines.extend(drawn.layer(Layer::Fs, "4 file system", drawn.journal()));
    lines.extend(drawn.layer(Layer::Block, "5 block", drawn.requests()));
    lines.extend(drawn.layer(Layer::Ssd, "6 drive", drawn.drive()));
    lines
}

/// The name of a task.
pub(crate) fn task(reel: &Reel, number: u32) -> &str {
    let at = number.checked_sub(1).and_then(|at| usize::try_from(at).ok());
    at.and_then(|at| reel.tasks.get(at)).map_or("kernel", String::as_str)
}

struct Drawn<'a> {
    names: Names,
    timeline: &'a Timeline,
    paint: Paint,
    /// The layer of the last event.
    now: Option<Layer>,
}

impl Drawn<'_> {
    fn heading(&self, reel: &Reel, at: usize) -> Vec<String> {
        let last = reel.moved.last().map_or(0, |(event, _)| event.id.0);
        let Some((event, said)) = at.checked_sub(1).and_then(|at| reel.moved.get(at)) else {
            return vec![self.paint.paint(Colour::Bold, "Before the first event")];
        };
        let mut what = said.clone();
        if what.is_empty() {
            words(&event.kind, &mut what).unwrap_or_default();
        }
        let because = match event.cause.0 {
            0 => String::new(),
            cause => format!(" (because of event {cause})"),
        };
        let name = ondisk_sim::machine::timeline::name(&event.kind);
        let colon = if what.is_empty() { "" } else { ": " };
        let told = format!(
            "At event {} of {last}, {}: {name}{colon}{}{because}",
            event.id.0,
            clock(event.at.0),
            printable(&what)
        );
        let lines = wrapped("", &told);
        lines.iter().map(|line| self.paint.paint(Colour::Bold, line)).collect()
    }

    /// What a layer holds, a row a thing; a mark where something just moved.
    fn layer(&self, layer: Layer, name: &str, mut rows: Vec<String>) -> Vec<String> {
        let mark = if self.now == Some(layer) { ">" } else { " " };
        if rows.len() > ROWS {
            let more = rows.len() - (ROWS - 1);
            rows.truncate(ROWS - 1);
            rows.push(format!("… {more} more"));
        }
        if rows.is_empty() {
            rows.push("-".to_owned());
        }
        let mut lines = Vec::new();
        for (at, row) in rows.iter().enumerate() {
            let (mark, name) = if at == 0 { (mark, name) } else { ("", "") };
            let head = format!("{:<INSET$}", format!("{mark:<2}{name}"));
            let room = 2 * (WIDTH - INSET);
            lines.extend(wrapped(&head, &shortened(&printable(row), room)));
        }
        if mark == ">"
            && let Some(first) = lines.first_mut()
        {
            *first = self.paint.paint(Colour::Bold, first);
        }
        lines
    }

    fn buffers(&self) -> Vec<String> {
        let held = self.of(Place::Buf).map(|(cell, value)| {
            let file = self.names.buffer(cell.n);
            format!("{file}: {} in the buffer", number(value.ver, "byte"))
        });
        held.collect()
    }

    /// The line between user and kernel, with the calls that cross it.
    fn boundary(&self, reel: &Reel) -> String {
        let calls = self.names.crossing().into_iter().map(|(of, call)| {
            let who = if reel.tasks.len() > 1 { task(reel, of) } else { "" };
            let space = if who.is_empty() { "" } else { " " };
            let sign = if call.returned { "^" } else { "v" };
            format!("{who}{space}{} {sign}", call.words)
        });
        let calls = calls.collect::<Vec<_>>().join("   ");
        let calls = shortened(&printable(&calls), WIDTH - 40);
        let line = format!("  -- user ------- {calls} ");
        let rest = WIDTH.saturating_sub(line.chars().count() + 10);
        self.paint.paint(Colour::Dim, &format!("{line}{} kernel --", "-".repeat(rest)))
    }

    fn open(&self, reel: &Reel) -> Vec<String> {
        let mut rows: Vec<(u32, String)> = Vec::new();
        for ((of, fd), file) in &self.names.open {
            let file = format!("{fd} {file}");
            match rows.last_mut().filter(|(task, _)| task == of) {
                Some((_, row)) => row.push_str(&format!(", {file}")),
                None => rows.push((*of, format!("{} has open: {file}", task(reel, *of)))),
            }
        }
        rows.into_iter().map(|(_, row)| row).collect()
    }

    fn pages(&self) -> Vec<String> {
        const STATES: [(&str, &str); 4] =
            [("D", "dirty"), ("W", "being written"), ("C", "clean"), ("E", "failed")];
        let cells: Vec<(Cell, Value)> = self.of(Place::Page).collect();
        let of_a_file = |cells: &[(Cell, Value)]| {
            let file = cells.first().map_or(0, |(cell, _)| cell.of);
            let row: String = cells.iter().map(|(_, value)| value.state()).collect();
            let states = counts(cells, &STATES);
            let row = if cells.len() <= DRAWN { format!("[{row}] ") } else { String::new() };
            format!("{}: {row}{states}", self.names.file(file))
        };
        cells.chunk_by(|(a, _), (b, _)| a.of == b.of).map(of_a_file).collect()
    }

    fn journal(&self) -> Vec<String> {
        let told = self.of(Place::Jbd).map(|(cell, value)| {
            let state = match value.state() {
                "running" => "running: calls join it",
                "locked" => "locked: no call may join",
                "flush" => "flush: waits for the data that go first",
                "commit" => "commit: its blocks go to the journal",
                "record" => "record: its commit block goes",
                "finished" => "finished: durable; its blocks are still to go home",
                other => other,
            };
            let (changes, blocks) = self.names.transaction(cell.n);
            let changes = number(changes, "change");
            format!("transaction {}: {state} ({changes}, {})", cell.n, number(blocks, "block"))
        });
        told.chain(self.names.asked()).collect()
    }

    fn requests(&self) -> Vec<String> {
        let told = self.of(Place::Q).map(|(cell, value)| {
            let (slot, what) = match self.names.requests.get(&cell.n) {
                Some((Cmd::Flush, slot, ..)) => (*slot, "FLUSH".to_owned()),
                Some((cmd, slot, lba, count)) => {
                    let cmd = match cmd {
                        Cmd::Read => "read",
                        Cmd::WriteFua => "write FUA",
                        Cmd::Write | Cmd::Flush => "write",
                    };
                    (*slot, format!("{cmd} {} at {lba}", number(*count, "block")))
                }
                None => (0, "write".to_owned()),
            };
            let place = match value.state() {
                "P" => "in the plug".to_owned(),
                "Q" => "in the scheduler".to_owned(),
                _ => format!("with the drive, slot {slot}"),
            };
            format!("request {}: {what}, {place}", cell.n)
        });
        told.collect()
    }

    fn drive(&self) -> Vec<String> {
        const CACHE: [(&str, &str); 2] = [("V", "in the cache: a cut takes them"), ("S", "safe")];
        const FLASH: [(&str, &str); 4] = [
            ("M", "named by the map"),
            ("P", "programmed, not named"),
            ("S", "stale"),
            ("T", "of the saved map"),
        ];
        let blocks: Vec<(Cell, Value)> = self.of(Place::Lba).collect();
        let pages: Vec<(Cell, Value)> = self.of(Place::Nand).collect();
        let mut rows = Vec::new();
        if !blocks.is_empty() {
            let row: String = blocks.iter().map(|(_, value)| value.state()).collect();
            let row = if blocks.len() <= DRAWN { format!("[{row}] ") } else { String::new() };
            rows.push(format!("blocks {row}{}", counts(&blocks, &CACHE)));
        }
        if !pages.is_empty() {
            rows.push(format!("flash {}", counts(&pages, &FLASH)));
        }
        rows
    }

    fn of(&self, place: Place) -> impl Iterator<Item = (Cell, Value)> + '_ {
        self.timeline.cells().filter(move |(cell, _)| cell.place == place)
    }
}

/// How many cells are in which state.
fn counts(cells: &[(Cell, Value)], states: &[(&str, &str)]) -> String {
    let told = states.iter().filter_map(|(state, name)| {
        let count = cells.iter().filter(|(_, value)| value.state() == *state).count();
        (count > 0).then(|| format!("{count} {name}"))
    });
    told.collect::<Vec<_>>().join(", ")
}

fn number(count: u32, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}
