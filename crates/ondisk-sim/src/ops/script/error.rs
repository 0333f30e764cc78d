//! What is wrong with a script, or with a run of one; where, and what would be right.

use std::fmt;

use super::{BadPath, Death, Errno, Place, RelPath, Run, Script, TaskName};

/// A text that is no script: the first place where it is none, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {problem}", place.line, place.column)]
pub struct ParseError {
    /// Where.
    pub place: Place,
    /// Why.
    pub problem: Problem,
}

/// What is wrong at a place of a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Something else should stand here.
    #[error("expected {expected}, found {found}")]
    Expected {
        /// What should stand here.
        expected: &'static str,
        /// What does.
        found: String,
    },
    /// A step begins with no word of the language.
    #[error(
        "`{word}` is no word of a script{}",
        hint.map_or_else(String::new, |hint| format!(": did you mean `{hint}`?"))
    )]
    UnknownWord {
        /// The word.
        word: String,
        /// The word of the language that looks most like it, if one does.
        hint: Option<&'static str>,
    },
    /// A string that is still open at the end of its line.
    #[error("the string is not closed on its line: end it with `\"`, write a newline as `\\n`")]
    OpenString,
    /// A backslash before something that needs none.
    #[error(
        "unknown escape: there are `\\n`, `\\r`, `\\t`, `\\0`, `\\\"`, `\\\\` and `\\xNN` with two \
         hexadecimal digits"
    )]
    Escape,
    /// A character that no token begins with.
    #[error("`{}` cannot stand here: put an odd name into quotes", .0.escape_default())]
    StrayChar(char),
    /// A path that is none.
    #[error("this is no path of a script: {0}")]
    Path(BadPath),
    /// A task whose name is none.
    #[error("a task's name is 1 to {} letters, digits and `_`, as in `@B`", TaskName::LIMIT)]
    Task,
    /// A number over its limit.
    #[error("{what} is at most {limit}")]
    TooLarge {
        /// What the number counts.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// More text than [`Script::TEXT_LIMIT`].
    #[error("the script is over {} bytes: say it with `repeat`", Script::TEXT_LIMIT)]
    LongText,
    /// More blocks in blocks than [`Script::DEPTH_LIMIT`].
    #[error("blocks stand in blocks at most {} deep", Script::DEPTH_LIMIT)]
    Deep,
    /// `durable` after the first step.
    #[error("`durable` says what is there before the story: it stands only at the beginning")]
    LateDurable,
    /// A word that `durable` has no use for.
    #[error(
        "`{word}` cannot stand in `durable`: there stand `f = value` and calls that need no open \
         file, as `mkdir d`, `link a b` and `allocate f n`"
    )]
    NotDurable {
        /// The word.
        word: &'static str,
    },
    /// `excl` without `create`.
    #[error("`excl` means nothing without `create`")]
    ExclAlone,
    /// A flag of `open` given twice.
    #[error("this flag is given twice")]
    FlagTwice,
}

/// Why a script cannot be carried out at the operations level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// More steps than [`Run::STEP_LIMIT`].
    #[error("the script runs for {steps} steps, {} at most: repeat less", Run::STEP_LIMIT)]
    Steps {
        /// How many it would be.
        steps: u64,
    },
    /// More bytes than [`Run::BYTE_LIMIT`].
    #[error("the script writes and says {bytes} bytes, {} at most", Run::BYTE_LIMIT)]
    Bytes {
        /// How many it would be.
        bytes: u64,
    },
    /// More files than [`Run::FILE_LIMIT`].
    #[error("{at}: the script names over {} files: each is told of alone", Run::FILE_LIMIT)]
    Files {
        /// The step that names the first one too many.
        at: Stage,
    },
    /// The contents of all files after all calls are more than is remembered.
    #[error("{at}: the files are too large, or changed too often, to remember all that they held")]
    Contents {
        /// The step at which it became too much.
        at: Stage,
    },
    /// A name that is not UTF-8.
    #[error("{at}: {path} is not UTF-8, and the operations level takes no other names")]
    Name {
        /// The step.
        at: Stage,
        /// The name.
        path: RelPath,
    },
    /// A step after the machine died.
    #[error("{at}: the machine is dead: only `expect` can follow a `{}`", death.word())]
    Dead {
        /// The step.
        at: Stage,
        /// What it died of.
        death: Death,
    },
    /// What is to be there before the story cannot be made.
    #[error("durable: `{setup}` fails with {errno}")]
    Durable {
        /// Which line of it.
        setup: String,
        /// Why.
        errno: Errno,
    },
}

/// Which step of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// One of `durable { … }`.
    Durable,
    /// One of the story.
    Step(Place),
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Durable => f.write_str("durable"),
            Self::Step(place) => write!(f, "line {}, column {}", place.line, place.column),
        }
    }
}
