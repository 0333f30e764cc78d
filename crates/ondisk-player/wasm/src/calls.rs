//! What a program did, in words: its calls, its acknowledgements, its deaths, and the lines that it
//! was at.
//!
//! Invariant: each is told with the number of its event, in the order of these.

use std::path::Path;

use ondisk_sim::machine::event::{Event, Kind};
use ondisk_sim::machine::{Errno, Play};
use ondisk_sim::ops::verdict::{Claim, Held};

use crate::json::Json;
use crate::limits::ACKS;
use crate::record::Record;

/// A call over the line between user and kernel.
#[derive(Debug)]
struct Call {
    task: u32,
    line: u32,
    op: u32,
    from: u32,
    to: u32,
    words: String,
    answer: String,
}

/// Something that the program said.
#[derive(Debug)]
pub(crate) struct Ack {
    text: String,
    task: u32,
    line: u32,
    pub(crate) event: u32,
    files: Vec<String>,
    records: Vec<u64>,
}

/// All that is told of a program.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    all: Vec<Call>,
    /// Those that have not returned, by their place.
    running: Vec<usize>,
    pub(crate) acks: Vec<Ack>,
    deaths: Vec<(u32, &'static str)>,
    /// Event, task, line.
    lines: Vec<(u32, u32, u32)>,
    /// By task: its line.
    line: Vec<u32>,
    /// Why the last call failed.
    errno: Option<Errno>,
}

impl Calls {
    /// A task begins a line.
    pub(crate) fn begins(&mut self, event: u32, task: u32, line: u32) {
        let at = task as usize;
        if self.line.len() <= at {
            self.line.resize(at + 1, 0);
        }
        self.line[at] = line;
        self.lines.push((event, task, line));
    }

    fn line(&self, task: u32) -> u32 {
        self.line.get(task as usize).copied().unwrap_or(0)
    }

    /// Takes an event in, under the number that it has in the timeline; its words, where it has
    /// better ones than its own.
    pub(crate) fn event(
        &mut self,
        play: &Play,
        event: &Event,
        number: u32,
        records: &[Record],
    ) -> String {
        match event.kind {
            Kind::Call { task, .. } => {
                let words = play.says(event.op).unwrap_or_default().to_owned();
                let task = task.0.saturating_sub(1);
                let (line, answer) = (self.line(task), String::new());
                let call = Call { task, line, op: event.op.0, from: number, to: 0, words, answer };
                self.running.push(self.all.len());
                let words = call.words.clone();
                self.all.push(call);
                words
            }
            Kind::Errno { errno } => {
                self.errno = Some(errno);
                String::new()
            }
            Kind::Ret { value, .. } => self.returned(play, event, number, value),
            Kind::Ack { text, task } => {
                let claim = play.claims().get(text as usize);
                let said = claim.map_or_else(Vec::new, |claim| claim.text.clone());
                let said = String::from_utf8_lossy(&said).into_owned();
                let words = format!("ack {said:?}");
                if self.acks.len() < ACKS {
                    let task = task.0.saturating_sub(1);
                    self.acks.push(Ack {
                        text: said,
                        task,
                        line: play.said_at().get(text as usize).map_or(0, |place| place.line),
                        event: number,
                        files: claim.map_or_else(Vec::new, names),
                        records: claim.map_or_else(Vec::new, |claim| spoken(claim, records)),
                    });
                }
                words
            }
            Kind::Kill { .. } => self.dies(number, "kill", "the process is killed"),
            Kind::Crash => self.dies(number, "crash", "the kernel crashes"),
            Kind::Cut => self.dies(number, "cut", "the power is cut"),
            _ => String::new(),
        }
    }

    fn dies(&mut self, event: u32, how: &'static str, words: &str) -> String {
        // Each task dies for itself, at one moment.
        if how != "kill" || self.deaths.last().is_none_or(|(last, _)| last + 1 != event) {
            self.deaths.push((event, how));
        } else if let Some(last) = self.deaths.last_mut() {
            last.0 = event;
        }
        if how != "kill" {
            self.running.clear();
        }
        words.to_owned()
    }

    fn returned(&mut self, play: &Play, event: &Event, number: u32, value: i64) -> String {
        let errno = self.errno.take().filter(|errno| errno.number() == -value);
        let its = |at: &usize| self.all.get(*at).is_some_and(|call| call.op == event.op.0);
        let Some(at) = self.running.iter().position(its) else { return String::new() };
        let at = self.running.swap_remove(at);
        let Some(call) = self.all.get_mut(at) else { return String::new() };
        call.to = number;
        call.answer = match errno {
            Some(errno) => format!(" = {errno}"),
            None => format!(" = {value}"),
        };
        format!("{}{}", play.says(event.op).unwrap_or_default(), call.answer)
    }

    /// Tells all; no line begins behind the last event.
    pub(crate) fn tell(&self, last: u32, json: &mut Json) {
        json.field("lines").open('[');
        for (event, task, line) in &self.lines {
            let event = (*event).min(last);
            json.numbers([event, *task, *line].map(u64::from));
        }
        json.close(']').field("calls").open('[');
        for call in &self.all {
            json.open('{').field("task").number(call.task.into());
            json.field("line").number(call.line.into()).field("from").number(call.from.into());
            json.field("to").number(call.to.into()).field("words").string(&call.words);
            json.field("answer").string(&call.answer).close('}');
        }
        json.close(']').field("acks").open('[');
        for (n, ack) in self.acks.iter().enumerate() {
            json.open('{').field("n").number(n as u64).field("text").string(&ack.text);
            json.field("task").number(ack.task.into()).field("line").number(ack.line.into());
            json.field("event").number(ack.event.into()).field("files").strings(&ack.files);
            json.field("records").numbers(ack.records.iter().copied()).close('}');
        }
        json.close(']').field("deaths").open('[');
        for (event, how) in &self.deaths {
            json.open('{').field("event").number((*event).into()).field("how").string(how);
            json.close('}');
        }
        json.close(']');
    }
}

/// The names that a claim is for.
fn names(claim: &Claim) -> Vec<String> {
    claim.files.iter().map(|file| file.path.display().to_string()).collect()
}

/// The records that a claim speaks for: those that its files hold as they were then.
fn spoken(claim: &Claim, records: &[Record]) -> Vec<u64> {
    let told = (0_u64..).zip(records).filter(|(_, record)| {
        let is_it = |path: &Path| record.name.as_ref().unwrap_or(&record.path) == path;
        claim.files.iter().any(|file| match &file.held {
            Held::File(bytes) => is_it(&file.path) && record.is_in(bytes),
            Held::Absent | Held::Dir => false,
        })
    });
    told.map(|(n, _)| n).collect()
}
