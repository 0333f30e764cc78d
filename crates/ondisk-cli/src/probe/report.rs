//! The report, for people and for programs.
//!
//! Invariant: both tell the same; the JSON has a version, which changes when a field's meaning does.

use std::path::{Path, PathBuf};

use ondisk_fs::{BLOCK, Chosen, Rung};
use serde::Serialize;

use super::commits::Committed;
use super::groups::Groups;
use super::measure::{Ground, Means, Measurement, Way};
use super::place::{Cache, Drive, Place};
use super::verdict::{self, Gain, Warning, duration};
use crate::exit::Failure;
use crate::out::{Colour, Out, Paint};

/// What was found out.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    version: u32,
    path: PathBuf,
    #[serde(flatten)]
    place: Place,
    calls: Calls,
    /// What a sync reaches here, by the word of the platform.
    reaches: &'static str,
    measurements: Vec<Row>,
    gains: Vec<Gain>,
    group_commit: Groups,
    warnings: Vec<Warning>,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(super) struct Figures {
    /// Of each way to write.
    pub(super) measurements: Vec<Measurement>,
    /// Of a group's write, by its length.
    pub(super) groups: Vec<Measurement>,
    /// Of group commit.
    pub(super) committed: Vec<Committed>,
}

/// Which call serves for what.
#[derive(Clone, Copy, Debug, Serialize)]
struct Calls {
    data: &'static str,
    all: &'static str,
    dir: &'static str,
    durable_write: &'static str,
}

/// One measurement.
#[derive(Clone, Debug, Serialize)]
struct Row {
    what: String,
    ground: &'static str,
    bytes: usize,
    rung: &'static str,
    samples: usize,
    p50_us: f64,
    p99_us: f64,
    #[serde(skip)]
    cost: [String; 2],
    #[serde(skip)]
    meaning: &'static str,
}

impl Report {
    pub(super) fn new(path: &Path, place: Place, chosen: Chosen, figures: Figures) -> Self {
        let Figures { measurements, groups, committed } = figures;
        let synced = measurements.iter().filter(|m| m.way.means != Means::Nothing);
        let reaches = synced.map(|m| m.rung).min().unwrap_or(Rung::Cached);
        let rows = measurements.iter().map(|m| Row::new(m, chosen, place.overwrites_in_place));
        Self {
            version: 1,
            path: path.to_owned(),
            calls: Calls {
                data: chosen.data.name(),
                all: chosen.all.name(),
                dir: chosen.dir.name(),
                durable_write: chosen.durable_write.name(),
            },
            reaches: reaches.name(),
            measurements: rows.collect(),
            gains: verdict::gains(&measurements),
            group_commit: Groups::new(&committed, &groups),
            warnings: verdict::warnings(&place, &measurements),
            place,
        }
    }

    /// Prints the report for a person.
    pub(super) fn print(&self, out: &mut Out, paint: Paint) -> Result<(), Failure> {
        for (label, text) in self.head() {
            out.line(format_args!(
                "{} {text}",
                paint.paint(Colour::Bold, &format!("{label:<12}"))
            ))?;
        }
        out.line(format_args!(""))?;
        self.print_rows(out, paint)?;
        out.line(format_args!(""))?;
        let title = format!("{:<48}{:>8} {:>8}", "what is gained by", "at p50", "at p99");
        out.line(format_args!("{}", paint.paint(Colour::Bold, &title)))?;
        for gain in &self.gains {
            let (p50, p99) = (format!("{:.1} ×", gain.p50), format!("{:.1} ×", gain.p99));
            out.line(format_args!("{:<48}{p50:>8} {p99:>8}", gain.text))?;
        }
        out.line(format_args!(""))?;
        self.group_commit.print(out, paint)?;
        for warning in &self.warnings {
            let label = paint.paint(Colour::Yellow, "warning:");
            out.line(format_args!("\n{label} {}", wrapped(&warning.text)))?;
        }
        out.line(format_args!("\nNext: ondisk demo"))
    }

    fn head(&self) -> [(&'static str, String); 4] {
        let mount = self.place.mount.as_ref();
        let file_system = mount.map_or_else(
            || "not known on this platform".to_owned(),
            |m| format!("{} ({}) at {}", m.file_system, m.source, m.mount_point.display()),
        );
        let calls = self.calls;
        [
            ("file system", file_system),
            ("drive", self.place.drive.as_ref().map_or_else(|| "none is known".to_owned(), drive)),
            (
                "calls",
                format!(
                    "data {}, file {}, directory {}, durable write {}",
                    calls.data, calls.all, calls.dir, calls.durable_write
                ),
            ),
            ("a sync is", self.rung_sentence()),
        ]
    }

    fn rung_sentence(&self) -> String {
        let rung = Rung::ALL.into_iter().find(|rung| rung.name() == self.reaches);
        let survives = rung.map_or("nothing", Rung::survives);
        format!("{}, by the word of the platform: it survives {survives}", self.reaches)
    }

    fn print_rows(&self, out: &mut Out, paint: Paint) -> Result<(), Failure> {
        let samples = self.measurements.iter().map(|row| row.samples).min().unwrap_or_default();
        let title = format!("{BLOCK} bytes, {samples} samples of each, taking turns");
        let title = format!("{title:<38}{:>8} {:>8}", "p50", "p99");
        out.line(format_args!("{}", paint.paint(Colour::Bold, &title)))?;
        for row in &self.measurements {
            let [p50, p99] = &row.cost;
            let meaning = paint.paint(Colour::Dim, row.meaning);
            out.line(format_args!(
                "{:<28}{:<10}{p50:>8} {p99:>8}  {meaning}",
                row.what, row.ground
            ))?;
        }
        Ok(())
    }
}

impl Row {
    fn new(measurement: &Measurement, chosen: Chosen, in_place: bool) -> Self {
        let way = measurement.way;
        let micros = |percent| measurement.percentile(percent).as_nanos() as f64 / 1e3;
        Self {
            what: what(way, chosen),
            ground: ground(way.ground),
            bytes: measurement.bytes(),
            rung: measurement.rung.name(),
            samples: measurement.samples(),
            p50_us: micros(50),
            p99_us: micros(99),
            cost: [50, 99].map(|percent| duration(measurement.percentile(percent))),
            meaning: meaning(way, in_place),
        }
    }
}

/// A way, in the calls that it makes here.
fn what(way: Way, chosen: Chosen) -> String {
    let write = if way.blocks > 1 { format!("write ×{}", way.blocks) } else { "write".to_owned() };
    match way.means {
        Means::Nothing => write,
        Means::SyncData => format!("{write} + {}", chosen.data.name()),
        Means::SyncAll => format!("{write} + {}", chosen.all.name()),
        Means::DurableWrite => chosen.durable_write.name().to_owned(),
        Means::SyncDir => format!("create + {}", chosen.dir.name()),
    }
}

/// What is written to, in a word.
fn ground(ground: Ground) -> &'static str {
    match ground {
        Ground::Growing => "growing",
        Ground::Allocated => "allocated",
        Ground::Written => "written",
        Ground::Directory => "directory",
    }
}

/// What a way teaches, in a few words.
fn meaning(way: Way, in_place: bool) -> &'static str {
    match (way.ground, way.means) {
        _ if way.blocks > 1 => "a group: many records, one sync",
        (_, Means::Nothing) => "in the page cache: lost with the kernel",
        (_, Means::DurableWrite) => "one call that writes and syncs",
        (Ground::Directory, _) => "a name is data of its directory",
        (Ground::Growing, Means::SyncAll) => "new block, new length, times",
        (Ground::Growing, _) => "new block and length: metadata too",
        (Ground::Allocated, Means::SyncAll) => "reserved, never written: metadata too",
        (Ground::Allocated, _) => "the first write changes the extent",
        (Ground::Written, _) if !in_place => "copy-on-write: new blocks all the same",
        (Ground::Written, Means::SyncAll) => "data, and the file's times",
        (Ground::Written, _) => "data alone: the journal is left alone",
    }
}

/// What a drive says of itself, in words.
fn drive(drive: &Drive) -> String {
    let cache = match drive.cache {
        Some(Cache::Volatile) => "a volatile cache, so a sync sends a FLUSH",
        Some(Cache::None) => "no volatile cache",
        None => "nothing of its cache",
    };
    let fua = match drive.fua {
        Some(true) => ", FUA",
        Some(false) => ", no FUA",
        None => "",
    };
    let turns = if drive.rotational == Some(true) { ", it turns" } else { "" };
    format!("{} says of itself: {cache}{fua}{turns}", drive.name)
}

/// Breaks a text into lines of at most 96 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::from("warning:")]; // what stands before it takes room as well
    for word in text.split_whitespace() {
        let fits =
            lines.last().is_some_and(|line| line.chars().count() + word.chars().count() < 96);
        match lines.last_mut() {
            Some(line) if fits => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n").split_off("warning: ".len())
}

#[cfg(test)]
mod tests;
