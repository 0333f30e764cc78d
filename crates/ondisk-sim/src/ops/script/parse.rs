//! Tokens into a script.
//!
//! Invariant: never looks more than one token ahead, and recurses only into a block, at most
//! [`Script::DEPTH_LIMIT`] deep. All numbers of the result are within their limits.

mod words;

use super::error::{ParseError, Problem};
use super::lex::{Placed, Token, tokens};
use super::{Act, Expected, Piece, Place, RelPath, Script, Setup, Step, TaskName, Value};

/// Reads a whole script.
pub(super) fn script(text: &str) -> Result<Script, ParseError> {
    let mut parser = Parser { tokens: tokens(text)?, next: 0, task: TaskName::default(), depth: 0 };
    let mut script = Script::default();
    parser.skip_ends();
    if parser.peek() == &Token::Bare("durable") {
        parser.bump();
        script.durable = parser.block(Parser::setup)?;
        parser.end_of_step()?;
    }
    script.steps = parser.many(&Token::Eof, Parser::step)?;
    Ok(script)
}

struct Parser<'t> {
    /// Never empty: the last is [`Token::Eof`], and is never passed.
    tokens: Vec<Placed<'t>>,
    next: usize,
    /// Whose the next step is, unless it says otherwise.
    task: TaskName,
    /// How many blocks are open.
    depth: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'t> Parser<'t> {
    fn placed(&self) -> &Placed<'t> {
        static EOF: Placed<'static> = Placed {
            token: Token::Eof,
            place: Place { line: u32::MAX, column: u32::MAX },
            newline_before: false,
        };
        self.tokens.get(self.next).unwrap_or(&EOF)
    }

    fn peek(&self) -> &Token<'t> {
        &self.placed().token
    }

    fn place(&self) -> Place {
        self.placed().place
    }

    fn bump(&mut self) {
        if self.peek() != &Token::Eof {
            self.next += 1;
        }
    }

    fn error<T>(&self, problem: Problem) -> Parsed<T> {
        Err(ParseError { place: self.place(), problem })
    }

    fn expected<T>(&self, expected: &'static str) -> Parsed<T> {
        self.error(Problem::Expected { expected, found: self.peek().told() })
    }

    fn eat(&mut self, token: &Token<'_>) -> bool {
        let found = self.peek() == token;
        if found {
            self.bump();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.eat(&Token::Bare(word))
    }

    fn skip_ends(&mut self) {
        while self.eat(&Token::End) {}
    }

    /// After a step: a separator, or what closes the block or the script, which stays.
    fn end_of_step(&mut self) -> Parsed<()> {
        match self.peek() {
            Token::End | Token::Eof | Token::Sign('}') => Ok(()),
            _ => self.expected("the end of the step (a new line or `;`)"),
        }
    }

    /// Items up to `close`, which stays.
    fn many<T>(
        &mut self,
        close: &Token<'_>,
        item: fn(&mut Self, &TaskName) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let of_block = self.task.clone();
        let mut items = Vec::new();
        loop {
            self.skip_ends();
            if self.peek() == close {
                return Ok(items);
            }
            if self.peek() == &Token::Eof {
                return self.expected("`}`, which closes the block");
            }
            items.push(item(self, &of_block)?);
            self.end_of_step()?;
        }
    }

    /// `{ … }`.
    fn block<T>(&mut self, item: fn(&mut Self, &TaskName) -> Parsed<T>) -> Parsed<Vec<T>> {
        if self.depth == Script::DEPTH_LIMIT {
            return self.error(Problem::Deep);
        }
        if !self.eat(&Token::Sign('{')) {
            return self.expected("`{`");
        }
        self.depth += 1;
        let task = self.task.clone();
        let items = self.many(&Token::Sign('}'), item)?;
        self.task = task;
        self.bump();
        self.depth -= 1;
        Ok(items)
    }

    /// One line of `durable { … }`.
    fn setup(&mut self, _of_block: &TaskName) -> Parsed<Setup> {
        let is_file = matches!(
            self.tokens.get(self.next.saturating_add(1)),
            Some(Placed { token: Token::Sign('='), .. })
        );
        if is_file {
            let path = self.path()?;
            self.bump();
            return Ok(Setup::File { path, value: self.value()? });
        }
        let place = self.place();
        let word = self.word("`f = value` or a call, as `mkdir d`")?;
        match self.act(word, place)? {
            Act::Call(call) if call.stands_in_durable() => Ok(Setup::Call(call)),
            act => {
                Err(ParseError { place, problem: Problem::NotDurable { word: words::of(&act) } })
            }
        }
    }

    fn step(&mut self, of_block: &TaskName) -> Parsed<Step> {
        if self.placed().newline_before {
            self.task.clone_from(of_block);
        }
        if let Token::At(name) = *self.peek() {
            match TaskName::new(name) {
                Some(task) => self.task = task,
                None => return self.error(Problem::Task),
            }
            self.bump();
        }
        let (place, task) = (self.place(), self.task.clone());
        let word = self.word("a step, as `write f \"ab\"`")?;
        Ok(Step { place, task, act: self.act(word, place)? })
    }

    fn word(&mut self, expected: &'static str) -> Parsed<&'t str> {
        let Token::Bare(word) = *self.peek() else { return self.expected(expected) };
        self.bump();
        Ok(word)
    }

    fn path(&mut self) -> Parsed<RelPath> {
        self.path_or("a file's name")
    }

    fn path_or(&mut self, expected: &'static str) -> Parsed<RelPath> {
        let path = match self.peek() {
            Token::Bare(name) => RelPath::new(name.as_bytes()),
            Token::Text(name) => RelPath::new(name),
            _ => return self.expected(expected),
        };
        match path {
            Ok(path) => {
                self.bump();
                Ok(path)
            }
            Err(bad) => self.error(Problem::Path(bad)),
        }
    }

    fn is_path(&self) -> bool {
        matches!(self.peek(), Token::Bare(_) | Token::Text(_))
    }

    /// `piece + piece …`.
    fn value(&mut self) -> Parsed<Value> {
        let place = self.place();
        let mut value = Value(vec![self.piece()?]);
        while self.eat(&Token::Sign('+')) {
            value.0.push(self.piece()?);
        }
        if value.len() > Script::VALUE_LIMIT {
            let problem = Problem::TooLarge {
                what: "the length of a value in bytes",
                limit: Script::VALUE_LIMIT,
            };
            return Err(ParseError { place, problem });
        }
        Ok(value)
    }

    fn piece(&mut self) -> Parsed<Piece> {
        if self.eat_word("zeros") {
            return Ok(Piece::Zeros(self.size("a number of zeros", Script::VALUE_LIMIT)?));
        }
        let Token::Text(unit) = self.peek() else {
            return self.expected("a value (`\"ab\"`, `\"ab\"*n` or `zeros n`)");
        };
        let unit = unit.clone();
        self.bump();
        let times = match self.eat(&Token::Sign('*')) {
            true => self.size("how often the string is repeated", Script::VALUE_LIMIT)?,
            false => 1,
        };
        Ok(Piece::Text { unit, times })
    }

    /// A number, `n`, `nKi` or `nMi`, that is the next word.
    fn size(&mut self, what: &'static str, limit: u64) -> Parsed<u64> {
        let size = match self.peek() {
            Token::Bare(word) => parse_size(word),
            _ => None,
        };
        let Some(size) = size else { return self.expected("a number (`4096`, `64Ki`, `1Mi`)") };
        if size > limit {
            return self.error(Problem::TooLarge { what, limit });
        }
        self.bump();
        Ok(size)
    }

    /// `@off`.
    fn offset(&mut self) -> Parsed<u64> {
        let size = match self.peek() {
            Token::At(word) => parse_size(word),
            _ => None,
        };
        let Some(size) = size else { return self.expected("an offset (`@0`, `@64Ki`)") };
        if size > Script::SIZE_LIMIT {
            let what = "an offset in bytes";
            return self.error(Problem::TooLarge { what, limit: Script::SIZE_LIMIT });
        }
        self.bump();
        Ok(size)
    }

    fn one_expected(&mut self) -> Parsed<Expected> {
        Ok(match self.peek() {
            Token::Bare("absent") => {
                self.bump();
                Expected::Absent
            }
            Token::Bare("partial") => {
                self.bump();
                Expected::Partial
            }
            Token::Bare("junk") => {
                self.bump();
                Expected::Junk
            }
            Token::Bare("zeros") | Token::Text(_) => Expected::Is(self.value()?),
            _ => return self.expected("a value, `absent`, `partial` or `junk`"),
        })
    }
}

/// `n`, `nKi`, `nMi`; what a `u64` cannot hold is as good as the largest that it can.
fn parse_size(word: &str) -> Option<u64> {
    let (digits, unit) = match (word.strip_suffix("Ki"), word.strip_suffix("Mi")) {
        (Some(digits), _) => (digits, 1 << 10),
        (_, Some(digits)) => (digits, 1 << 20),
        _ => (word, 1),
    };
    Some(parse_digits(digits)?.saturating_mul(unit))
}

/// A number in decimal digits and nothing else; saturates.
fn parse_digits(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}
