//! A case that is outside, made small.
//!
//! Invariant: what is given back is outside too, and no line of it can be left out alone.

use super::Case;

impl Case {
    /// A smaller case that the model refuses as well; itself where it refuses nothing.
    #[must_use]
    pub fn shrunk(mut self) -> Self {
        while self.smaller() {}
        self
    }

    /// Leaves out what can be left out, once from the end to the start; whether anything could.
    fn smaller(&mut self) -> bool {
        let before = self.lines();
        for life in (0..self.lives.len()).rev() {
            if self.lives.len() > 1 {
                self.without(|lives| drop(lives.remove(life)));
            }
        }
        for life in 0..self.lives.len() {
            let mut size = self.lives[life].lines().count() / 2;
            while size > 0 {
                for at in (0..self.lives[life].lines().count()).rev() {
                    self.without(|lives| lives[life] = without_lines(&lives[life], at, size));
                }
                size /= 2;
            }
            for at in (0..self.lives[life].split("; ").count()).rev() {
                self.without(|lives| lives[life] = without_call(&lives[life], at));
            }
        }
        self.lines() < before
    }

    fn lines(&self) -> usize {
        let calls = |life: &String| life.lines().count() + life.matches("; ").count();
        self.lives.iter().map(calls).sum::<usize>() + self.lives.len()
    }

    /// Tries a change, and keeps it where the case stays outside.
    fn without(&mut self, change: impl FnOnce(&mut Vec<String>)) {
        let mut lives = self.lives.clone();
        change(&mut lives);
        let other = Self { lives, ..self.clone() };
        if other.lives != self.lives && other.run().is_err_and(|why| why.contains("\nimage: ")) {
            *self = other;
        }
    }
}

fn without_lines(text: &str, at: usize, size: usize) -> String {
    let kept = text.lines().enumerate().filter(|(n, _)| !(at..at + size).contains(n));
    kept.flat_map(|(_, line)| [line, "\n"]).collect()
}

/// The text without the call that stands behind the so many `; `, up to the next.
fn without_call(text: &str, at: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut seen = 0;
    for line in text.lines() {
        let calls: Vec<&str> = line.split("; ").collect();
        let mut kept: Vec<&str> = Vec::new();
        for call in &calls {
            let is_last_of_block = call.contains('}') || call.contains('{');
            if seen != at || calls.len() == 1 || is_last_of_block {
                kept.push(call);
            }
            seen += 1;
        }
        let mut line = kept.join("; ");
        // Who does a line's calls stands in front of the first.
        let task = calls.first().and_then(|first| first.split_once(' ')).map(|(task, _)| task);
        if let Some(task) = task.filter(|task| task.starts_with('@') && !line.starts_with('@')) {
            line = format!("{task} {line}");
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}
