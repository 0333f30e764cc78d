//! Who decides what is left to chance: the next task, and what a death leaves of what was on
//! its way.
//!
//! Invariant: the same answers give the same run. A layer's own draws come from a stream of its
//! own, so a new draw in one shifts no other.

use super::event::Layer;
use super::ids::Lba;
use crate::ops::digest::{mix, mix2};

/// What is to be decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// Which of the tasks that can go on is next.
    Task,
    /// Whether a block in the drive's cache, not yet in flash, survives: 0 no, 1 yes.
    Cached(Lba),
    /// Whether a block of a command that was under way reached the drive: 0 no, 1 yes.
    InFlight(Lba),
    /// How many of its eight sectors a block that was being written has new, from the first on:
    /// 0 to 8.
    Torn(Lba),
}

/// Somebody who decides.
pub trait Chooser {
    /// One of `0..answers`; a larger number counts as the last.
    fn pick(&mut self, at: Choice, answers: u32) -> u32;
}

/// Decides always for the first answer: nothing that could be lost survives.
#[derive(Clone, Copy, Debug, Default)]
pub struct First;

impl Chooser for First {
    fn pick(&mut self, _: Choice, _: u32) -> u32 {
        0
    }
}

/// Decides always for the last answer: all that could survive does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Last;

impl Chooser for Last {
    fn pick(&mut self, _: Choice, answers: u32) -> u32 {
        answers - 1
    }
}

/// Decides by a seed.
#[derive(Clone, Copy, Debug)]
pub struct Seeded(u64);

impl Seeded {
    /// The decisions of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(mix(seed))
    }
}

impl Chooser for Seeded {
    fn pick(&mut self, _: Choice, answers: u32) -> u32 {
        self.0 = self.0.wrapping_add(GOLDEN);
        below(mix(self.0), answers)
    }
}

/// A number below `n` from 64 random bits.
fn below(bits: u64, n: u32) -> u32 {
    u32::try_from(((bits >> 32) * u64::from(n)) >> 32).unwrap_or(0)
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// Chance for the layers, a stream each.
#[derive(Clone, Debug)]
pub struct Stream {
    at: [u64; 8],
}

impl Stream {
    /// The streams of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let layers = [0, 1, 2, 3, 4, 5, 6, 7];
        Self { at: layers.map(|layer| mix2(mix(seed), layer)) }
    }

    /// One of `0..n`.
    pub fn below(&mut self, layer: Layer, n: u32) -> u32 {
        let at = &mut self.at[layer as usize];
        *at = at.wrapping_add(GOLDEN);
        below(mix(*at), n)
    }
}
