//! Text into tokens, each with its place.
//!
//! Invariant: numbers, keywords and plain names are all [`Token::Bare`]: what a word means is said
//! by where it stands, so no name is ever taken.

use super::error::{ParseError, Problem};
use super::{Place, Script};

/// The smallest thing with a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token<'t> {
    /// A word, number or plain name.
    Bare(&'t str),
    /// `"…"`, its escapes undone.
    Text(Vec<u8>),
    /// `@` with what is glued to it.
    At(&'t str),
    /// One of `= | * + { }`.
    Sign(char),
    /// A newline or `;`.
    End,
    /// The end of the text.
    Eof,
}

impl Token<'_> {
    /// The token for an error's `found`.
    pub(super) fn told(&self) -> String {
        match self {
            Self::Bare(word) => format!("`{word}`"),
            Self::Text(_) => "a string".to_owned(),
            Self::At(word) => format!("`@{word}`"),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end of the step".to_owned(),
            Self::Eof => "the end of the script".to_owned(),
        }
    }
}

/// Whether a name with this character needs no quotes.
pub(super) fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '~' | ',' | ':' | '%')
}

/// A token and where it begins; whether it is the first of its line.
#[derive(Clone, Debug)]
pub(super) struct Placed<'t> {
    pub(super) token: Token<'t>,
    pub(super) place: Place,
    pub(super) newline_before: bool,
}

/// All tokens of a text; the last is [`Token::Eof`].
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>, ParseError> {
    let mut lexer = Lexer { rest: text, place: Place { line: 1, column: 1 } };
    if text.len() > Script::TEXT_LIMIT {
        return Err(lexer.error(Problem::LongText));
    }
    let mut tokens = Vec::new();
    let mut newline_before = true;
    loop {
        lexer.skip_blanks();
        let place = lexer.place;
        let token = lexer.token()?;
        let done = token == Token::Eof;
        // Only a newline leaves the next token on a later line than this one began on.
        let ends_line = lexer.place.line > place.line;
        tokens.push(Placed { token, place, newline_before });
        if done {
            return Ok(tokens);
        }
        newline_before = ends_line;
    }
}

struct Lexer<'t> {
    rest: &'t str,
    place: Place,
}

impl<'t> Lexer<'t> {
    fn error(&self, problem: Problem) -> ParseError {
        ParseError { place: self.place, problem }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        if c == '\n' {
            self.place = Place { line: self.place.line.saturating_add(1), column: 1 };
        } else {
            self.place.column = self.place.column.saturating_add(1);
        }
        Some(c)
    }

    fn skip_blanks(&mut self) {
        let mut comment = false;
        while let Some(c) = self.peek() {
            comment |= c == '#';
            if c == '\n' || !(comment || matches!(c, ' ' | '\t' | '\r')) {
                return;
            }
            self.bump();
        }
    }

    fn token(&mut self) -> Result<Token<'t>, ParseError> {
        let Some(c) = self.peek() else { return Ok(Token::Eof) };
        Ok(match c {
            '\n' | ';' => {
                self.bump();
                Token::End
            }
            '=' | '|' | '*' | '+' | '{' | '}' => {
                self.bump();
                Token::Sign(c)
            }
            '@' => {
                self.bump();
                Token::At(self.bare())
            }
            '"' => Token::Text(self.string()?),
            c if is_bare(c) => Token::Bare(self.bare()),
            c => return Err(self.error(Problem::StrayChar(c))),
        })
    }

    fn bare(&mut self) -> &'t str {
        let len = self.rest.find(|c| !is_bare(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(len);
        self.rest = rest;
        // All of them are ASCII, and the text is far shorter than a `u32` counts.
        self.place.column =
            self.place.column.saturating_add(u32::try_from(len).unwrap_or(u32::MAX));
        word
    }

    fn string(&mut self) -> Result<Vec<u8>, ParseError> {
        let open = self.error(Problem::OpenString);
        self.bump();
        let mut bytes = Vec::new();
        loop {
            let before = self.error(Problem::Escape);
            match self.peek() {
                None | Some('\n') => return Err(open),
                Some('"') => {
                    self.bump();
                    return Ok(bytes);
                }
                Some('\\') => {
                    self.bump();
                    bytes.push(self.escape().ok_or(before)?);
                }
                Some(c) => {
                    self.bump();
                    bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }

    fn escape(&mut self) -> Option<u8> {
        Some(match self.bump()? {
            'n' => b'\n',
            'r' => b'\r',
            't' => b'\t',
            '0' => 0,
            '"' => b'"',
            '\\' => b'\\',
            'x' => {
                let high = self.bump()?.to_digit(16)?;
                let low = self.bump()?.to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            _ => return None,
        })
    }
}
