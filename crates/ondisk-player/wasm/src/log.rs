//! Files that hold a write-ahead log of the program's, and what its recovery makes of them.
//!
//! Such a log is a text of records, each ended by `;` or a line feed, and behind those of a
//! transaction the word `COMMIT`; zeros behind the last are space that was made ahead.
//!
//! Invariant: a file is a log where the script writes a `COMMIT` to it, or it begins with one; what
//! stands behind the last `COMMIT` is told and applies to nothing.

use std::path::Path;

use ondisk_sim::Image;

use crate::carry::Present;
use crate::json::Json;
use crate::words;

const COMMIT: &[u8] = b"COMMIT";
/// The most transactions that are told of.
const MOST: usize = 256;

/// A transaction of a log.
#[derive(Debug, Default, PartialEq, Eq)]
struct Transaction {
    records: Vec<String>,
    committed: bool,
}

/// All logs of an image.
pub(crate) fn tell(present: &Present, image: &Image, json: &mut Json) {
    for (path, bytes) in image.files() {
        if !is_log(present, path, bytes) {
            continue;
        }
        let (transactions, torn) = read(bytes);
        json.open('{').field("path").string(&path.display().to_string());
        json.field("transactions").open('[');
        for (n, transaction) in transactions.iter().enumerate() {
            json.open('{').field("name").string(&format!("transaction {}", n + 1));
            json.field("records").strings(&transaction.records);
            json.field("committed").flag(transaction.committed).close('}');
        }
        json.close(']').field("torn").flag(torn).close('}');
    }
}

fn is_log(present: &Present, path: &Path, bytes: &[u8]) -> bool {
    let marks = |bytes: &[u8]| bytes.windows(COMMIT.len()).any(|at| at == COMMIT);
    let written = present.records.iter().any(|record| record.path == path && marks(&record.bytes));
    written || marks(bytes.get(..words::SHOWN).unwrap_or(bytes))
}

/// The transactions, and whether something stands behind the last that is committed.
fn read(bytes: &[u8]) -> (Vec<Transaction>, bool) {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let mut left = bytes.get(..end).unwrap_or_default();
    let mut all = Vec::new();
    let mut now = Transaction::default();
    while !left.is_empty() && all.len() < MOST {
        if let Some(rest) = left.strip_prefix(COMMIT) {
            left = rest.strip_prefix(b";").or(rest.strip_prefix(b"\n")).unwrap_or(rest);
            all.push(Transaction { committed: true, ..std::mem::take(&mut now) });
            continue;
        }
        let ends = |byte: &u8| matches!(byte, b';' | b'\n');
        let len = left.iter().position(ends).map_or(left.len(), |at| at + 1);
        let (record, rest) = left.split_at(len);
        // A record with zeros in it never came whole; what follows is not read.
        let torn = record.contains(&0) || !record.last().is_some_and(ends);
        let text = record.split(|byte| *byte == 0).next().unwrap_or_default();
        if !text.is_empty() {
            now.records.push(words::text(text));
        }
        if torn {
            break;
        }
        left = rest;
    }
    let torn = !now.records.is_empty() || !left.is_empty();
    if !now.records.is_empty() {
        all.push(now);
    }
    (all, torn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(bytes: &[u8]) -> (Vec<(usize, bool)>, bool) {
        let (all, torn) = read(bytes);
        (all.iter().map(|it| (it.records.len(), it.committed)).collect(), torn)
    }

    #[test]
    fn what_ends_in_commit_counts_and_the_tail_does_not() {
        assert_eq!(told(b"alice -5;bob +5;COMMIT\0\0"), (vec![(2, true)], false));
        assert_eq!(told(b"a;COMMIT\nb;COMMIT;c;"), (vec![(1, true), (1, true), (1, false)], true));
        assert_eq!(told(b"alice -5;bob"), (vec![(2, false)], true));
        assert_eq!(told(b"\0\0\0\0"), (vec![], false));
        // The marker came, and a record before it did not.
        assert_eq!(told(b"alice -5;\0\0\0\0\0\0\0COMMIT"), (vec![(1, false)], true));
    }
}
