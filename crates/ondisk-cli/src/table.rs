//! Tables of words on a terminal: columns of fixed widths, cells of as many lines as they need;
//! and numbers in them.
//!
//! Invariant: no line is wider than its columns, and no letter of a cell is lost.
//!
//! Knows nothing of what the words say.

/// The lines of one row, each column as wide as it is told; the last is not padded.
pub(crate) fn row(widths: &[usize], cells: &[&str]) -> Vec<String> {
    let columns: Vec<Vec<String>> =
        widths.iter().zip(cells).map(|(width, cell)| lines(cell, *width)).collect();
    let height = columns.iter().map(Vec::len).max().unwrap_or(0);
    let line = |at: usize| {
        let parts = columns.iter().zip(widths).map(|(column, width)| {
            let text = column.get(at).map_or("", String::as_str);
            format!("{text:<width$}  ")
        });
        parts.collect::<String>().trim_end().to_owned()
    };
    (0..height).map(line).collect()
}

/// A text in lines of at most a width.
fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for (n, piece) in letters.chunks(width.max(1)).enumerate() {
            let space = usize::from(n == 0 && used > 0);
            if used > 0 && (n > 0 || used + space + piece.len() > width) {
                lines.push(String::new());
                used = 0;
            }
            let Some(line) = lines.last_mut() else { continue };
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.extend(piece);
            used += piece.len();
        }
    }
    lines
}

/// A number with its thousands parted: `12,345`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut parted = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            parted.push(',');
        }
        parted.push(digit);
    }
    parted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_take_the_lines_that_they_need() {
        let lines = row(&[6, 9], &["a kind", "one write for each group"]);
        assert_eq!(lines, ["a kind  one write", "        for each", "        group"]);
        assert_eq!(row(&[3], &["abcdefgh i"]), ["abc", "def", "gh", "i"].map(str::to_owned));
        assert_eq!(row(&[3, 3], &["", ""]), [""]);
    }

    #[test]
    fn numbers_are_parted_by_thousands() {
        let parted = ["0", "999", "1,000", "1,234,567"];
        assert_eq!(parted, [0, 999, 1000, 1_234_567].map(thousands)[..]);
    }
}
