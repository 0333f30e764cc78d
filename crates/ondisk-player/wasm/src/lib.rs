//! The simulation as a module for a host that speaks in bytes: a page's script, or a test.
//!
//! A host makes a buffer with [`raw::alloc`], puts a request in, and gives it to [`raw::ask`]; the
//! answer is 4 bytes that say its length and then a text, given back with [`raw::free`]. There are
//! no imports: no clock, no chance, no output. A request is a line of words, and the script:
//!
//! | verb | words | answer: one line of JSON |
//! |---|---|---|
//! | `run` | `fs mount scheduler drive profile seed limit`, then the script | `RunInfo`; behind it the lines of the timeline (`docs/format/timeline.md`) |
//! | `die` | `at how model` | `Judged`: what survives a death behind event `at`, and what not |
//! | `recover` | `at how choice` | `Recovered`: one such death, and the power is back |
//! | `digest` | `at how` | `{"ok":true,"state":"…","left":"…"}`: the machine and what survives it, as numbers |
//!
//! The types are those of `crates/ondisk-player/web/src/types.ts`, each with `"ok":true` in front;
//! whatever cannot be answered is `{"ok":false,"line":…,"column":…,"what":"…"}`. Tasks, records and
//! acknowledgements are numbered from 0, events from 1, and `at=0` is before the first. A question
//! is about the run that was asked for last. A death at an event comes behind all that happened in
//! the same step of the machine.
//!
//! Of a file system without a machine (`xfs`, `btrfs`, `posix`) there is the level of operations: its
//! timeline has calls, acknowledgements and deaths alone, their order is that in which a machine
//! with another file system made them, and what "this machine" loses is what its model may lose.
//!
//! Invariant: the same requests have the same answers, on every target. Whatever a request holds,
//! it is answered, with bounded work and memory.

mod calls;
mod carry;
mod die;
mod digest;
mod json;
mod ladder;
mod limits;
mod log;
mod model;
mod pictures;
pub mod raw;
mod record;
mod recover;
mod request;
mod unmet;
mod words;

use carry::Present;
use request::{Refused, Request};

/// Where requests are answered: it keeps the present run.
#[derive(Default)]
pub struct Desk {
    present: Option<Present>,
}

impl Desk {
    /// The answer to a request.
    #[must_use]
    pub fn ask(&mut self, request: &[u8]) -> String {
        self.answer(request).unwrap_or_else(|refused| refused.json())
    }

    fn answer(&mut self, request: &[u8]) -> Result<String, Refused> {
        match request::read(request)? {
            Request::Run { knobs, limit, script } => {
                // What was there before is not needed while the next is made.
                self.present = None;
                let (present, answer) = carry::run(knobs, limit, script)?;
                self.present = Some(present);
                Ok(answer)
            }
            Request::Die { at, how, model } => die::answer(self.present(at)?, at, how, model),
            Request::Recover { at, how, pick } => recover::answer(self.present(at)?, at, how, pick),
            Request::Digest { at, how } => digest::answer(self.present(at)?, at, how),
        }
    }

    fn present(&mut self, at: u32) -> Result<&mut Present, Refused> {
        let none = || Refused::new("nothing runs: `run` comes first");
        let present = self.present.as_mut().ok_or_else(none)?;
        if at > present.last() {
            let what = format!("there is no event {at}: the run has {}", present.last());
            return Err(Refused::new(what));
        }
        Ok(present)
    }
}
