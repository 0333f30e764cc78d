//! Who decides what a power cut left, question by question.
//!
//! Invariant: a chooser is asked only where there are two answers or more, always in an order
//! that its own answers determine; so a list of answers replays a state exactly.
//!
//! Knows nothing of what an answer means: it sees the question's place and how many answers
//! there are, the oldest content first.

use super::digest::mix2;
use super::history::Ino;

/// A question about the media. The answers go from the oldest content to the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// What a name in this directory stands for.
    Name {
        /// The directory.
        dir: Ino,
    },
    /// How long a file is.
    Len {
        /// The file.
        ino: Ino,
    },
    /// Whether a block is torn: 0 for no, 1 for yes.
    Torn {
        /// The file.
        ino: Ino,
        /// The number of the block.
        block: u32,
    },
    /// Which content a block has.
    Block {
        /// The file.
        ino: Ino,
        /// The number of the block.
        block: u32,
    },
    /// Which content a sector of a torn block has.
    Sector {
        /// The file.
        ino: Ino,
        /// The number of the block.
        block: u32,
        /// The number of the sector in it, 0 to 7.
        sector: u8,
    },
}

/// Somebody who decides.
pub trait Chooser: Send {
    /// One of `0..answers`, which are at least two; a larger number counts as the last.
    fn pick(&mut self, question: Question, answers: u32) -> u32;
}

/// Decides always for the oldest content, and tears nothing. What was there before a new block was
/// written is older than the zeros that it may show.
#[derive(Clone, Copy, Debug, Default)]
pub struct Oldest;

impl Chooser for Oldest {
    fn pick(&mut self, _: Question, _: u32) -> u32 {
        0
    }
}

/// Decides always for the newest content, and tears nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Newest;

impl Chooser for Newest {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        match question {
            Question::Torn { .. } => 0,
            _ => answers - 1,
        }
    }
}

/// Decides by chance, the same for the same seed.
#[derive(Clone, Copy, Debug)]
pub struct Seeded {
    seed: u64,
    picks: u64,
}

impl Seeded {
    /// Of a seed; neighbouring ones share nothing.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { seed, picks: 0 }
    }
}

impl Chooser for Seeded {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        self.picks += 1;
        let drawn = mix2(self.seed, self.picks);
        let answer = u32::try_from(((drawn >> 32) * u64::from(answers)) >> 32).unwrap_or(0);
        match question {
            // A torn block has many shapes, a whole one few: one in four is plenty.
            Question::Torn { .. } => u32::from(drawn.is_multiple_of(4)),
            _ => answer,
        }
    }
}

/// Decides for one end of every chain, and tears nothing; names and lengths may be of one end
/// and contents of the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// Whether names and lengths are the newest; else the oldest.
    pub(crate) newest_names: bool,
    /// Which contents blocks have: this one, or the newest where there are fewer.
    pub(crate) content: u32,
}

impl Chooser for Ends {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        match question {
            Question::Torn { .. } => 0,
            Question::Block { .. } | Question::Sector { .. } => self.content.min(answers - 1),
            Question::Name { .. } | Question::Len { .. } if self.newest_names => answers - 1,
            Question::Name { .. } | Question::Len { .. } => 0,
        }
    }
}

/// Tears one block, and lets another decide the rest.
#[derive(Clone, Debug)]
pub(crate) struct TearOne<C> {
    /// Which of the blocks that could be torn, in the order in which they are asked for.
    pub(crate) nth: u32,
    /// Bit n: whether sector n has the newest content; else the oldest.
    pub(crate) newest: u8,
    pub(crate) rest: C,
    torn: Option<(Ino, u32)>,
    asked: u32,
}

impl<C> TearOne<C> {
    pub(crate) const fn new(nth: u32, newest: u8, rest: C) -> Self {
        Self { nth, newest, rest, torn: None, asked: 0 }
    }
}

impl<C: Chooser> Chooser for TearOne<C> {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        match question {
            Question::Torn { ino, block } => {
                let torn = self.asked == self.nth;
                self.asked += 1;
                if torn {
                    self.torn = Some((ino, block));
                }
                u32::from(torn)
            }
            Question::Sector { sector, .. } => match (self.newest >> sector) & 1 {
                0 => 0,
                _ => answers - 1,
            },
            _ => self.rest.pick(question, answers),
        }
    }
}

/// One answer that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// To what.
    pub question: Question,
    /// How many there were.
    pub of: u32,
    /// Which it was.
    pub picked: u32,
}

/// Replays a list of answers, then lets another decide, and keeps what was answered.
pub(crate) struct Recorder {
    prefix: Vec<u32>,
    rest: Box<dyn Chooser>,
    pub(crate) answers: Vec<Answer>,
}

impl Recorder {
    pub(crate) fn new(prefix: Vec<u32>, rest: Box<dyn Chooser>) -> Self {
        Self { prefix, rest, answers: Vec::new() }
    }

    /// The answer to a question; without a question where there is only one.
    pub(crate) fn decide(&mut self, question: Question, answers: usize) -> usize {
        if answers < 2 {
            return 0;
        }
        let of = u32::try_from(answers).unwrap_or(u32::MAX);
        let picked = match self.prefix.get(self.answers.len()) {
            Some(picked) => *picked,
            None => self.rest.pick(question, of),
        };
        let picked = picked.min(of - 1);
        self.answers.push(Answer { question, of, picked });
        picked as usize
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recorder({} answers)", self.answers.len())
    }
}
