//! The crash states that show every kind of content that a file may have.
//!
//! A file of a thousand blocks has more states than can be looked at, and most of them are alike
//! to a reader: some mixture. So all names are tried, with the ends of each range of lengths, and
//! the blocks answer all alike: the oldest content each, the second, the third, the newest. What
//! lies between is left to the search that the checks use.
//!
//! Invariant: the states shown are the model's own; the sweep only says which.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ops::chooser::{Chooser, Question};
use crate::ops::crash::Cut;
use crate::ops::crash_fs::CrashFs;

/// The most states of one sweep.
const LIMIT: usize = 1024;

/// Which content all blocks have: so many from the oldest, where there are so many.
const CONTENTS: [u32; 4] = [0, 1, 2, u32::MAX];

/// Shows a file in one state after the other.
pub(super) fn sweep(cut: &Cut<'_>, show: &mut dyn FnMut(&CrashFs)) {
    for content in CONTENTS {
        let mut picks = Vec::new();
        for _ in 0..LIMIT / CONTENTS.len() {
            let asked = Arc::new(Mutex::new(Asked { picks, next: 0 }));
            let fs = cut.state(Box::new(Alike { content, asked: Arc::clone(&asked) }));
            show(&fs);
            picks = std::mem::take(&mut lock(&asked).picks);
            // The next in the order of the answers: the last that has another one goes on.
            while picks.last().is_some_and(|(pick, last)| pick == last) {
                picks.pop();
            }
            match picks.last_mut() {
                Some((pick, _)) => *pick += 1,
                None => break,
            }
        }
    }
}

/// The answers about names and lengths, each with the last that there is.
struct Asked {
    picks: Vec<(u32, u32)>,
    next: usize,
}

/// Answers about names and lengths as it is told to, and about all blocks alike.
struct Alike {
    content: u32,
    asked: Arc<Mutex<Asked>>,
}

impl Chooser for Alike {
    fn pick(&mut self, question: Question, answers: u32) -> u32 {
        let last = answers - 1;
        match question {
            Question::Name { .. } => lock(&self.asked).answer(last),
            Question::Len { .. } => {
                // The lengths at either end, and their neighbours.
                let ends = [0, 1, last.saturating_sub(1), last];
                let ends: Vec<u32> = ends.into_iter().take(answers as usize).collect();
                let pick = lock(&self.asked).answer(u32::try_from(ends.len()).unwrap_or(1) - 1);
                ends.get(pick as usize).copied().unwrap_or(last)
            }
            Question::Torn { .. } => 0,
            Question::Block { .. } | Question::Sector { .. } => self.content.min(last),
        }
    }
}

impl Asked {
    /// The next answer, the first one where nothing else was said.
    fn answer(&mut self, last: u32) -> u32 {
        if self.next == self.picks.len() {
            self.picks.push((0, last));
        }
        let pick = self.picks.get(self.next).map_or(0, |(pick, _)| *pick);
        self.next += 1;
        pick.min(last)
    }
}

fn lock(asked: &Mutex<Asked>) -> MutexGuard<'_, Asked> {
    asked.lock().unwrap_or_else(PoisonError::into_inner)
}
