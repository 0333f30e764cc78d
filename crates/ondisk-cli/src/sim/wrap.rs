//! Text that fits on a terminal.
//!
//! Invariant: no line is wider than [`WIDTH`], and no character of a name, a text or an error moves
//! the cursor: what is no letter is printed as an escape.

/// The widest line.
pub(crate) const WIDTH: usize = 100;

/// A text in which nothing but its letters is printed.
pub(crate) fn printable(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Whether a character has no width of its own or turns the direction of others.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A text in lines of at most [`WIDTH`]: the first behind `head`, the others as far in.
pub(crate) fn wrapped(head: &str, text: &str) -> Vec<String> {
    let inset = head.chars().count().min(WIDTH / 2);
    let room = WIDTH - inset;
    let mut lines = vec![String::new()];
    for word in text.split(' ').flat_map(|word| pieces(word, room)) {
        let last = lines.last_mut();
        let Some(line) = last.filter(|line| fits(line, &word, room)) else {
            lines.push(word);
            continue;
        };
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(&word);
    }
    let mut heads = std::iter::once(head.to_owned()).chain(std::iter::repeat(" ".repeat(inset)));
    let join = |line: String| format!("{}{line}", heads.next().unwrap_or_default());
    lines.into_iter().map(join).map(|line| line.trim_end().to_owned()).collect()
}

fn fits(line: &str, word: &str, room: usize) -> bool {
    line.is_empty() || line.chars().count() + 1 + word.chars().count() <= room
}

/// A word, in pieces where it is too long for a line.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    if letters.is_empty() {
        return vec![String::new()];
    }
    letters.chunks(room.max(1)).map(|piece| piece.iter().collect()).collect()
}

/// A text cut to a width.
pub(crate) fn shortened(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_too_wide_and_no_letter_is_lost() {
        let long = "x".repeat(250);
        for text in ["", "a b c", &long, &format!("a {long} b"), &"word ".repeat(60)] {
            let lines = wrapped("  head  ", text);
            assert!(lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
            let letters = |text: &str| text.replace(' ', "");
            assert_eq!(letters(&lines.concat()), letters(&format!("head{text}")));
        }
    }

    #[test]
    fn nothing_moves_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}ü"), "a\\u{1b}[2Jb\\u{202e}ü");
    }
}
