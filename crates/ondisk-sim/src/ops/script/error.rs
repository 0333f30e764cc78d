//! What is wrong with a script, where, and what would be right.

use super::{BadPath, Place, Script, TaskName};

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
