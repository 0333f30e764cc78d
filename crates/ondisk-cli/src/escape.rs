//! Lines of `key<TAB>value`: any bytes as one line of text, and back.
//!
//! Invariant: `unescape(escape(b)) == b` for all bytes, and what [`escape`] writes holds no tab, no
//! line break and no control character, so it is one field of one line on any terminal.
//!
//! ```text
//! \\  backslash     \t  tab     \n  line feed     \r  carriage return     \xNN  any byte, in hex
//! ```
//! Printable text in UTF-8 stands for itself. A reader takes every raw byte but a tab in a key and
//! a line feed; all after the first tab is the value.
//!
//! Knows nothing of stores.

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// The longest line that is read: four bytes of escape for each byte of the longest commit.
pub(crate) const LONGEST_LINE: usize = 128 << 20;

/// Why a line, or an argument, cannot be read. Columns count bytes from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LineError {
    /// There is no tab between key and value.
    #[error("line {line}: no tab; a line is a key, a tab and a value")]
    NoTab {
        /// Counted from 1.
        line: u64,
    },
    /// A backslash that begins nothing we know.
    #[error("line {line}, column {column}: unknown escape; there are \\\\ \\t \\n \\r and \\xNN")]
    UnknownEscape {
        /// Counted from 1.
        line: u64,
        /// Of the backslash.
        column: usize,
    },
    /// A line longer than any commit could be.
    #[error("line {line} is longer than {limit} bytes, which no commit can hold", limit = LONGEST_LINE)]
    TooLong {
        /// Counted from 1.
        line: u64,
    },
    /// An argument given with `--escaped`.
    #[error("{what}, column {column}: unknown escape; there are \\\\ \\t \\n \\r and \\xNN")]
    Argument {
        /// `KEY` or `VALUE`.
        what: &'static str,
        /// Of the backslash.
        column: usize,
    },
}

/// A key and a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

/// Reads one line, without its line feed. `line` is its number, for the error.
pub(crate) fn parse_line(text: &[u8], line: u64) -> Result<Pair, LineError> {
    let tab = text.iter().position(|&byte| byte == b'\t').ok_or(LineError::NoTab { line })?;
    let (key, value) = (&text[..tab], &text[tab + 1..]);
    let key = unescape(key).map_err(|at| LineError::UnknownEscape { line, column: at + 1 })?;
    let value = unescape(value)
        .map_err(|at| LineError::UnknownEscape { line, column: tab + 1 + at + 1 })?;
    Ok(Pair { key: key.into_owned(), value: value.into_owned() })
}

/// Writes a field's bytes to the end of `line` as text.
pub(crate) fn escape_into(line: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            let mut buffer = [0; 4];
            let utf8 = char.encode_utf8(&mut buffer).as_bytes();
            match char {
                '\\' => line.extend_from_slice(b"\\\\"),
                '\t' => line.extend_from_slice(b"\\t"),
                '\n' => line.extend_from_slice(b"\\n"),
                '\r' => line.extend_from_slice(b"\\r"),
                _ if char.is_control() => escape_hex(line, utf8),
                _ => line.extend_from_slice(utf8),
            }
        }
        escape_hex(line, chunk.invalid());
    }
}

/// A field's bytes as text: see the module's head.
pub(crate) fn escape(bytes: &[u8]) -> String {
    let mut text = Vec::with_capacity(bytes.len());
    escape_into(&mut text, bytes);
    String::from_utf8_lossy(&text).into_owned() // `escape_into` writes UTF-8 alone: nothing is lost
}

fn escape_hex(line: &mut Vec<u8>, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in bytes {
        let digits = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
        line.extend_from_slice(&[b'\\', b'x', digits[0], digits[1]]);
    }
}

/// The bytes that a field stands for; on failure the offset of the backslash that begins nothing.
pub(crate) fn unescape(field: &[u8]) -> Result<Cow<'_, [u8]>, usize> {
    if !field.contains(&b'\\') {
        return Ok(Cow::Borrowed(field));
    }
    let mut bytes = Vec::with_capacity(field.len());
    let mut at = 0;
    while let Some(&byte) = field.get(at) {
        if byte != b'\\' {
            bytes.push(byte);
            at += 1;
            continue;
        }
        let (byte, len) = match field.get(at + 1).ok_or(at)? {
            b'\\' => (b'\\', 2),
            b't' => (b'\t', 2),
            b'n' => (b'\n', 2),
            b'r' => (b'\r', 2),
            b'x' => (hex_byte(field.get(at + 2..at + 4)).ok_or(at)?, 4),
            _ => return Err(at),
        };
        bytes.push(byte);
        at += len;
    }
    Ok(Cow::Owned(bytes))
}

fn hex_byte(digits: Option<&[u8]>) -> Option<u8> {
    let &[high, low] = digits? else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? << 4 | digit(low)?).ok()
}
