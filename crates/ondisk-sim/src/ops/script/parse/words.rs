//! The words of the language, each with what follows it.

use std::time::Duration;

use super::super::error::{ParseError, Problem};
use super::super::lex::Token;
use super::super::{
    Act, Call, Death, Failing, Failure, OpenAccess, OpenFlag, OpenHow, Place, RelPath, Script,
};
use super::{Parsed, Parser, parse_digits};

/// All words that a step may begin with.
const WORDS: [&str; 28] = [
    "open",
    "write",
    "pwrite",
    "flush",
    "close",
    "read",
    "setlen",
    "allocate",
    "remove",
    "link",
    "symlink",
    "rename",
    "exchange",
    "mkdir",
    "rmdir",
    "chmod",
    "fsync",
    "fdatasync",
    "fsyncdir",
    "sync",
    "ack",
    "wait",
    "fail",
    "kill",
    "crash",
    "cut",
    "repeat",
    "expect",
];

/// The word that an act begins with.
pub(super) fn of(act: &Act) -> &'static str {
    match act {
        Act::Call(call) => call.word(),
        Act::Ack { .. } => "ack",
        Act::Wait(_) => "wait",
        Act::Fail { .. } => "fail",
        Act::Die(death) => death.word(),
        Act::Repeat { .. } => "repeat",
        Act::Expect { .. } => "expect",
    }
}

impl Call {
    /// Whether the call needs no open file of the task, and so may stand in `durable { … }`.
    #[must_use]
    pub fn stands_in_durable(&self) -> bool {
        match self {
            Self::Pwrite { .. }
            | Self::SetLen(..)
            | Self::Allocate(..)
            | Self::Remove(_)
            | Self::Link(..)
            | Self::Symlink(..)
            | Self::Rename(..)
            | Self::Exchange(..)
            | Self::Mkdir(_)
            | Self::Rmdir(_)
            | Self::Chmod(..) => true,
            Self::Open { .. }
            | Self::Write { .. }
            | Self::Flush(_)
            | Self::Close(_)
            | Self::Read(_)
            | Self::Fsync(_)
            | Self::Fdatasync(_)
            | Self::FsyncDir(_)
            | Self::Sync => false,
        }
    }
}

impl<'t> Parser<'t> {
    /// What follows the first word of a step.
    pub(super) fn act(&mut self, word: &'t str, place: Place) -> Parsed<Act> {
        if let Some(call) = self.call(word)? {
            return Ok(Act::Call(call));
        }
        Ok(match word {
            "ack" => {
                let Token::Text(text) = self.peek() else {
                    return self.expected("what is said, in quotes");
                };
                let text = text.clone();
                self.bump();
                let mut files = Vec::new();
                while self.is_path() {
                    files.push(self.path()?);
                }
                Act::Ack { text, files }
            }
            "wait" => Act::Wait(self.time()?),
            "fail" => {
                Act::Fail { call: self.failing()?, path: self.path()?, errno: self.failure()? }
            }
            "kill" => Act::Die(Death::Kill),
            "crash" => Act::Die(Death::Crash),
            "cut" => Act::Die(Death::Cut),
            "repeat" => {
                let limit = u64::from(Script::REPEAT_LIMIT);
                let times = self.size("the number of times", limit)?;
                let times = u32::try_from(times).unwrap_or(Script::REPEAT_LIMIT);
                Act::Repeat { times, steps: self.block(Self::step)? }
            }
            "expect" => {
                let path = self.path()?;
                if !self.eat(&Token::Sign('=')) {
                    return self.expected("`=`");
                }
                let mut may_be = vec![self.one_expected()?];
                while self.eat(&Token::Sign('|')) {
                    may_be.push(self.one_expected()?);
                }
                Act::Expect { path, may_be }
            }
            "durable" => return Err(ParseError { place, problem: Problem::LateDurable }),
            _ => {
                let problem = Problem::UnknownWord { word: word.to_owned(), hint: hint(word) };
                return Err(ParseError { place, problem });
            }
        })
    }

    /// A call, when the word is one's.
    fn call(&mut self, word: &str) -> Parsed<Option<Call>> {
        Ok(Some(match word {
            "open" => Call::Open { path: self.path()?, how: self.open_how()? },
            "write" => {
                let (path, value) = (self.path()?, self.value()?);
                let at = match self.peek() {
                    Token::At(_) => Some(self.offset()?),
                    _ => None,
                };
                Call::Write { path, value, at }
            }
            "pwrite" => {
                Call::Pwrite { path: self.path()?, value: self.value()?, at: self.offset()? }
            }
            "flush" => Call::Flush(self.path()?),
            "close" => Call::Close(self.path()?),
            "read" => Call::Read(self.path()?),
            "setlen" => Call::SetLen(self.path()?, self.length()?),
            "allocate" => Call::Allocate(self.path()?, self.length()?),
            "remove" => Call::Remove(self.path()?),
            "link" => self.two_paths(Call::Link)?,
            "symlink" => self.two_paths(Call::Symlink)?,
            "rename" => self.two_paths(Call::Rename)?,
            "exchange" => self.two_paths(Call::Exchange)?,
            "mkdir" => Call::Mkdir(self.dir()?),
            "rmdir" => Call::Rmdir(self.dir()?),
            "chmod" => Call::Chmod(self.path()?, self.mode()?),
            "fsync" => Call::Fsync(self.path()?),
            "fdatasync" => Call::Fdatasync(self.path()?),
            "fsyncdir" => Call::FsyncDir(self.dir()?),
            "sync" => Call::Sync,
            _ => return Ok(None),
        }))
    }

    fn two_paths(&mut self, call: fn(RelPath, RelPath) -> Call) -> Parsed<Call> {
        let from = self.path()?;
        Ok(call(from, self.path_or("the other name")?))
    }

    fn dir(&mut self) -> Parsed<RelPath> {
        self.path_or("a directory's name (`.` is the root)")
    }

    fn length(&mut self) -> Parsed<u64> {
        self.size("the length of a file in bytes", Script::SIZE_LIMIT)
    }

    fn open_how(&mut self) -> Parsed<OpenHow> {
        let mut how = OpenHow::default();
        if self.eat_word("read") {
            how.access = OpenAccess::Read;
        } else if self.eat_word("write") {
            how.access = OpenAccess::Write;
        }
        let mut excl = None;
        while let Token::Bare(word) = *self.peek() {
            let Some(flag) = OpenFlag::ALL.into_iter().find(|flag| flag.word() == word) else {
                return self.expected(
                    "`create`, `excl`, `trunc`, `append`, `dsync`, `sync` or the end of the step \
                     (`read` or `write` comes first)",
                );
            };
            if how.has(flag) {
                return self.error(Problem::FlagTwice);
            }
            if flag == OpenFlag::Excl {
                excl = Some(self.place());
            }
            how.flags.push(flag);
            self.bump();
        }
        match excl {
            Some(place) if !how.has(OpenFlag::Create) => {
                Err(ParseError { place, problem: Problem::ExclAlone })
            }
            _ => Ok(how),
        }
    }

    /// `6s`, `500ms`, `10us`, `1ns`.
    fn time(&mut self) -> Parsed<Duration> {
        const UNITS: [(&str, u64); 4] =
            [("ns", 1), ("us", 1000), ("ms", 1_000_000), ("s", 1_000_000_000)];
        let time = match self.peek() {
            Token::Bare(word) => UNITS.iter().find_map(|(name, unit)| {
                Some(parse_digits(word.strip_suffix(name)?)?.saturating_mul(*unit))
            }),
            _ => None,
        };
        let Some(time) = time.map(Duration::from_nanos) else {
            return self.expected("a time (`6s`, `500ms`, `10us`, `1ns`)");
        };
        if time > Script::WAIT_LIMIT {
            let (what, limit) = ("a wait in seconds", Script::WAIT_LIMIT.as_secs());
            return self.error(Problem::TooLarge { what, limit });
        }
        self.bump();
        Ok(time)
    }

    fn failing(&mut self) -> Parsed<Failing> {
        let call = match self.peek() {
            Token::Bare("write") => Failing::Write,
            Token::Bare("fsync") => Failing::Fsync,
            Token::Bare("fdatasync") => Failing::Fdatasync,
            _ => return self.expected("`write`, `fsync` or `fdatasync`"),
        };
        self.bump();
        Ok(call)
    }

    fn failure(&mut self) -> Parsed<Failure> {
        let errno = match self.peek() {
            Token::Bare("EIO") => Failure::Eio,
            Token::Bare("ENOSPC") => Failure::Enospc,
            _ => return self.expected("`EIO` or `ENOSPC`"),
        };
        self.bump();
        Ok(errno)
    }

    fn mode(&mut self) -> Parsed<u16> {
        let mode = match self.peek() {
            Token::Bare(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                u16::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777)
            }
            _ => None,
        };
        let Some(mode) = mode else { return self.expected("an octal mode (`0644`)") };
        self.bump();
        Ok(mode)
    }
}

/// The word of the language that a mistyped one is nearest to, if it is near.
fn hint(word: &str) -> Option<&'static str> {
    if word.len() > 16 {
        return None; // Longer than any word and a slip of the finger: not worth the measuring.
    }
    let near = WORDS.iter().map(|known| {
        let distance = distance(word.as_bytes(), known.as_bytes());
        (distance, known.len().abs_diff(word.len()), *known)
    });
    near.filter(|(distance, _, known)| *distance <= known.len().div_ceil(3)).min().map(|it| it.2)
}

/// How many letters must be put in, left away or changed to make one word of the other.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.iter().zip(row.windows(2)) {
            let (diagonal, above) = (above.first(), above.last());
            let change = diagonal.copied().unwrap_or_default() + usize::from(x != y);
            left = change.min(left + 1).min(above.copied().unwrap_or_default() + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}
