//! Histories as texts: `w1(x) c1 r2(x=1) c2`, as the papers write them.
//!
//! | word | what happened |
//! |---|---|
//! | `b1`, `b1@7` | T1 began; its snapshot is LSN 7. Its first word begins it too |
//! | `r1(x=2)` | T1 read in `x` what T2 wrote there last; `2.3`: T2's third write; `-`: nothing; `?`: garbage |
//! | `s1{[a,f) b=2 c=3}` | T1 walked up from `a` to before `f`, and found two keys; `z1` walked down |
//! | `w1(x)` `d1(x)` | T1 put, deleted |
//! | `l1`, `l1@9` | T1's commit has its LSN, the next one or this, and is not acknowledged |
//! | `c1`, `c1@9` | T1 was told that it is committed, and has its LSN at the latest now |
//! | `a1` `x1` | T1 was rolled back; a cut took it |
//!
//! A transaction that does not end has an unknown end. A key of another keyspace than the first is
//! `2/x`. Invariant: what is written is read back as the same history, moments aside.

use std::fmt;
use std::ops::Bound;
use std::str::FromStr;

use super::words::item as named;
use super::{Act, End, History, Id, Item, Moment, Saw, Scan, Transaction, Version, Way};

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parser = Parser::default();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (word, after) = rest.split_at(end_of_word(rest));
            parser.word(word).ok_or_else(|| format!("`{word}` is no word of a history"))?;
            rest = after.trim_start();
        }
        parser.name_versions();
        Ok(parser.history)
    }
}

fn end_of_word(text: &str) -> usize {
    let space = text.find(char::is_whitespace).unwrap_or(text.len());
    match text.find('{') {
        Some(brace) if brace < space => text.find('}').map_or(text.len(), |end| end + 1),
        _ => space,
    }
}

#[derive(Default)]
struct Parser {
    history: History,
    now: Moment,
    last_lsn: u64,
}

/// Stands in a read for the last write of its writer to the key, until all of them are known.
const LAST: u16 = 0;

impl Parser {
    fn word(&mut self, word: &str) -> Option<()> {
        let (verb, rest) = word.split_at_checked(1)?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (id, rest) = rest.split_at(digits);
        let id: Id = id.parse().ok()?;
        self.now += 1;
        self.begin(id);
        let transaction = &mut self.history.transactions[id];
        let inside = || rest.strip_prefix('(')?.strip_suffix(')');
        let act = match verb {
            "r" => {
                let (key, saw) = inside()?.split_once('=')?;
                Act::Read(item(key)?, parse_saw(saw)?)
            }
            "w" => Act::Put(item(inside()?)?, last_nth(transaction) + 1),
            "d" => Act::Delete(item(inside()?)?),
            "s" => Act::Scan(scan(rest, Way::Up)?),
            "z" => Act::Scan(scan(rest, Way::Down)?),
            _ => {
                let number = match rest.strip_prefix('@') {
                    Some(number) => Some(number.parse().ok()?),
                    None if rest.is_empty() => None,
                    None => return None,
                };
                return self.turn(verb, id, number);
            }
        };
        transaction.acts.push((self.now, act));
        Some(())
    }

    /// A word that is no act: a beginning, a place, an end.
    fn turn(&mut self, verb: &str, id: Id, number: Option<u64>) -> Option<()> {
        let transaction = &mut self.history.transactions[id];
        match verb {
            "b" => transaction.snapshot = number,
            "l" | "c" => {
                if transaction.lsn.is_none() && (transaction.is_writer() || number.is_some()) {
                    let lsn = number.unwrap_or(self.last_lsn + 1);
                    self.last_lsn = self.last_lsn.max(lsn);
                    transaction.lsn = Some(lsn);
                }
                if verb == "l" {
                    transaction.placed = Some(self.now);
                } else {
                    (transaction.end, transaction.ended) = (End::Committed, self.now);
                }
            }
            "a" => (transaction.end, transaction.ended) = (End::RolledBack, self.now),
            "x" => (transaction.end, transaction.ended) = (End::Lost, self.now),
            _ => return None,
        }
        Some(())
    }

    /// Numbers that nobody uses are transactions that never were.
    fn begin(&mut self, id: Id) {
        let transactions = &mut self.history.transactions;
        while transactions.len() <= id {
            transactions.push(Transaction { end: End::Lost, ..Transaction::begin(Moment::MAX) });
        }
        if transactions[id].began == Moment::MAX {
            transactions[id] = Transaction::begin(self.now);
        }
    }

    fn name_versions(&mut self) {
        let writers = self.history.transactions.clone();
        let name = |item: &Item, saw: &mut Saw| {
            if let Saw::Version(version) = saw
                && version.nth == LAST
            {
                version.nth = last_put(writers.get(version.writer), item).unwrap_or(LAST);
            }
        };
        let acts = self.history.transactions.iter_mut().flat_map(|it| &mut it.acts);
        for (_, act) in acts {
            match act {
                Act::Read(item, saw) => name(item, saw),
                Act::Scan(scan) => {
                    for (key, saw) in &mut scan.found {
                        name(&Item::new(scan.space, &key[..]), saw);
                    }
                }
                Act::Put(..) | Act::Delete(_) => {}
            }
        }
    }
}

fn last_nth(transaction: &Transaction) -> u16 {
    transaction.writes().filter_map(|(_, nth)| nth).max().unwrap_or(0)
}

fn last_put(writer: Option<&Transaction>, item: &Item) -> Option<u16> {
    writer?.writes().filter(|(written, _)| *written == item).filter_map(|(_, nth)| nth).last()
}

fn item(text: &str) -> Option<Item> {
    let (space, key) = match text.split_once('/') {
        Some((space, key)) => (space.parse().ok()?, key),
        None => (0, text),
    };
    Some(Item::new(space, key))
}

fn parse_saw(text: &str) -> Option<Saw> {
    Some(match text {
        "-" => Saw::Nothing,
        "?" => Saw::Garbage,
        _ => {
            let (writer, nth) = match text.split_once('.') {
                Some((writer, nth)) => (writer, nth.parse().ok()?),
                None => (text, LAST),
            };
            Saw::Version(Version { writer: writer.parse().ok()?, nth })
        }
    })
}

/// `{[a,f) b=2 c=3}`.
fn scan(text: &str, way: Way) -> Option<Scan> {
    let mut words = text.strip_prefix('{')?.strip_suffix('}')?.split_whitespace();
    let interval = words.next()?;
    let (space, interval) = match interval.split_once('/') {
        Some((space, interval)) => (space.parse().ok()?, interval),
        None => (0, interval),
    };
    let (lower, upper) = interval.split_once(',')?;
    let lower = match lower.split_at_checked(1)? {
        (_, "") => Bound::Unbounded,
        ("[", key) => Bound::Included(key.into()),
        ("(", key) => Bound::Excluded(key.into()),
        _ => return None,
    };
    let upper = match upper.split_at_checked(upper.len() - 1)? {
        ("", _) => Bound::Unbounded,
        (key, "]") => Bound::Included(key.into()),
        (key, ")") => Bound::Excluded(key.into()),
        _ => return None,
    };
    let found = words.map(|word| {
        let (key, saw) = word.split_once('=')?;
        Some((key.as_bytes().to_vec(), parse_saw(saw)?))
    });
    let found: Option<Vec<_>> = found.collect();
    Some(Scan { space, lower, upper, found: found?, way })
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words: Vec<(Moment, String)> = Vec::new();
        for (id, it) in self.transactions.iter().enumerate() {
            if it.began == Moment::MAX {
                continue;
            }
            let at = |number: Option<u64>| number.map_or_else(String::new, |n| format!("@{n}"));
            words.push((it.began, format!("b{id}{}", at(it.snapshot))));
            words.extend(it.acts.iter().map(|(moment, act)| (*moment, self.act(id, act))));
            words.extend(it.placed.map(|moment| (moment, format!("l{id}{}", at(it.lsn)))));
            let end = match (it.end, it.placed) {
                (End::Committed, None) => format!("c{id}{}", at(it.lsn)),
                (End::Committed, Some(_)) => format!("c{id}"),
                (End::RolledBack, _) => format!("a{id}"),
                (End::Lost, _) => format!("x{id}"),
                (End::Unknown, _) => continue,
            };
            words.push((it.ended, end));
        }
        words.sort_by_key(|(moment, _)| *moment);
        let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
        f.write_str(&words.join(" "))
    }
}

impl History {
    fn act(&self, id: Id, act: &Act) -> String {
        match act {
            Act::Read(item, saw) => format!("r{id}({}={})", named(item), self.saw(item, *saw)),
            Act::Put(item, _) => format!("w{id}({})", named(item)),
            Act::Delete(item) => format!("d{id}({})", named(item)),
            Act::Scan(scan) => {
                let verb = if scan.way == Way::Up { 's' } else { 'z' };
                format!("{verb}{id}{{{}}}", self.scan(scan))
            }
        }
    }

    fn saw(&self, item: &Item, saw: Saw) -> String {
        let Saw::Version(Version { writer, nth }) = saw else {
            return if saw == Saw::Nothing { "-".to_owned() } else { "?".to_owned() };
        };
        if nth == LAST || last_put(self.transactions.get(writer), item) == Some(nth) {
            return writer.to_string();
        }
        format!("{writer}.{nth}")
    }

    fn scan(&self, scan: &Scan) -> String {
        let space = if scan.space == 0 { String::new() } else { format!("{}/", scan.space) };
        let lower = match &scan.lower {
            Bound::Unbounded => "[".to_owned(),
            Bound::Included(key) => format!("[{}", key.escape_ascii()),
            Bound::Excluded(key) => format!("({}", key.escape_ascii()),
        };
        let upper = match &scan.upper {
            Bound::Unbounded => ")".to_owned(),
            Bound::Included(key) => format!("{}]", key.escape_ascii()),
            Bound::Excluded(key) => format!("{})", key.escape_ascii()),
        };
        let found: String = scan.found.iter().fold(String::new(), |mut text, (key, saw)| {
            let item = Item::new(scan.space, &key[..]);
            text.push_str(&format!(" {}={}", key.escape_ascii(), self.saw(&item, *saw)));
            text
        });
        format!("{space}{lower},{upper}{found}")
    }
}
