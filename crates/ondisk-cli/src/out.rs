//! Where a command's words go: results to standard output, talk to standard error.
//!
//! Invariant: colour and progress appear on a terminal alone, and never when `NO_COLOR` is set.

use std::fmt;
use std::io::{self, BufWriter, IsTerminal as _, StdoutLock, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::exit::Failure;

/// Standard output, buffered: nothing is seen before [`flush`](Self::flush).
#[derive(Debug)]
pub(crate) struct Out(BufWriter<StdoutLock<'static>>);

impl Out {
    pub(crate) fn new() -> Self {
        Self(BufWriter::new(io::stdout().lock()))
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.0.write_all(bytes).map_err(Failure::Output)
    }

    /// One line of text.
    pub(crate) fn line(&mut self, line: fmt::Arguments<'_>) -> Result<(), Failure> {
        writeln!(self.0, "{line}").map_err(Failure::Output)
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        serde_json::to_writer(&mut self.0, value).map_err(|e| Failure::Output(e.into()))?;
        self.bytes(b"\n")
    }

    /// Hands everything to the reader of standard output.
    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.0.flush().map_err(Failure::Output)
    }
}

/// Says a line on standard error. Where nobody listens nothing can be done about it.
pub(crate) fn talk(line: fmt::Arguments<'_>) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}

/// Whether colour is wanted on this stream.
fn wants_colour(is_terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    is_terminal && set("NO_COLOR").is_none() && set("TERM").is_none_or(|term| term != "dumb")
}

/// The few colours in use. Wraps a text that is padded already: escapes have no width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    /// A heading.
    Bold,
    /// An aside.
    Dim,
    /// Lost.
    Red,
    /// Kept.
    Green,
    /// Between the two.
    Yellow,
}

/// Paints, or leaves plain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// As standard output wants it.
    pub(crate) fn for_stdout() -> Self {
        Self { on: wants_colour(io::stdout().is_terminal()) }
    }

    /// Never.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { on: false }
    }

    /// Always.
    #[cfg(test)]
    pub(crate) fn always() -> Self {
        Self { on: true }
    }

    /// The text in a colour.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if !self.on {
            return text.to_owned();
        }
        let code = match colour {
            Colour::Bold => 1,
            Colour::Dim => 2,
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// One line on a terminal's standard error that is written over; nothing elsewhere.
#[derive(Debug)]
pub(crate) struct Progress {
    on: bool,
    /// Before this nothing is said.
    from: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { on: wants_colour(io::stderr().is_terminal()), from: None }
    }

    /// For work that may be done at once: nothing is said in the first second.
    pub(crate) fn after_a_second() -> Self {
        Self { from: Some(now() + Duration::from_secs(1)), ..Self::new() }
    }

    /// Says what is going on now.
    pub(crate) fn say(&self, line: fmt::Arguments<'_>) {
        if self.on && self.from.is_none_or(|from| now() >= from) {
            write!(io::stderr(), "\r\x1b[K{line}").unwrap_or_default();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "who waits is told how long: no result depends on it"
)]
fn now() -> Instant {
    Instant::now()
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.say(format_args!(""));
    }
}
