//! Texts as JSON that may stand inside a `script` element.
//!
//! Invariant: what is written holds no `<`, no control character, no U+2028 and no U+2029, and is
//! the same text again when it is parsed.

use std::io::{self, Write};

/// The beginning of an object: its brace and these members.
pub(crate) fn members(to: &mut impl Write, members: &[(&str, &str)]) -> io::Result<()> {
    for (nth, (name, value)) in members.iter().enumerate() {
        to.write_all(if nth == 0 { b"{" } else { b"," })?;
        text(to, name)?;
        to.write_all(b":")?;
        text(to, value)?;
    }
    Ok(())
}

/// A text, in its quotes.
fn text(to: &mut impl Write, text: &str) -> io::Result<()> {
    to.write_all(b"\"")?;
    let mut plain = 0;
    for (at, c) in text.char_indices() {
        let escaped = match c {
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\n' => "\\n".to_owned(),
            '<' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => format!("\\u{:04x}", u32::from(c)),
            _ => continue,
        };
        to.write_all(&text.as_bytes()[plain..at])?;
        to.write_all(escaped.as_bytes())?;
        plain = at + c.len_utf8();
    }
    to.write_all(&text.as_bytes()[plain..])?;
    to.write_all(b"\"")
}
