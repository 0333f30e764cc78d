//! A run as text: what was called, how far each acknowledgement had come, what a death takes.
//!
//! Invariant: a reader who knows no file system can follow it; no line is wider than
//! [`WIDTH`]; what is coloured says the same without colour.

use super::config::Fatal;
use super::deaths::Own;
use super::events::Event;
use super::judge::{Ack, Told};
use super::wrap::{WIDTH, printable, shortened, wrapped};
use crate::out::{Colour, Paint};

/// So many calls are listed at either end.
const LISTED: usize = 12;

/// The rungs, as far apart as they are drawn.
const RUNGS: [&str; 4] = ["buffered", "cached", "device", "durable"];
const STEP: usize = 11;

/// The whole text.
pub(crate) fn draw(told: &Told, paint: Paint) -> String {
    let mut screen = Screen { text: String::new(), paint };
    screen.machine(told);
    screen.events(told);
    screen.notes(told);
    screen.layers(told);
    screen.ladder(told);
    screen.verdicts(told);
    screen.files(told);
    screen.unmet(told);
    screen.next(told);
    screen.text
}

struct Screen {
    text: String,
    paint: Paint,
}

impl Screen {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn wrapped(&mut self, head: &str, text: &str) {
        for line in wrapped(head, &printable(text)) {
            self.line(&line);
        }
    }

    /// Lines of which only the head is in a colour.
    fn coloured(&mut self, colour: Colour, head: &str, text: &str) {
        let lines = wrapped(head, &printable(text));
        for (at, line) in lines.iter().enumerate() {
            let painted = line.strip_prefix(head.trim_end()).filter(|_| at == 0);
            let line = match painted {
                Some(rest) => format!("{}{rest}", self.paint.paint(colour, head.trim_end())),
                None => line.clone(),
            };
            self.line(&line);
        }
    }

    fn heading(&mut self, heading: &str) {
        self.line("");
        for line in wrapped("", heading) {
            let line = self.paint.paint(Colour::Bold, &line);
            self.line(&line);
        }
    }

    fn machine(&mut self, told: &Told) {
        let mount = if told.fs == "ext4" { format!(" ({})", told.mount) } else { String::new() };
        let Told { script, fs, scheduler, drive, profile, seed, .. } = told;
        self.wrapped("", &format!(
            "{script}: {fs}{mount}, scheduler {scheduler}, drive {drive}, buffer {profile}, seed \
             {seed}"
        ));
        if told.level == "operations" {
            self.wrapped("", "On the operations level: the models are asked, no layers are drawn.");
        }
    }

    fn events(&mut self, told: &Told) {
        self.heading("What was called");
        let (all, count) = (&told.events, told.events.len());
        let spans: Vec<String> = all.iter().map(span).collect();
        let width = spans.iter().map(|span| span.chars().count()).max().unwrap_or(0);
        for (at, (event, span)) in all.iter().zip(&spans).enumerate() {
            if count > 2 * LISTED && at == LISTED {
                self.line(&format!("  {:>width$}  … {} more …", "", count - 2 * LISTED));
            }
            if count <= 2 * LISTED || at < LISTED || at >= count - LISTED {
                self.wrapped(&format!("  {span:>width$}  "), &event.what);
            }
        }
    }

    fn notes(&mut self, told: &Told) {
        if told.notes.is_empty() {
            return;
        }
        self.heading("What the program was told: calls that failed, bytes that were read");
        for note in told.notes.iter().take(2 * LISTED) {
            self.wrapped("  ", note);
        }
        if let Some(more) = told.notes.len().checked_sub(2 * LISTED).filter(|more| *more > 0) {
            self.line(&format!("  … {more} more …"));
        }
    }

    /// The picture of the layers.
    fn layers(&mut self, told: &Told) {
        if told.picture.is_empty() {
            return;
        }
        self.line("");
        told.picture.iter().for_each(|line| self.line(line));
    }

    fn ladder(&mut self, told: &Told) {
        if told.rungs.is_empty() {
            return;
        }
        self.heading(
            "The ladder: where the bytes were when the program acknowledged them (each rung \
             outlives more)",
        );
        let names = RUNGS.map(|rung| format!("{rung:<STEP$}")).concat();
        self.line(&format!("  {}", names.trim_end()));
        let outlives = ["nothing", "a kill", "a crash", "a cut"].map(|it| format!("{it:<STEP$}"));
        let outlives = self.paint.paint(Colour::Dim, outlives.concat().trim_end());
        self.line(&format!("  {outlives}"));
        let mut left = told.rungs.as_slice();
        while let Some(first) = left.first() {
            let same = |it: &&super::judge::Rung| {
                (&it.ack, it.line, it.rung, &it.files)
                    == (&first.ack, first.line, first.rung, &first.files)
            };
            let times = left.iter().take_while(same).count();
            left = &left[times..];
            let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
            let what =
                format!("line {}  {:?}{times}: {}", first.line, first.ack, files_of(&first.files));
            let bar = bar(first.rung);
            let colour = match first.rung {
                "durable" => Colour::Green,
                "device" => Colour::Yellow,
                _ => Colour::Red,
            };
            self.coloured(colour, &format!("  {bar}"), &shortened(&what, 3 * WIDTH));
        }
    }

    fn verdicts(&mut self, told: &Told) {
        let (Some(how), Some(at)) = (told.death, &told.at) else { return };
        let when = match at.as_str() {
            "all" => "at every moment after it".to_owned(),
            "end" => "where the script does".to_owned(),
            event => format!("at event {event}"),
        };
        let death = match how {
            Fatal::Cut => "The power is cut",
            Fatal::Crash => "The kernel crashes",
            Fatal::Kill => "The process is killed",
        };
        self.heading(&format!("{death} {when}: is what was acknowledged lost?"));
        if told.acks.is_empty() {
            self.wrapped("  ", "Nothing had been acknowledged by then.");
        }
        let mut groups: Vec<&[Ack]> = told.acks.chunk_by(|a, b| a.number == b.number).collect();
        while let Some(first) = groups.first().copied() {
            let times = groups.iter().take_while(|it| alike(it, first)).count();
            groups.drain(..times);
            self.verdict(first, times, &told.model);
            self.own(told.machine.iter().find(|own| own.number == first[0].number));
        }
    }

    /// One acknowledgement, under all models.
    fn verdict(&mut self, acks: &[Ack], times: usize, own: &str) {
        let Some(first) = acks.first() else { return };
        let times = if times > 1 { format!(" ({times} times alike)") } else { String::new() };
        let speaks = files_of(&first.files);
        let head = format!("line {}  {:?}{times}, for {speaks}", first.line, first.ack);
        self.wrapped("  ", &shortened(&head, 3 * WIDTH));
        for (lost, colour) in
            [("always", Colour::Red), ("sometimes", Colour::Yellow), ("never", Colour::Green)]
        {
            let its: Vec<&Ack> = acks.iter().filter(|ack| ack.lost == lost).collect();
            let Some(told) = its.iter().find(|ack| ack.model == own).or(its.first()) else {
                continue;
            };
            let models: Vec<&str> = its.iter().map(|ack| ack.model.as_str()).collect();
            let models = if acks.len() == its.len() && its.len() > 2 {
                format!("all {} models", its.len())
            } else {
                models.join(", ")
            };
            let unsure =
                if its.iter().all(|ack| ack.exact) { "" } else { " (not all was looked at)" };
            self.coloured(colour, &format!("    {lost:<11}"), &format!("{models}{unsure}"));
            if !told.story.is_empty() {
                let by = if its.len() > 1 { format!("{}: ", told.model) } else { String::new() };
                self.wrapped(&" ".repeat(15), &format!("{by}{}", told.story));
            }
        }
    }

    /// What the machine itself did with an acknowledgement.
    fn own(&mut self, own: Option<&Own>) {
        let Some(own) = own else { return };
        let Own { lost, deaths, losses, .. } = own;
        let safe = match own.safe_from {
            Some(event) if own.losses > 0 => format!(", safe from event {event} on"),
            _ => String::new(),
        };
        let every = if own.every_moment { "" } else { " (not every moment was tried)" };
        let deaths = if *deaths == 1 { "1 death".to_owned() } else { format!("{deaths} deaths") };
        let told = format!("{lost}: lost in {losses} of {deaths}{safe}{every}");
        self.wrapped("    this machine: ", &told);
    }

    fn files(&mut self, told: &Told) {
        if told.files.is_empty() {
            return;
        }
        let (then, at) = (told.death, told.at.as_deref());
        self.heading(&match (then, at) {
            (None, _) => "What a reader finds at the end of the script".to_owned(),
            (Some(Fatal::Kill), Some("all" | "end")) => {
                "What is there after a kill at the end of the script".to_owned()
            }
            (Some(Fatal::Crash), Some("all" | "end")) => {
                "What may be there after a crash at the end of the script".to_owned()
            }
            (Some(Fatal::Cut), Some("all" | "end")) => {
                "What may be there after a cut at the end of the script".to_owned()
            }
            (Some(_), at) => format!("What may be there after event {}", at.unwrap_or("?")),
        });
        let mut names: Vec<&str> = Vec::new();
        for file in &told.files {
            if !names.contains(&file.file.as_str()) {
                names.push(&file.file);
            }
        }
        for name in names {
            self.wrapped("  ", name);
            // Models that leave the same stand together.
            let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
            for file in told.files.iter().filter(|file| file.file == name) {
                let more = if file.exact { "" } else { " | …" };
                let may_be = format!("{}{more}", file.may_be.join(" | "));
                match groups.iter_mut().find(|(known, _)| *known == may_be) {
                    Some((_, models)) => models.push(&file.model),
                    None => groups.push((may_be, vec![&file.model])),
                }
            }
            let alone = groups.len() == 1;
            for (may_be, models) in groups {
                let all = alone && models.len() > 2;
                let models = if all { "all models".to_owned() } else { models.join(", ") };
                self.wrapped("    ", &format!("{models}:"));
                self.wrapped("        ", &may_be);
            }
        }
    }

    fn unmet(&mut self, told: &Told) {
        if told.unmet.is_empty() {
            return;
        }
        self.heading("What the script expects and does not get");
        for it in &told.unmet {
            let place = format!("{}:{}:{}", told.script, it.line, it.column);
            self.wrapped("  ", &format!("{place}: {} ({})", it.what, it.model));
        }
    }

    fn next(&mut self, told: &Told) {
        self.line("");
        match told.death {
            None => self.wrapped("", &format!("Next: ondisk sim {} --cut all", told.script)),
            Some(_) => self.wrapped("", &format!("Next: ondisk sim {} --json", told.script)),
        }
    }
}

/// From which event to which, and when.
fn span(event: &Event) -> String {
    let Event { i, from, t, .. } = *event;
    let events = if from == i { i.to_string() } else { format!("{from}-{i}") };
    match t {
        Some(t) => format!("{events}  {:>9}", clock(t)),
        None => events,
    }
}

/// An instant as people read it.
pub(crate) fn clock(ns: u64) -> String {
    let (unit, name) = match ns {
        0..1_000 => return format!("{ns} ns"),
        1_000..1_000_000 => (1_000, "us"),
        1_000_000..1_000_000_000 => (1_000_000, "ms"),
        _ => (1_000_000_000, "s"),
    };
    format!("{}.{:02} {name}", ns / unit, ns % unit * 100 / unit)
}

/// A bar up to a rung.
fn bar(rung: &str) -> String {
    let reached = RUNGS.iter().position(|name| *name == rung);
    let bar: String = (0..RUNGS.len())
        .map(|at| match reached {
            Some(reached) if at < reached => format!("o{}", "-".repeat(STEP - 1)),
            Some(reached) if at == reached => format!("●{}", " ".repeat(STEP - 1)),
            _ => format!("·{}", " ".repeat(STEP - 1)),
        })
        .collect();
    bar
}

fn files_of(files: &[String]) -> String {
    if files.is_empty() {
        return "no file: name those that it is for".to_owned();
    }
    files.join(", ")
}

/// Whether two acknowledgements are told alike: of one line, with the same verdicts.
fn alike(a: &[Ack], b: &[Ack]) -> bool {
    let same = |a: &Ack, b: &Ack| {
        (&a.ack, a.line, &a.model, a.lost, a.exact, &a.files)
            == (&b.ack, b.line, &b.model, b.lost, b.exact, &b.files)
    };
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}
