//! The demo's one screen: at most 80 columns and 45 lines, to be pasted into a chat.
//!
//! Invariant: it draws what it is given, and computes nothing but sums and the width of text.

use std::fmt::Write as _;
use std::path::Path;

use super::lie::{Lie, Outcome, There};
use super::price::Measured;
use super::promise::PowerCuts;
use super::{Demo, MODES};
use crate::out::{Colour, Paint};
use crate::table::thousands;

#[cfg(test)]
mod tests;

/// Draws the three acts.
pub(super) fn draw(demo: &Demo, measured_in: &Path, paint: Paint) -> String {
    let mut screen = Screen { text: String::new(), paint };
    screen.lie(&demo.lie);
    screen.price(&demo.measured, measured_in);
    screen.promise(&demo.power_cuts);
    screen.verdict(demo);
    screen.text
}

struct Screen {
    text: String,
    paint: Paint,
}

impl Screen {
    fn line(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    fn title(&mut self, title: &str, about: &str) {
        let line = format!("{} {about}", self.paint.paint(Colour::Bold, &format!("{title:<12}")));
        self.line(&line);
    }

    fn heads(&mut self, heads: &str) {
        let line = self.paint.paint(Colour::Dim, heads);
        self.line(&line);
    }

    fn lie(&mut self, rows: &[Lie]) {
        let about = "it writes a record, prints \"recorded\", and dies. What is there?";
        self.title("THE LIE", about);
        self.heads(&format!("{:<13}{:<7}{:<30}{}", "", "kill", "kernel crash", "power cut"));
        for row in rows {
            let mut line = format!("{:<13}", row.program);
            for (outcomes, width) in [(&row.kill, 7_usize), (&row.crash, 30), (&row.cut, 30)] {
                let (text, wide) = self.outcomes(outcomes);
                write!(line, "{text}{:1$}", "", width.saturating_sub(wide)).unwrap_or_default();
            }
            self.line(&line);
        }
        self.heads("  (in brackets: POSIX allows it, ext4 as it is by default does not do it)");
        self.line("");
    }

    /// What may be there, as words, and how wide they are.
    fn outcomes(&self, outcomes: &[Outcome]) -> (String, usize) {
        let (mut text, mut wide) = (String::new(), 0);
        for outcome in outcomes {
            let (open, close) = if outcome.ext4 { ("", "") } else { ("(", ")") };
            let word = format!("{open}{}{close}", outcome.there.word());
            let space = if wide == 0 { "" } else { " " };
            wide += space.len() + word.len();
            let colour = if outcome.there == There::Whole { Colour::Green } else { Colour::Red };
            text = text + space + &self.paint.paint(colour, &word);
        }
        (text, wide)
    }

    fn price(&mut self, rows: &[Measured], measured_in: &Path) {
        self.title("THE PRICE", &format!("on the disk under {}", measured_in.display()));
        self.heads(&format!(
            "  {:<10}{:>7}{:>11}{:>9}{:>10}{:>10}   power cut may take",
            "mode", "threads", "commits/s", "syncs", "p50", "p99"
        ));
        for row in rows {
            let mode = MODES.into_iter().find(|mode| mode.name() == row.mode).unwrap_or_default();
            let line = format!(
                "  {:<10}{:>7}{:>11}{:>9}{:>10}{:>10}   {}",
                mode.to_string(),
                row.committers,
                thousands(row.commits_per_s),
                thousands(row.syncs),
                time(row.p50_us),
                time(row.p99_us),
                match mode.at_risk() {
                    Some(0) => "nothing".to_owned(),
                    Some(records) => format!("the last {records}"),
                    None => "any number".to_owned(),
                },
            );
            self.line(&line);
        }
        self.line("");
    }

    fn promise(&mut self, rows: &[PowerCuts]) {
        let cuts = thousands(rows.iter().map(|row| row.cuts).sum());
        let states = thousands(rows.iter().map(|row| row.states).sum());
        let about = format!("same code, plug pulled at {cuts} points: {states} distinct states");
        self.title("THE PROMISE", &about);
        self.heads(&format!(
            "  {:<19}{:<7}{:>9}{:>13}{:>11}{:>11}{:>7}",
            "mode", "disk", "states", "acknowledged", "kept", "lost", "worst"
        ));
        for row in rows {
            let colour = match row.lost {
                0 => Colour::Green,
                _ if row.is_as_promised() && !row.control => Colour::Yellow,
                _ => Colour::Red,
            };
            let mut line = format!(
                "  {:<19}{:<7}{:>9}{:>13}{:>11}{}{:>7}",
                mode_of(row),
                row.model,
                thousands(row.states),
                thousands(row.acknowledged),
                thousands(row.acknowledged - row.lost),
                self.paint.paint(colour, &format!("{:>11}", thousands(row.lost))),
                thousands(row.worst),
            );
            if row.broken > 0 && !row.control {
                write!(line, "  {} broken", row.broken).unwrap_or_default();
            }
            self.line(&line);
        }
        self.heads("  (worst: the most acknowledged commits that one cut took)");
        self.line("");
    }

    fn verdict(&mut self, demo: &Demo) {
        let of = |mode: &'static str| {
            demo.power_cuts.iter().filter(move |row| row.mode == mode && !row.control)
        };
        let acknowledged: u64 = of("sync").map(|row| row.acknowledged).sum();
        let lost: u64 = of("sync").map(|row| row.lost).sum();
        let verdict = format!(
            "Mode sync lost {} of {} commits that were acknowledged before the cut.",
            thousands(lost),
            thousands(acknowledged)
        );
        let controls = demo.power_cuts.iter().filter(|row| row.control);
        let controls = match controls.filter(|row| row.lost == 0).count() {
            0 => "Both control rows lost some: the cuts are real.".to_owned(),
            silent => format!("{silent} control rows lost none: this proves nothing."),
        };
        let colour = if demo.kept { Colour::Green } else { Colour::Red };
        for sentence in [verdict, controls] {
            let sentence = self.paint.paint(colour, &sentence);
            self.line(&sentence);
        }
        if let Some(page) = &demo.page {
            self.line(&format!("Watch the lie in a browser: {}", page.display()));
        }
        self.heads(&format!("Again: ondisk demo --seed {}    Next: ondisk probe .", demo.seed));
    }
}

/// A row's mode, its engine if that is another one, and which sync a control row leaves out.
fn mode_of(row: &PowerCuts) -> String {
    match row.skipped {
        Some(skipped) => format!("{}, no {skipped}", row.mode_in_full),
        None if row.engine != "bitcask" => format!("{}, {}", row.mode_in_full, row.engine),
        None => row.mode_in_full.clone(),
    }
}

/// Microseconds in the unit that suits them.
fn time(micros: u64) -> String {
    if micros < 1000 {
        format!("{micros} us")
    } else {
        format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
    }
}
