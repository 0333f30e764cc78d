//! Bytes and files in words.
//!
//! Invariant: a text is short, and shows bytes that are no letters as escapes.

use std::path::Path;

use ondisk_sim::ops::script::MayBe;
use ondisk_sim::{Image, Node};

/// The most letters of a record that are shown.
const SHORT: usize = 48;
/// A longer file is not shown in a sentence.
pub(crate) const SHOWN: usize = 64 << 10;

/// Bytes as text, shortened.
pub(crate) fn text(bytes: &[u8]) -> String {
    let mut told = String::new();
    // Four bytes may be one letter.
    let some = bytes.get(..SHORT * 4).unwrap_or(bytes);
    let mut letters = 0;
    for chunk in some.utf8_chunks() {
        for c in chunk.valid().chars().take(SHORT + 1 - letters) {
            letters += 1;
            match c {
                '\\' => told.push_str("\\\\"),
                c if c.is_control() => told.extend(c.escape_default()),
                c => told.push(c),
            }
        }
        for byte in chunk.invalid().iter().take(SHORT + 1 - letters) {
            letters += 1;
            told.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if letters > SHORT || some.len() < bytes.len() {
        let end = told.char_indices().nth(SHORT).map_or(told.len(), |(end, _)| end);
        told.truncate(end);
        told.push('…');
    }
    told
}

/// What stands at a path of an image, in a script's words.
pub(crate) fn is(image: &Image, path: &Path) -> String {
    match image.nodes.get(path) {
        None => MayBe::Absent.to_string(),
        Some(Node::Dir) => MayBe::Dir.to_string(),
        Some(Node::File(bytes) | Node::Symlink(bytes)) => content(bytes),
    }
}

/// A content in a script's words.
pub(crate) fn content(bytes: &[u8]) -> String {
    if bytes.len() > SHOWN {
        return format!("{} bytes", bytes.len());
    }
    MayBe::Is(bytes.to_vec()).to_string()
}

/// `log is "record 1"`.
pub(crate) fn sentence(path: &Path, is: &str) -> String {
    format!("{} is {is}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_bytes_are_escapes_and_long_texts_end() {
        assert_eq!(text(b"order 1\n"), "order 1\\n");
        assert_eq!(text(b"a\\\xff\0"), "a\\\\\\xff\\u{0}");
        assert_eq!(text("ü".as_bytes()), "ü");
        let long = text(&[b'x'; 1000]);
        assert_eq!(long.chars().count(), SHORT + 1);
        assert!(long.ends_with('…') && text(&[b'x'; SHORT]).len() == SHORT);
    }
}
