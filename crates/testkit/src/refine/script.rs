//! Small scripts made by a seed: few files, few directories, so that calls meet.
//!
//! Invariant: a seed makes one script, and it parses.

use std::fmt::Write as _;

/// A source of numbers.
#[derive(Clone, Copy, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The numbers of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D)
    }

    /// One of `0..n`.
    pub fn below(&mut self, n: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n.max(1)
    }

    /// One of some things.
    pub fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap_or(0)]
    }
}

const FILES: [&str; 6] = ["a", "b", "d/a", "d/b", "e/a", "c"];
const DIRS: [&str; 3] = [".", "d", "e"];
const SIZES: [&str; 10] =
    ["1", "40", "100", "700", "4000", "4096", "4100", "8192", "10000", "40000"];
const PLACES: [&str; 8] = ["0", "1", "100", "512", "4095", "4096", "6000", "12288"];
const WAITS: [&str; 8] = ["1us", "30us", "300us", "2ms", "5ms", "1s", "6s", "36s"];

/// What a step writes; files that are there at first have other letters.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN";

/// How much a script does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Up to a dozen steps.
    Short,
    /// Enough to fill a small drive more than once.
    Long,
}

/// A script of a seed; `first` of a first life, with files that are there.
#[must_use]
pub fn script(seed: u64, length: Length, first: bool) -> String {
    let mut dice = Dice::new(seed);
    let mut text = if first { durable(&mut dice) } else { String::new() };
    let tasks = 1 + dice.below(3);
    let steps = match length {
        Length::Short => 2 + dice.below(11),
        Length::Long => 32 + dice.below(9),
    };
    for step in 0..steps {
        let task = dice.below(tasks);
        let letter = LETTERS[usize::try_from(step).unwrap_or(0) % LETTERS.len()];
        let line = line(&mut dice, char::from(letter));
        // Writing to a string cannot fail.
        writeln!(text, "@{} {line}", char::from(b'A' + u8::try_from(task).unwrap_or(0))).ok();
    }
    text
}

fn durable(dice: &mut Dice) -> String {
    let mut text = String::from("durable { mkdir d; mkdir e");
    for (at, file) in FILES.iter().enumerate() {
        if dice.below(2) == 0 {
            let size = dice.one(&SIZES);
            let letter = char::from(b'O' + u8::try_from(at).unwrap_or(0));
            // Writing to a string cannot fail.
            write!(text, "; {file} = \"{letter}\"*{size}").ok();
        }
    }
    text.push_str(" }\n");
    text
}

/// One line, whose bytes are this letter.
fn line(dice: &mut Dice, letter: char) -> String {
    let file = dice.one(&FILES);
    let other = dice.one(&FILES);
    let (size, place) = (dice.one(&SIZES), dice.one(&PLACES));
    match dice.below(34) {
        0..=3 => format!("open {file} create; write {file} \"{letter}\"*{size}; flush {file}"),
        4 => format!("open {file} create trunc; write {file} \"{letter}\"*{size}; close {file}"),
        5 => format!("open {file} create append; write {file} \"{letter}\"*{size}; flush {file}"),
        6 => format!(
            "open {file} create {}; pwrite {file} \"{letter}\"*{size} @{place}",
            dice.one(&["dsync", "sync"])
        ),
        7..=11 => format!("pwrite {file} \"{letter}\"*{size} @{place}"),
        12 => format!("setlen {file} {place}"),
        13 => format!("allocate {file} {size}"),
        14..=16 => format!("fsync {file}"),
        17..=19 => format!("fdatasync {file}"),
        20 | 21 => format!("fsyncdir {}", dice.one(&DIRS)),
        22 => "sync".to_owned(),
        23 | 24 => format!("rename {file} {other}"),
        25 => format!("link {file} {other}"),
        26 | 27 => format!("remove {file}"),
        28 => dice
            .one(&["mkdir d/f", "rmdir d/f", "mkdir e/f", "rename d/f e/f", "fsyncdir d/f"])
            .to_owned(),
        29 => format!("exchange {file} {other}"),
        30 => format!(
            "open {file} create; write {file} \"{letter}\"*{size}; flush {file}; fsync {file}; rename {file} {other}"
        ),
        _ => format!("wait {}", dice.one(&WAITS)),
    }
}
