//! The part of the report that tells of group commit, for people and for programs.
//!
//! Invariant: as the report's: both tell the same.

use serde::Serialize;

use super::advice::{self, Advice, Name, per_byte, size, three_digits, whole};
use super::commits::{Committed, RECORD};
use super::measure::Measurement;
use super::verdict::duration;
use crate::exit::Failure;
use crate::out::{Colour, Out, Paint};
use crate::table;

/// What was found out about group commit.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Groups {
    /// Bytes of each commit's payload.
    record_bytes: usize,
    /// One commit under way for each writer.
    writers: Vec<Load>,
    /// One writer, many commits under way.
    one_writer: Vec<Load>,
    /// What a group's write costs by its length.
    writes: Vec<Write>,
    advice: [Advice; 3],
}

/// One load of the log.
#[derive(Clone, Debug, Serialize)]
struct Load {
    writers: usize,
    in_flight: usize,
    rung: &'static str,
    commits: usize,
    commits_per_s: f64,
    p50_us: f64,
    p99_us: f64,
    groups: u64,
    commits_per_group: f64,
    largest_group: u32,
    bytes_per_group: f64,
    #[serde(skip)]
    cost: [String; 2],
}

/// One durable write of a group.
#[derive(Clone, Debug, Serialize)]
struct Write {
    bytes: u64,
    rung: &'static str,
    samples: usize,
    p50_us: f64,
    p99_us: f64,
    ns_per_byte: f64,
    #[serde(skip)]
    cost: [String; 2],
}

impl Groups {
    pub(super) fn new(committed: &[Committed], groups: &[Measurement]) -> Self {
        let (one_each, many): (Vec<_>, Vec<_>) =
            committed.iter().partition(|it| it.load.in_flight == 1);
        Self {
            record_bytes: RECORD.len(),
            writers: one_each.into_iter().map(Load::new).collect(),
            one_writer: many.into_iter().map(Load::new).collect(),
            writes: groups.iter().map(Write::new).collect(),
            advice: advice::advice(committed, groups),
        }
    }

    /// Prints it for a person.
    pub(super) fn print(&self, out: &mut Out, paint: Paint) -> Result<(), Failure> {
        let bold = |text: &str| paint.paint(Colour::Bold, text);
        let title =
            format!("group commit: records of {} bytes, each waited for", self.record_bytes);
        out.line(format_args!("{}", bold(&title)))?;
        let title = format!(
            "{:<9}{:>9}{:>12}{:>10}{:>10}{:>16}{:>7}{:>15}",
            "writers",
            "in flight",
            "commits/s",
            "p50",
            "p99",
            "commits/group",
            "most",
            "bytes/group"
        );
        out.line(format_args!("{}", bold(&title)))?;
        for load in self.writers.iter().chain(&self.one_writer) {
            out.line(format_args!("{}", load.line()))?;
        }
        let title =
            format!("{:<28}{:>8} {:>8} {:>10}", "one durable write of", "p50", "p99", "a byte");
        out.line(format_args!("\n{}", bold(&title)))?;
        for Write { bytes, ns_per_byte, cost: [p50, p99], .. } in &self.writes {
            let byte = format!("{} ns", three_digits(*ns_per_byte));
            out.line(format_args!("{:<28}{p50:>8} {p99:>8} {byte:>10}", size(*bytes)))?;
        }
        out.line(format_args!(""))?;
        self.advice.iter().try_for_each(|advice| {
            let lines = advised(advice);
            lines.iter().enumerate().try_for_each(|(number, line)| {
                match line.split_at_checked(LABEL) {
                    Some((label, text)) if number == 0 => {
                        out.line(format_args!("{}{text}", bold(label)))
                    }
                    _ => out.line(format_args!("{line}")),
                }
            })
        })
    }
}

impl Load {
    fn new(committed: &Committed) -> Self {
        let micros = |percent| committed.percentile(percent).as_nanos() as f64 / 1e3;
        Self {
            writers: committed.load.writers,
            in_flight: committed.load.in_flight,
            rung: committed.rung.name(),
            commits: committed.commits(),
            commits_per_s: committed.per_second(),
            p50_us: micros(50),
            p99_us: micros(99),
            groups: committed.groups,
            commits_per_group: committed.commits_per_group(),
            largest_group: committed.largest_group,
            bytes_per_group: committed.bytes_per_group(),
            cost: [50, 99].map(|percent| duration(committed.percentile(percent))),
        }
    }

    fn line(&self) -> String {
        let [p50, p99] = &self.cost;
        format!(
            "{:<9}{:>9}{:>12}{p50:>10}{p99:>10}{:>16.1}{:>7}{:>15}",
            self.writers,
            self.in_flight,
            whole(self.commits_per_s),
            self.commits_per_group,
            self.largest_group,
            whole(self.bytes_per_group),
        )
    }
}

impl Write {
    fn new(measurement: &Measurement) -> Self {
        let micros = |percent| measurement.percentile(percent).as_nanos() as f64 / 1e3;
        let bytes = measurement.bytes() as u64;
        Self {
            bytes,
            rung: measurement.rung.name(),
            samples: measurement.samples(),
            p50_us: micros(50),
            p99_us: micros(99),
            ns_per_byte: per_byte(bytes, measurement.percentile(50)),
            cost: [50, 99].map(|percent| duration(measurement.percentile(percent))),
        }
    }
}

/// The width of what stands before the advice.
const LABEL: usize = 11;

/// Advice in lines of at most 96 characters.
fn advised(advice: &Advice) -> Vec<String> {
    let label = match advice.name {
        Name::Writers => "writers",
        Name::GroupBytes => "group size",
        Name::InFlight => "one writer",
    };
    table::row(&[LABEL, 83], &[label, &advice.text])
}

#[cfg(test)]
mod tests;
