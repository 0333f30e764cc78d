//! `--step`: a run gone through by key, both ways, with the machine drawn at each event.
//!
//! Invariant: the terminal is as it was when this ends, however it ends; what is drawn follows from
//! the timeline and the place in it alone.

use std::io::{self, IsTerminal as _, Read as _, Write as _};

use ondisk_sim::machine::event::Kind;
use ondisk_sim::machine::timeline::Timeline;
use ondisk_sim::ops::script::RelPath;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::config::{Fatal, When};
use super::deaths::{Deaths, Own};
use super::judge::OnMachine;
use super::picture::picture;
use super::played::Reel;
use super::wrap::{printable, wrapped};
use crate::exit::Failure;
use crate::out::{Colour, Paint};

const HELP: &str = "right, space, enter: next   left: back   b: next FLUSH or ack   c: cut here   \
                    q: quit";

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    Next,
    Back,
    Barrier,
    Cut,
    Quit,
}

/// Goes through a run until it is left.
pub(crate) fn run(machine: &OnMachine<'_>, files: &[RelPath], paint: Paint) -> Result<(), Failure> {
    let reel = machine.played.reel()?;
    let mut walk = Walk::new(reel)?;
    let terminal = Raw::new()?;
    let mut known = Keys::default();
    let mut below = Vec::new();
    let mut buffer = [0; 64];
    loop {
        let mut lines = picture(reel, &walk.timeline, paint);
        lines.extend([String::new(), paint.paint(Colour::Dim, HELP)]);
        lines.append(&mut below);
        show(&lines)?;
        let read = io::stdin().lock().read(&mut buffer).map_err(Failure::Input)?;
        let keys = known.take(&buffer[..read]);
        if read == 0 || keys.contains(&Key::Quit) {
            drop(terminal);
            return Ok(());
        }
        for key in keys {
            if key == Key::Cut {
                below = match walk.event() {
                    Some(event) => {
                        told(&machine.die(Fatal::Cut, Some(When::Event(event)), files)?)
                    }
                    None => vec!["Nothing has happened yet.".to_owned()],
                };
            } else {
                below.clear();
                walk.go(key);
            }
        }
    }
}

/// Refuses where there is nobody to press a key.
pub(crate) fn check_terminal() -> Result<(), Failure> {
    if io::stdin().is_terminal() && io::stdout().is_terminal() {
        return Ok(());
    }
    let what = "--step goes by key: standard input and output must be a terminal (without one: \
                --timeline FILE)";
    Err(Failure::Asked(what.to_owned()))
}

/// Paints the screen anew.
fn show(lines: &[String]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    let text = format!("\x1b[H\x1b[2J{}\r\n", lines.join("\r\n"));
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(Failure::Output)
}

/// What a cut here takes, and what it leaves.
fn told(deaths: &Deaths) -> Vec<String> {
    let mut lines = vec![String::new(), "The power is cut here. This machine is left with:".into()];
    for (file, may_be) in &deaths.files {
        let may_be: Vec<String> = may_be.iter().map(ToString::to_string).collect();
        let more = if deaths.exact { "" } else { " | …" };
        let what = format!("{file} = {}{more}", may_be.join(" | "));
        lines.extend(wrapped("  ", &printable(&what)));
    }
    for Own { ack, deaths, losses, .. } in &deaths.own {
        let what = format!("ack {ack:?}: lost in {losses} of {deaths} ways in which that may go");
        lines.extend(wrapped("  ", &printable(&what)));
    }
    lines
}

/// A place in a run.
struct Walk<'a> {
    reel: &'a Reel,
    timeline: Timeline,
}

impl<'a> Walk<'a> {
    fn new(reel: &'a Reel) -> Result<Self, Failure> {
        Ok(Self { reel, timeline: reel.timeline()? })
    }

    /// The number of the event that happened last.
    fn event(&self) -> Option<u32> {
        let at = self.timeline.at().checked_sub(1)?;
        self.reel.moved.get(at).map(|(event, _)| event.id.0)
    }

    fn go(&mut self, key: Key) {
        match key {
            Key::Next => drop(self.timeline.step()),
            Key::Back => drop(self.timeline.back()),
            Key::Barrier => while self.timeline.step().is_some() && !self.is_barrier() {},
            Key::Cut | Key::Quit => {}
        }
    }

    /// Whether what was behind the last event is as safe as it gets, or somebody says so.
    fn is_barrier(&self) -> bool {
        let last = self.timeline.at().checked_sub(1).and_then(|at| self.reel.moved.get(at));
        matches!(
            last.map(|(event, _)| event.kind),
            Some(
                Kind::FlushDone { .. }
                    | Kind::Ack { .. }
                    | Kind::Kill { .. }
                    | Kind::Crash
                    | Kind::Cut
            )
        )
    }
}

/// Bytes of a terminal as keys.
#[derive(Default)]
struct Keys {
    /// The beginning of an escape sequence.
    begun: Vec<u8>,
}

impl Keys {
    fn take(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut keys = Vec::new();
        for byte in bytes {
            match (self.begun.as_slice(), byte) {
                (_, 0x1b) => self.begun = vec![0x1b],
                ([0x1b], b'[' | b'O') => self.begun.push(*byte),
                ([0x1b, _], byte) => {
                    keys.extend(match byte {
                        b'C' => Some(Key::Next),
                        b'D' => Some(Key::Back),
                        _ => None,
                    });
                    // Numbers of a longer sequence are passed over to its end.
                    if byte.is_ascii_alphabetic() || *byte == b'~' {
                        self.begun.clear();
                    }
                }
                (_, byte) => {
                    self.begun.clear();
                    keys.extend(plain(*byte));
                }
            }
        }
        keys
    }
}

fn plain(byte: u8) -> Option<Key> {
    match byte {
        b' ' | b'\r' | b'\n' => Some(Key::Next),
        b'b' => Some(Key::Barrier),
        b'c' => Some(Key::Cut),
        // Interrupt and end of input are bytes like others in raw mode.
        b'q' | 0x03 | 0x04 => Some(Key::Quit),
        _ => None,
    }
}

/// A terminal that gives each key at once, until it is dropped.
struct Raw(Termios);

impl Raw {
    fn new() -> Result<Self, Failure> {
        let before = tcgetattr(io::stdin()).map_err(|error| Failure::Input(error.into()))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)
            .map_err(|error| Failure::Input(error.into()))?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // Where the terminal has gone there is nothing to mend.
        tcsetattr(io::stdin(), OptionalActions::Flush, &self.0).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests;
