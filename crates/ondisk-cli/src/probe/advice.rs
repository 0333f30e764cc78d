//! What the figures of group commit advise: how many writers, how long a group, how many commits
//! under way for a program with one writer.
//!
//! Invariant: pure functions of the measurements. What comes first is advised: the least number
//! behind which nothing adds a tenth. Where that is the last number that was measured, it is said
//! that more may be better.

use std::cmp::Ordering;
use std::time::Duration;

use serde::Serialize;

use super::commits::Committed;
use super::measure::Measurement;
use super::verdict::duration;
use crate::table::thousands;

/// What adds less than this part is not worth its price: more threads, or a longer wait.
const PART: f64 = 0.1;

/// One recommendation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Advice {
    pub(super) name: Name,
    /// The number that is advised, of writers, bytes or commits; `null` where nothing was measured.
    pub(super) value: Option<u64>,
    /// Whether it is the last that was measured: then more may be better.
    pub(super) more_may_be_better: bool,
    /// It and its reason, for a person.
    pub(super) text: String,
}

/// What is advised on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Name {
    /// Threads that commit.
    Writers,
    /// The length of a group, in bytes.
    GroupBytes,
    /// Commits under way of one writer.
    InFlight,
}

/// What so many commits under way at once brought.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rate {
    /// Writers, or commits under way of one.
    count: u64,
    per_second: f64,
    p50: Duration,
}

/// What one durable write of so many bytes took.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Cost {
    bytes: u64,
    p50: Duration,
}

impl Cost {
    /// Nanoseconds for a byte.
    fn per_byte(self) -> f64 {
        per_byte(self.bytes, self.p50)
    }
}

/// Nanoseconds for a byte of a write that took so long.
pub(super) fn per_byte(bytes: u64, time: Duration) -> f64 {
    time.as_nanos() as f64 / bytes.max(1) as f64
}

/// All advice, in the order in which it is told.
pub(super) fn advice(committed: &[Committed], groups: &[Measurement]) -> [Advice; 3] {
    let rates = |one_each: bool| {
        let loads = committed
            .iter()
            .filter(move |it| if one_each { it.load.in_flight == 1 } else { it.load.writers == 1 });
        let rate = |it: &Committed| Rate {
            count: (it.load.writers * it.load.in_flight) as u64,
            per_second: it.per_second(),
            p50: it.percentile(50),
        };
        loads.map(rate).collect::<Vec<_>>()
    };
    let cost = |m: &Measurement| Cost { bytes: m.bytes() as u64, p50: m.percentile(50) };
    let costs: Vec<Cost> = groups.iter().map(cost).collect();
    [writers(&rates(true)), group_bytes(&costs), in_flight(&rates(false))]
}

/// From how many writers on more add nothing.
fn writers(rates: &[Rate]) -> Advice {
    let Some(near) = near_best(rates, |it| it.count, |it| it.per_second) else {
        return nothing(Name::Writers, "no commit was measured");
    };
    let Rate { count, per_second, p50 } = near.first;
    let made = format!("{count}: {} commits/s at a p50 of {}", whole(per_second), duration(p50));
    let text = if near.at_end {
        format!("{made}, the most; more writers may add still")
    } else if near.best.count == count {
        format!("{made}, the most; more writers add nothing")
    } else {
        let Rate { count: best, per_second: most, p50: then } = near.best;
        let most = whole(most);
        format!(
            "{made}; more writers add less than 10 % (the most was {most} commits/s, by {best} at \
             a p50 of {})",
            duration(then)
        )
    };
    near.advise(Name::Writers, count, text)
}

/// From which length on a byte of a group is about as cheap as it gets.
fn group_bytes(costs: &[Cost]) -> Advice {
    // By the inverse of the cost: of a write that took no time it is no number.
    let Some(near) = near_best(costs, |it| it.bytes, |it| it.per_byte().recip()) else {
        return nothing(Name::GroupBytes, "no durable write was measured");
    };
    let (first, best) = (near.first, near.best);
    let shortest = costs.iter().min_by_key(|it| it.bytes).filter(|it| it.bytes < first.bytes);
    let against = shortest.map(|it| format!(" ({} at {})", nanos(*it), size(it.bytes)));
    let against = against.unwrap_or_default();
    let costs_here = format!("{}: a byte costs {}{against}", size(first.bytes), nanos(first));
    let text = if near.at_end {
        format!("{costs_here}, the least; in a longer group it may cost less still")
    } else if best.bytes == first.bytes {
        format!("{costs_here}, the least; a longer group gains nothing")
    } else {
        format!(
            "{costs_here}; a longer group gains less than 10 % (the least was {} at {})",
            nanos(best),
            size(best.bytes)
        )
    };
    near.advise(Name::GroupBytes, first.bytes, text)
}

/// What a single writer gets when it waits for each commit, and when it does not.
fn in_flight(rates: &[Rate]) -> Advice {
    let one = rates.iter().find(|it| it.count == 1);
    let near = near_best(rates, |it| it.count, |it| it.per_second);
    let Some((one, near)) = one.zip(near) else {
        return nothing(Name::InFlight, "no commit of a single writer was measured");
    };
    let Rate { count, per_second, p50 } = near.first;
    let (cost, rate) = (duration(one.p50), whole(one.per_second));
    let waits =
        format!("a commit costs {cost} at p50, so who waits for each makes {rate} a second");
    let text = if count == 1 {
        format!("{waits}; more in flight add nothing")
    } else {
        let more = if near.at_end { "; more may add still" } else { "" };
        format!(
            "{waits}; pipeline {count} with `begin` or `commit_later` to reach {}, at a p50 of \
             {}{more}",
            whole(per_second),
            duration(p50)
        )
    };
    near.advise(Name::InFlight, count, text)
}

/// Where nothing was measured nothing is advised.
fn nothing(name: Name, why: &str) -> Advice {
    Advice { name, value: None, more_may_be_better: false, text: why.to_owned() }
}

/// The point that is advised, and the one that is best.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Near<T> {
    /// The first that no other betters by [`PART`].
    first: T,
    /// The best; of equals the first.
    best: T,
    /// `first` is the last that was measured.
    at_end: bool,
}

impl<T> Near<T> {
    fn advise(&self, name: Name, value: u64, text: String) -> Advice {
        Advice { name, value: Some(value), more_may_be_better: self.at_end, text }
    }
}

/// The point of the least `count` that no other betters by [`PART`]; `None` without points.
/// Their order is no matter. A point whose `good` is no number above 0 was not measured.
fn near_best<T: Copy>(
    points: &[T],
    count: impl Fn(&T) -> u64,
    good: impl Fn(&T) -> f64,
) -> Option<Near<T>> {
    let mut points: Vec<(u64, f64, T)> = points
        .iter()
        .map(|point| (count(point), good(point), *point))
        .filter(|(_, good, _)| good.is_finite() && *good > 0.0)
        .collect();
    points.sort_by_key(|(count, ..)| *count);
    let better = |a: f64, b: f64| a.partial_cmp(&b).unwrap_or(Ordering::Equal);
    let best = points.iter().rev().max_by(|a, b| better(a.1, b.1))?;
    let first = points.iter().find(|(_, good, _)| best.1 <= good * (1.0 + PART))?;
    let last = points.last()?;
    Some(Near { first: first.2, best: best.2, at_end: first.0 == last.0 })
}

/// A rate without a fraction.
pub(super) fn whole(per_second: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates, and a rate is not below 0"
    )]
    thousands(per_second.round() as u64)
}

/// What a byte costs, for a person.
fn nanos(cost: Cost) -> String {
    format!("{} ns", three_digits(cost.per_byte()))
}

/// A number with the digits that matter.
pub(super) fn three_digits(number: f64) -> String {
    match number {
        100.0.. => format!("{number:.0}"),
        10.0.. => format!("{number:.1}"),
        _ => format!("{number:.2}"),
    }
}

/// Bytes in the unit that suits them.
pub(super) fn size(bytes: u64) -> String {
    let (kib, mib) = (1 << 10, 1 << 20);
    if bytes >= mib && bytes.is_multiple_of(mib) {
        format!("{} MiB", bytes / mib)
    } else if bytes >= kib && bytes.is_multiple_of(kib) {
        format!("{} KiB", bytes / kib)
    } else {
        format!("{bytes} bytes")
    }
}

#[cfg(test)]
mod tests;
