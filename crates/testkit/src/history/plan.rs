//! What transactions are to do, and whose turn it is when: from a seed.
//!
//! Invariant: everything follows from the shape and the seed. What a program writes does not
//! depend on what it reads: what goes wrong shows in what was seen.

use std::ops::Bound;

use super::{Id, Item, Way};
use crate::refine::script::Dice;

/// How many of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Transactions of a plan.
    pub transactions: usize,
    /// So many are open at the same time, at most.
    pub at_once: usize,
    /// Keys of each keyspace: few, so that transactions meet.
    pub keys: u64,
    /// Keyspaces.
    pub spaces: u32,
}

/// The shapes that the suites run.
pub const SHAPES: [Shape; 4] = [
    Shape { transactions: 24, at_once: 3, keys: 4, spaces: 1 },
    Shape { transactions: 40, at_once: 5, keys: 8, spaces: 1 },
    Shape { transactions: 40, at_once: 4, keys: 6, spaces: 3 },
    Shape { transactions: 60, at_once: 8, keys: 24, spaces: 2 },
];

/// What transactions are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Each by its [`Id`].
    pub programs: Vec<Program>,
    /// Who does one step when, where there are no threads.
    pub turns: Vec<Turn>,
    /// Of which it was made.
    pub seed: u64,
}

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A program: begins, does one thing, or ends.
    Of(Id),
    /// The store itself does something in the background.
    Background(u64),
}

/// What one transaction is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// One after the other.
    pub steps: Vec<Do>,
    /// And then.
    pub end: Want,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Do {
    /// Read these keys, as one.
    Get(Vec<Item>),
    /// Walk.
    Scan(Ask),
    /// Give a key a value of about so many bytes.
    Put(Item, usize),
    /// Take a key away.
    Delete(Item),
}

/// A walk that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The keyspace.
    pub space: u32,
    /// Where it begins.
    pub lower: Bound<Vec<u8>>,
    /// Where it ends.
    pub upper: Bound<Vec<u8>>,
    /// From which end.
    pub way: Way,
    /// After so many keys it is left.
    pub limit: Option<usize>,
}

/// How a transaction is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Commit and wait.
    Commit,
    /// Commit; where there are no threads, others have turns between its LSN and its
    /// acknowledgement.
    CommitLate,
    /// Roll back.
    RollBack,
}

impl Plan {
    /// The plan of a seed.
    #[must_use]
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let mut make = Make { shape, dice: &mut dice };
        let programs: Vec<Program> = (0..shape.transactions).map(|_| make.program()).collect();
        let turns = turns(&programs, shape.at_once, &mut dice);
        Self { programs, turns, seed }
    }

    /// A plan for what goes on after others: its programs come behind so many that nobody runs.
    #[must_use]
    pub fn after(mut self, others: usize) -> Self {
        let nobody = Program { steps: Vec::new(), end: Want::RollBack };
        self.programs.splice(0..0, std::iter::repeat_n(nobody, others));
        for turn in &mut self.turns {
            if let Turn::Of(id) = turn {
                *id += others;
            }
        }
        self
    }

    /// As small a plan as still fails, by leaving out whole programs and then single steps. `fails`
    /// must answer the same for the same plan.
    #[must_use]
    pub fn shrink(mut self, fails: impl Fn(&Self) -> bool) -> Self {
        loop {
            let before = self.clone();
            for id in 0..self.programs.len() {
                let mut less = self.clone();
                less.turns.retain(|turn| *turn != Turn::Of(id));
                less.programs[id].steps.clear();
                self.take(less, &fails);
                for step in (0..self.programs[id].steps.len()).rev() {
                    let mut less = self.clone();
                    less.programs[id].steps.remove(step);
                    self.take(less, &fails);
                }
            }
            for at in (0..self.turns.len()).rev() {
                let mut less = self.clone();
                less.turns.remove(at);
                self.take(less, &fails);
            }
            if self == before {
                return self;
            }
        }
    }

    fn take(&mut self, less: Self, fails: &impl Fn(&Self) -> bool) {
        if less != *self && fails(&less) {
            *self = less;
        }
    }
}

/// Who has a turn when: each program as many as it needs, some at once.
fn turns(programs: &[Program], at_once: usize, dice: &mut Dice) -> Vec<Turn> {
    let needs = |program: &Program| {
        let ends = if program.end == Want::CommitLate { 2 } else { 1 };
        1 + program.steps.len() + ends
    };
    let mut waiting = programs.iter().map(needs).enumerate();
    let mut open: Vec<(Id, usize)> = Vec::new();
    let mut turns = Vec::new();
    loop {
        while open.len() < at_once {
            let Some(next) = waiting.next() else { break };
            open.push(next);
        }
        if open.is_empty() {
            return turns;
        }
        if dice.below(40) == 0 {
            turns.push(Turn::Background(dice.below(1 << 20)));
        }
        let at = index(dice.below(open.len() as u64));
        let (id, left) = &mut open[at];
        turns.push(Turn::Of(*id));
        *left -= 1;
        if *left == 0 {
            open.remove(at);
        }
    }
}

fn index(n: u64) -> usize {
    usize::try_from(n).unwrap_or(0)
}

struct Make<'a> {
    shape: Shape,
    dice: &'a mut Dice,
}

impl Make<'_> {
    /// One of the ways in which transactions get in each other's way.
    fn program(&mut self) -> Program {
        let (a, b, c) = (self.item(), self.item(), self.item());
        let get = |item: &Item| Do::Get(vec![item.clone()]);
        let steps = match self.dice.below(11) {
            // One adds to a counter, another carries from one to another.
            0 | 1 => vec![get(&a), self.put(&a)],
            2 => vec![get(&a), get(&b), self.put(&a), self.put(&b)],
            // What holds of two, by changing one.
            3 => vec![Do::Get(vec![a.clone(), b]), self.write(&a)],
            4 => vec![get(&a), self.write(&b)],
            // What holds of a stretch, by changing one in it.
            5 | 6 => {
                let ask = self.ask();
                let space = ask.space;
                vec![Do::Scan(ask), self.write(&Item { space, ..a })]
            }
            // Readers.
            7 => vec![get(&a), Do::Scan(self.ask()), get(&b), Do::Get(vec![c, a])],
            // Writers.
            8 => vec![self.write(&a), self.write(&b)],
            // Anything.
            _ => (0..2 + self.dice.below(8)).map(|_| self.anything()).collect(),
        };
        let end = match self.dice.below(12) {
            0 => Want::RollBack,
            1..=5 => Want::CommitLate,
            _ => Want::Commit,
        };
        Program { steps, end }
    }

    fn anything(&mut self) -> Do {
        let item = self.item();
        match self.dice.below(7) {
            0 | 1 => Do::Get(vec![item]),
            2 => Do::Get(vec![item, self.item(), self.item()]),
            3 | 4 => Do::Scan(self.ask()),
            _ => self.write(&item),
        }
    }

    fn write(&mut self, item: &Item) -> Do {
        if self.dice.below(4) == 0 { Do::Delete(item.clone()) } else { self.put(item) }
    }

    fn put(&mut self, item: &Item) -> Do {
        let len = if self.dice.below(8) == 0 { 300 + self.dice.below(3000) } else { 10 };
        Do::Put(item.clone(), index(len))
    }

    fn item(&mut self) -> Item {
        let space = u32::try_from(self.dice.below(u64::from(self.shape.spaces))).unwrap_or(0);
        Item::new(space, self.key())
    }

    fn key(&mut self) -> Vec<u8> {
        let n = self.dice.below(self.shape.keys);
        // Two letters, so that prefixes are shared.
        let letters =
            [b'a' + u8::try_from(n / 5).unwrap_or(25), b'a' + u8::try_from(n % 5).unwrap_or(0)];
        letters.to_vec()
    }

    fn ask(&mut self) -> Ask {
        let (mut low, mut high) = (self.key(), self.key());
        if low > high {
            std::mem::swap(&mut low, &mut high);
        }
        let (lower, upper) = match self.dice.below(8) {
            0 => (Bound::Unbounded, Bound::Unbounded),
            1 => (Bound::Unbounded, Bound::Excluded(high)),
            2 => (Bound::Excluded(low), Bound::Unbounded),
            // A prefix: one letter.
            3 => (Bound::Included(vec![low[0]]), Bound::Excluded(vec![low[0] + 1])),
            4 => (Bound::Excluded(low), Bound::Included(high)),
            // Maybe nothing can lie there.
            5 => (Bound::Included(high), Bound::Excluded(low)),
            _ => (Bound::Included(low), Bound::Excluded(high)),
        };
        let way = if self.dice.below(3) == 0 { Way::Down } else { Way::Up };
        let limit = (self.dice.below(3) == 0).then(|| 1 + index(self.dice.below(3)));
        Ask { space: self.item().space, lower, upper, way, limit }
    }
}
