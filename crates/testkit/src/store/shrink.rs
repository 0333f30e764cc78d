//! A story that shows something, made small.
//!
//! Invariant: what is given back shows it too.

use super::story::{Event, Story};

/// How often a shorter story is tried, at most.
const TRIES: u32 = 600;

/// The shortest story found that `shows` says yes to: events are left out, halves first, then one
/// by one, then operations of commits.
pub fn shrink(story: &Story, shows: &mut dyn FnMut(&Story) -> bool) -> Story {
    let mut best = story.clone();
    let mut left = TRIES;
    let mut size = best.events.len().div_ceil(2);
    while size > 0 && left > 0 {
        let mut at = best.events.len();
        let mut shorter = false;
        while at > 0 && left > 0 {
            let from = at.saturating_sub(size);
            let mut events = best.events.clone();
            events.drain(from..at);
            left -= 1;
            let other = Story { events, ..best.clone() };
            if shows(&other) {
                best = other;
                shorter = true;
            }
            at = from;
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    without_operations(&mut best, left, shows);
    best
}

fn without_operations(best: &mut Story, mut left: u32, shows: &mut dyn FnMut(&Story) -> bool) {
    for n in 0..best.events.len() {
        let mut at = 0;
        while left > 0 {
            let mut other = best.clone();
            match &mut other.events[n] {
                Event::Commit(ops, _) if at < ops.len() => drop(ops.remove(at)),
                Event::Pipeline(batches, ..) if at < batches.len() && batches.len() > 1 => {
                    drop(batches.remove(at));
                }
                _ => break,
            }
            left -= 1;
            if shows(&other) {
                *best = other;
            } else {
                at += 1;
            }
        }
    }
}
