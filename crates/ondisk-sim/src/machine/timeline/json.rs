//! JSON, as much as a timeline needs: numbers that stay text, and strings.
//!
//! Invariant: what [`Json::parse`] takes is JSON (RFC 8259), and at most [`DEPTH`] deep, so no
//! text can exhaust the stack; what it keeps is at most a small multiple of the text. Object names
//! stay in order, and the first of a name counts.

use std::borrow::Cow;

/// How deep lists and objects may stand in each other.
pub(super) const DEPTH: u32 = 16;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json<'a> {
    /// `null`, `true` or `false`: nothing here means anything by them.
    Word,
    /// As it is written.
    Number(&'a str),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// No JSON: at which byte, and what would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) wanted: &'static str,
}

impl<'a> Json<'a> {
    /// Reads a value and nothing behind it.
    pub(super) fn parse(text: &'a str) -> Result<Self, Wrong> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(DEPTH)?;
        reader.space();
        if reader.at < text.len() { Err(reader.wrong("the end of the line")) } else { Ok(value) }
    }

    /// A value of an object by its name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(pairs) = self else { return None };
        pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// As text.
    pub(super) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// As a number without sign, written as one or as text.
    pub(super) fn number(&self) -> Option<u64> {
        let digits = match self {
            Self::Number(digits) => digits,
            Self::Text(text) => text.as_ref(),
            _ => return None,
        };
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    }

    /// As a list.
    pub(super) fn list(&self) -> Option<&[Self]> {
        if let Self::List(list) = self { Some(list) } else { None }
    }

    /// As the pairs of an object.
    pub(super) fn pairs(&self) -> Option<&[(Cow<'a, str>, Self)]> {
        if let Self::Object(pairs) = self { Some(pairs) } else { None }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn wrong(&self, wanted: &'static str) -> Wrong {
        Wrong { at: self.at, wanted }
    }

    fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.space();
        let is = self.peek() == byte;
        self.at += usize::from(is);
        is
    }

    fn value(&mut self, depth: u32) -> Result<Json<'a>, Wrong> {
        let Some(depth) = depth.checked_sub(1) else { return Err(self.wrong("less depth")) };
        self.space();
        match self.peek() {
            b'"' => Ok(Json::Text(self.string()?)),
            b'[' => self.list(depth),
            b'{' => self.object(depth),
            b'-' | b'0'..=b'9' => self.number(),
            _ => {
                let rest = &self.text[self.at..];
                let word =
                    ["null", "true", "false"].into_iter().find(|word| rest.starts_with(word));
                self.at += word.ok_or(self.wrong("a value"))?.len();
                Ok(Json::Word)
            }
        }
    }

    fn list(&mut self, depth: u32) -> Result<Json<'a>, Wrong> {
        self.at += 1;
        let mut list = Vec::new();
        if self.takes(b']') {
            return Ok(Json::List(list));
        }
        loop {
            list.push(self.value(depth)?);
            if self.takes(b']') {
                return Ok(Json::List(list));
            }
            if !self.takes(b',') {
                return Err(self.wrong("`,` or `]`"));
            }
        }
    }

    fn object(&mut self, depth: u32) -> Result<Json<'a>, Wrong> {
        self.at += 1;
        let mut pairs = Vec::new();
        if self.takes(b'}') {
            return Ok(Json::Object(pairs));
        }
        loop {
            self.space();
            if self.peek() != b'"' {
                return Err(self.wrong("a name in quotes"));
            }
            let name = self.string()?;
            if !self.takes(b':') {
                return Err(self.wrong("`:`"));
            }
            pairs.push((name, self.value(depth)?));
            if self.takes(b'}') {
                return Ok(Json::Object(pairs));
            }
            if !self.takes(b',') {
                return Err(self.wrong("`,` or `}`"));
            }
        }
    }

    fn digits(&mut self) -> Result<usize, Wrong> {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == from { Err(self.wrong("a digit")) } else { Ok(self.at - from) }
    }

    fn number(&mut self) -> Result<Json<'a>, Wrong> {
        let from = self.at;
        self.at += usize::from(self.peek() == b'-');
        let zero = self.peek() == b'0';
        if self.digits()? > 1 && zero {
            return Err(self.wrong("no zero before a number"));
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(Json::Number(&self.text[from..self.at]))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Wrong> {
        self.at += 1;
        let mut own: Option<String> = None;
        let mut from = self.at;
        loop {
            match self.peek() {
                b'"' => {
                    let rest = &self.text[from..self.at];
                    self.at += 1;
                    return Ok(match own {
                        None => Cow::Borrowed(rest),
                        Some(text) => Cow::Owned(text + rest),
                    });
                }
                b'\\' => {
                    let text = own.get_or_insert_default();
                    text.push_str(&self.text[from..self.at]);
                    self.at += 1;
                    let letter = self.escape()?;
                    own.get_or_insert_default().push(letter);
                    from = self.at;
                }
                0..0x20 => return Err(self.wrong("the end of a text, `\"`")),
                _ => self.at += 1,
            }
        }
    }

    fn escape(&mut self) -> Result<char, Wrong> {
        let letter = self.peek();
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => {
                self.at -= 1;
                return Err(self.wrong("an escape"));
            }
        })
    }

    fn unicode(&mut self) -> Result<char, Wrong> {
        let first = self.hex()?;
        let code = if (0xD800..0xDC00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            self.at += 2;
            let second = self.hex()?;
            if !(0xDC00..0xE000).contains(&second) {
                return Err(self.wrong("the second half of a character"));
            }
            0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00)
        } else {
            first
        };
        char::from_u32(code).ok_or(self.wrong("a character"))
    }

    fn hex(&mut self) -> Result<u32, Wrong> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).unwrap_or_default();
        let mut code = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16).ok_or(self.wrong("four hex digits"))?;
            code = code << 4 | digit;
        }
        if digits.len() < 4 {
            return Err(self.wrong("four hex digits"));
        }
        self.at += 4;
        Ok(code)
    }
}

/// Writes a text in quotes.
pub(super) fn quote(out: &mut String, text: &str) {
    out.push('"');
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => {
                out.push_str("\\u00");
                let code = u32::from(letter);
                out.extend(char::from_digit(code >> 4, 16));
                out.extend(char::from_digit(code & 15, 16));
            }
            _ => out.push(letter),
        }
    }
    out.push('"');
}

/// Writes a number's digits.
pub(super) fn digits(out: &mut String, mut number: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10).to_le_bytes()[0];
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend(text[at..].iter().map(|digit| char::from(*digit)));
}

/// Writes a number; as text where a reader with 53 bits would lose some.
pub(super) fn number(out: &mut String, number: u64) {
    let large = number > 1 << 53;
    if large {
        out.push('"');
    }
    digits(out, number);
    if large {
        out.push('"');
    }
}
