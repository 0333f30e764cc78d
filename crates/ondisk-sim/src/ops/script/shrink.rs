//! A smaller script that does what a larger one did, found by leaving steps out.
//!
//! Invariant: what is given back was asked about and did it, and each of its steps was asked about
//! too: without any one of them it does not, unless the number of questions ran out.
//!
//! Knows nothing of what is asked.

use super::{Act, Script, Step};

/// Who is asked, and how often more.
struct Judge<'a> {
    left: u32,
    is: &'a mut dyn FnMut(&Script) -> bool,
}

impl Judge<'_> {
    fn asks(&mut self, script: &Script) -> bool {
        let Some(left) = self.left.checked_sub(1) else { return false };
        self.left = left;
        (self.is)(script)
    }
}

impl Script {
    /// The smallest script found of which something is true that is true of this one, by leaving
    /// out steps, halves of them first, and by running what repeats less often. `is` is asked at
    /// most so many times. Where it is not true of this one, this one.
    #[must_use]
    pub fn shrink(&self, questions: u32, is: &mut dyn FnMut(&Self) -> bool) -> Self {
        let mut judge = Judge { left: questions, is };
        let mut best = self.clone();
        if !judge.asks(&best) {
            return best;
        }
        loop {
            let before = best.clone();
            drop_items(&mut best, &mut judge, &|script| &mut script.steps);
            drop_items(&mut best, &mut judge, &|script| &mut script.durable);
            open_repeats(&mut best, &mut judge);
            if best == before || judge.left == 0 {
                return best;
            }
        }
    }
}

/// Leaves out items of a list, in ever smaller pieces.
fn drop_items<T: Clone>(
    best: &mut Script,
    judge: &mut Judge<'_>,
    list: &dyn Fn(&mut Script) -> &mut Vec<T>,
) {
    let mut piece = list(best).len();
    while piece > 0 {
        let mut from = 0;
        while from < list(best).len() {
            let mut smaller = best.clone();
            let items = list(&mut smaller);
            let end = (from + piece).min(items.len());
            items.drain(from..end);
            if judge.asks(&smaller) {
                *best = smaller;
            } else {
                from += piece;
            }
        }
        piece /= 2;
    }
}

/// Puts the steps of a `repeat` in its place, once or twice; else repeats them less often.
fn open_repeats(best: &mut Script, judge: &mut Judge<'_>) {
    let mut at = 0;
    while let Some(step) = best.steps.get(at).cloned() {
        let Act::Repeat { times, steps } = &step.act else {
            at += 1;
            continue;
        };
        let twice = steps.iter().chain(steps).cloned().collect();
        let fewer = Act::Repeat { times: times / 2, steps: steps.clone() };
        let fewer = vec![Step { act: fewer, ..step.clone() }];
        let ways = [(1, steps.clone()), (2, twice), (4, fewer)];
        let possible = ways.into_iter().filter(|(least, _)| least <= times);
        let found = possible.into_iter().find_map(|(_, instead)| {
            let mut smaller = best.clone();
            smaller.steps.splice(at..=at, instead);
            judge.asks(&smaller).then_some(smaller)
        });
        match found {
            Some(smaller) => *best = smaller,
            None => at += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::model::EXT4;
    use crate::ops::script::Drive;
    use crate::ops::{Budget, Model};

    /// Whether a script may leave zeros, or the old content, where it wrote the new.
    fn may_be_zeros(script: &Script, model: &Model) -> bool {
        let Ok(run) = script.run(Drive::Honest) else { return false };
        let told = run.tell(&[*model], Budget::default());
        let says =
            |line: &str| ["  config = ", "zeros 2", "\"v1\""].iter().all(|it| line.contains(it));
        told.lines().any(says)
    }

    #[test]
    fn a_story_is_told_in_its_fewest_steps() {
        let long = "durable { config = \"v1\"; other = \"x\"; mkdir d }\n\
            open noise create; repeat 5 { write noise \"n\"; flush noise }; fsync noise\n\
            open config.new create; write config.new \"v2\"; flush config.new; ack \"no\"\n\
            rename other d/other; rename config.new config; mkdir e; write other \"y\"\n\
            cut";
        let long = Script::parse(long).unwrap();
        let mut asked = 0;
        let short = long.shrink(500, &mut |script| {
            asked += 1;
            may_be_zeros(script, &EXT4)
        });
        assert!(may_be_zeros(&short, &EXT4));
        assert_eq!(
            short.to_string(),
            "durable { config = \"v1\" }\n\
             open config.new create\n\
             write config.new \"v2\"\n\
             flush config.new\n\
             rename config.new config\n\
             cut\n"
        );
        assert!(asked < 200, "{asked}");
        for at in 0..short.steps.len() {
            let mut shorter = short.clone();
            shorter.steps.remove(at);
            assert!(!may_be_zeros(&shorter, &EXT4), "step {at} is not needed");
        }
    }

    #[test]
    fn a_repeat_is_opened_and_questions_are_counted() {
        let script = Script::parse("repeat 100 { write f \"a\"; flush f }; cut").unwrap();
        let writes = |script: &Script| script.run_bytes() >= 2;
        let short = script.shrink(1000, &mut |script| writes(script));
        assert_eq!(short.to_string(), "write f \"a\"\nwrite f \"a\"\n");
        let mut asked = 0;
        let same = script.shrink(0, &mut |_| {
            asked += 1;
            true
        });
        assert_eq!((same, asked), (script.clone(), 0));
        assert_eq!(script.shrink(10, &mut |_| false), script);
    }
}
