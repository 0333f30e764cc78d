//! What is asked of the module: a line of words, and behind it the script.
//!
//! Invariant: whatever the bytes are, they are a request or are refused at a line and a column;
//! nothing of a request is believed to be of a reasonable size.

use ondisk_sim::machine::knobs::Knobs;

use crate::json::Json;

/// The most events that a run is gone through.
pub(crate) const EVENTS: u32 = 200_000;

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Cut,
    Crash,
    Kill,
}

impl Death {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Crash => "crash",
            Self::Kill => "kill",
        }
    }
}

/// How what is left to chance is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pick {
    /// Nothing that could be lost survives.
    First,
    /// All that could survive does.
    Last,
    Seed(u64),
}

/// A request.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    Run { knobs: Knobs, limit: u32, script: &'a str },
    Die { at: u32, how: Death, model: Option<&'a str> },
    Recover { at: u32, how: Death, pick: Pick },
    Digest { at: u32, how: Death },
}

/// Why a request is not carried out, and where in the script that shows; both counted from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) what: String,
}

/// The most of a refusal's words that is told: what was found may be as long as the request.
const WORDS: usize = 300;

impl Refused {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self::at((1, 1), what)
    }

    pub(crate) fn at((line, column): (u32, u32), what: impl Into<String>) -> Self {
        let mut what: String = what.into();
        if let Some((end, _)) = what.char_indices().nth(WORDS) {
            what.truncate(end);
            what.push('…');
        }
        Self { line: line.max(1), column: column.max(1), what }
    }

    pub(crate) fn json(&self) -> String {
        let mut json = Json::default();
        json.open('{').field("ok").flag(false).field("line").number(self.line.into());
        json.field("column").number(self.column.into()).field("what").string(&self.what);
        json.close('}');
        json.text()
    }
}

/// The place behind a text, as lines and columns are counted in scripts.
fn behind(text: &str) -> (u32, u32) {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(line), number(column))
}

/// Reads a request.
pub(crate) fn read(bytes: &[u8]) -> Result<Request<'_>, Refused> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let good = String::from_utf8_lossy(good);
            let script = good.split_once('\n').map_or("", |(_, script)| script);
            let what = "expected a text in UTF-8; in a string any byte is written as `\\xNN`";
            return Err(Refused::at(behind(script), what));
        }
    };
    let (line, script) = text.split_once('\n').unwrap_or((text, ""));
    let mut words = line.split(' ').filter(|word| !word.is_empty());
    let verb = words.next().unwrap_or_default();
    let mut fields = Fields::default();
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or_else(|| Refused::new(format!("expected `key=value`, found `{word}`")))?;
        fields.take(name, value)?;
    }
    let at = fields.at.unwrap_or(0);
    let how = fields.how.unwrap_or(Death::Cut);
    match verb {
        "run" => {
            let limit = fields.limit.unwrap_or(EVENTS).clamp(1, EVENTS);
            Ok(Request::Run { knobs: fields.knobs, limit, script })
        }
        "die" => Ok(Request::Die { at, how, model: fields.model }),
        "recover" => Ok(Request::Recover { at, how, pick: fields.pick.unwrap_or(Pick::First) }),
        "digest" => Ok(Request::Digest { at, how }),
        _ => Err(Refused::new(format!("there is no `{verb}`: run, die, recover, digest"))),
    }
}

/// The words of a request.
#[derive(Default)]
struct Fields<'a> {
    knobs: Knobs,
    limit: Option<u32>,
    at: Option<u32>,
    how: Option<Death>,
    model: Option<&'a str>,
    pick: Option<Pick>,
}

impl<'a> Fields<'a> {
    fn take(&mut self, name: &str, value: &'a str) -> Result<(), Refused> {
        let number = |value: &str| {
            let what = || Refused::new(format!("{name}: `{value}` is no number of 32 bits"));
            value.parse().map_err(|_| what())
        };
        match name {
            "limit" => self.limit = Some(number(value)?),
            "at" => self.at = Some(number(value)?),
            "model" => self.model = Some(value).filter(|name| !name.is_empty()),
            "how" => {
                let known = [Death::Cut, Death::Crash, Death::Kill];
                let how = known.into_iter().find(|how| how.word() == value);
                let what = || Refused::new(format!("how: `{value}` is no cut, crash or kill"));
                self.how = Some(how.ok_or_else(what)?);
            }
            "choice" => {
                let what = || Refused::new(format!("choice: `{value}` is no first, last or seed"));
                self.pick = Some(match value {
                    "first" => Pick::First,
                    "last" => Pick::Last,
                    seed => Pick::Seed(seed.parse().map_err(|_| what())?),
                });
            }
            _ => match self.knobs.set(name, value) {
                Ok(true) => {}
                Ok(false) => return Err(Refused::new(format!("there is no key `{name}`"))),
                Err(unknown) => return Err(Refused::new(unknown.to_string())),
            },
        }
        Ok(())
    }
}
