//! Cells: named places with a short value, and how runs of them are written.
//!
//! Invariant: a value is a word of at most eight letters and a version; no cell has the empty
//! word, which means that there is nothing. A run names cells whose last numbers follow each
//! other, and their values are the same or rise by one from cell to cell.

use std::collections::BTreeMap;
use std::fmt;

use super::json::digits;

/// How many cells there may be at one moment, and how many a run may name.
pub const CELLS: usize = 1 << 20;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// `buf/f`: a buffer in a process.
    Buf,
    /// `page/ino/n`: a page of a file in the page cache.
    Page,
    /// `jbd/tid`: a transaction of the journal.
    Jbd,
    /// `q/n`: a request of the block layer.
    Q,
    /// `lba/n`: a block, as the drive shows it.
    Lba,
    /// `nand/b/p`: a page of an erase block.
    Nand,
}

impl Place {
    /// All, in the order in which they are written.
    pub const ALL: [Self; 6] = [Self::Buf, Self::Page, Self::Jbd, Self::Q, Self::Lba, Self::Nand];

    /// The word before the first `/`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buf => "buf",
            Self::Page => "page",
            Self::Jbd => "jbd",
            Self::Q => "q",
            Self::Lba => "lba",
            Self::Nand => "nand",
        }
    }

    /// Whether its cells have two numbers.
    const fn is_double(self) -> bool {
        matches!(self, Self::Page | Self::Nand)
    }
}

/// A named place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cell {
    /// What is there.
    pub place: Place,
    /// The inode or the erase block; 0 where one number is enough.
    pub of: u32,
    /// The last number.
    pub n: u32,
}

impl Cell {
    /// A place with one number.
    #[must_use]
    pub const fn one(place: Place, n: u32) -> Self {
        Self { place, of: 0, n }
    }

    /// A place with two.
    #[must_use]
    pub const fn two(place: Place, of: u32, n: u32) -> Self {
        Self { place, of, n }
    }

    fn plus(self, n: u32) -> Self {
        Self { n: self.n + n, ..self }
    }

    /// Reads a run of cells: the first, and how many. `None` for what is none; a place that is
    /// not known is [`Named::Other`].
    pub(super) fn parse(text: &str) -> Option<Named> {
        let (name, rest) = text.split_once('/')?;
        let Some(place) = Place::ALL.into_iter().find(|place| place.name() == name) else {
            return Some(Named::Other);
        };
        let (of, rest) = if place.is_double() { rest.split_once('/')? } else { ("0", rest) };
        let (first, last) = rest.split_once('-').unwrap_or((rest, rest));
        let (first, last) = (plain(first)?, plain(last)?);
        let len = last.checked_sub(first)?.checked_add(1)?;
        Some(Named::Run(Self { place, of: plain(of)?, n: first }, len))
    }

    /// Writes a run of cells.
    pub(super) fn write(self, len: u32, out: &mut String) {
        out.push_str(self.place.name());
        out.push('/');
        if self.place.is_double() {
            digits(out, u64::from(self.of));
            out.push('/');
        }
        digits(out, u64::from(self.n));
        if len > 1 {
            out.push('-');
            digits(out, u64::from(self.n) + u64::from(len) - 1);
        }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(1, &mut text);
        f.pad(&text)
    }
}

/// What a name of cells says.
pub(super) enum Named {
    Run(Cell, u32),
    /// A place that this version does not know.
    Other,
}

fn plain(text: &str) -> Option<u32> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok())?
}

/// What a cell holds: a state and a version. Nothing is [`Value::NONE`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    state: [u8; 8],
    /// Which content, or how much; 0 where that says nothing.
    pub ver: u32,
}

impl Value {
    /// Nothing.
    pub const NONE: Self = Self { state: [0; 8], ver: 0 };

    /// A state, of at most eight letters, and a version.
    #[must_use]
    pub const fn new(word: &str, ver: u32) -> Self {
        let mut state = [0; 8];
        let mut at = 0;
        while at < word.len() && at < 8 {
            state[at] = word.as_bytes()[at];
            at += 1;
        }
        Self { state, ver }
    }

    /// The state, as a word.
    #[must_use]
    pub fn state(&self) -> &str {
        let len = self.state.iter().position(|letter| *letter == 0).unwrap_or(8);
        std::str::from_utf8(&self.state[..len]).unwrap_or_default()
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The same version in another state.
    pub(super) fn turned(self, word: &str) -> Self {
        Self::new(word, self.ver)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        Span { first: *self, rises: false }.write(&mut text);
        f.pad(&text)
    }
}

/// The values of a run: the first, and whether their versions rise by one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: Value,
    pub(super) rises: bool,
}

impl Span {
    fn of(first: Value) -> Self {
        Self { first, rises: false }
    }

    pub(super) fn at(&self, n: u32) -> Value {
        let ver = if self.rises { self.first.ver.saturating_add(n) } else { self.first.ver };
        Value { ver, ..self.first }
    }

    /// Whether a value can be that behind the first `len`. The second decides whether they rise.
    fn takes(&mut self, len: u32, value: Value) -> bool {
        let next = Value { ver: self.first.ver.saturating_add(1), ..self.first };
        if len == 1 && self.first.ver > 0 && value == next {
            self.rises = true;
        }
        self.at(len) == value
    }

    pub(super) fn write(&self, out: &mut String) {
        out.push_str(self.first.state());
        if self.first.ver > 0 {
            digits(out, u64::from(self.first.ver));
        }
        if self.rises {
            out.push('+');
        }
    }

    /// Reads the values of a run.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (text, rises) = text.strip_suffix('+').map_or((text, false), |text| (text, true));
        let word = text.trim_end_matches(|letter: char| letter.is_ascii_digit());
        let number = &text[word.len()..];
        let ver = if number.is_empty() { 0 } else { plain(number).filter(|ver| *ver > 0)? };
        let letters = word.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !letters || word.len() > 8 || word.is_empty() && (ver > 0 || rises) {
            return None;
        }
        let first = Value::new(word, ver);
        (!rises || ver > 0).then_some(Self { first, rises })
    }
}

/// What a run of cells held before, and holds then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) cell: Cell,
    pub(super) len: u32,
    pub(super) old: Span,
    pub(super) new: Span,
}

impl Run {
    /// One cell.
    pub(super) fn one(cell: Cell, old: Value, new: Value) -> Self {
        Self { cell, len: 1, old: Span::of(old), new: Span::of(new) }
    }

    /// If the cell is the next of this run, it joins it.
    pub(super) fn takes(&mut self, cell: Cell, old: Value, new: Value) -> bool {
        let follows = self.cell.n.checked_add(self.len) == Some(cell.n)
            && (self.cell.place, self.cell.of) == (cell.place, cell.of);
        if !follows {
            return false;
        }
        let (mut olds, mut news) = (self.old, self.new);
        if !olds.takes(self.len, old) || !news.takes(self.len, new) {
            return false;
        }
        (self.old, self.new, self.len) = (olds, news, self.len + 1);
        true
    }

    /// Each cell, with what it held and holds.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = (Cell, Value, Value)> + use<> {
        let Self { cell, len, old, new } = *self;
        (0..len).map(move |n| (cell.plus(n), old.at(n), new.at(n)))
    }
}

/// What all cells hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cells(BTreeMap<Cell, Value>);

impl Cells {
    pub(super) fn get(&self, cell: Cell) -> Value {
        self.0.get(&cell).copied().unwrap_or_default()
    }

    /// Puts a value in a cell; what it held.
    pub(super) fn set(&mut self, cell: Cell, value: Value) -> Value {
        let old = if value.is_none() { self.0.remove(&cell) } else { self.0.insert(cell, value) };
        old.unwrap_or_default()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// All that hold something, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Cell, Value)> {
        self.0.iter().map(|(cell, value)| (*cell, *value))
    }

    /// Those of a kind of place, or of one inode or erase block of it.
    pub(super) fn of(&self, place: Place, of: Option<u32>) -> impl Iterator<Item = (Cell, Value)> {
        let from = Cell::two(place, of.unwrap_or(0), 0);
        let to = Cell::two(place, of.unwrap_or(u32::MAX), u32::MAX);
        self.0.range(from..=to).map(|(cell, value)| (*cell, *value))
    }
}
