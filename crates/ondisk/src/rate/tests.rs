//! What a bucket lets through, at times that the test says.

use super::*;

const EASE: u32 = 0;

fn rate(bytes_per_second: u64) -> Rate {
    Rate::new(NonZeroU64::new(bytes_per_second).unwrap(), Duration::ZERO)
}

/// Reclaims without a rest until a time, in up to 1000 steps that write `of(n)` bytes; when each was
/// begun, and what it wrote.
fn run(
    rate: &mut Rate,
    from: Duration,
    until: Duration,
    of: impl Fn(u64) -> u64,
) -> Vec<(Duration, u64)> {
    let (mut now, mut steps) = (from, Vec::new());
    loop {
        now += rate.wait(now, EASE);
        if now >= until || steps.len() == 1000 {
            return steps;
        }
        let bytes = of(steps.len() as u64);
        rate.spent(bytes);
        steps.push((now, bytes));
    }
}

/// Checks every stretch of time between two steps.
fn check(steps: &[(Duration, u64)], per_second: u64, burst: u64) {
    for (at, (begin, _)) in steps.iter().enumerate() {
        let mut written = 0;
        for (end, bytes) in &steps[at..] {
            written += bytes;
            let nanos = (*end - *begin).as_nanos() + 1;
            let allowed = u128::from(per_second) * nanos / 1_000_000_000 + 1;
            assert!(u128::from(written) <= allowed + u128::from(burst), "{begin:?} {end:?}");
        }
    }
}

#[test]
fn within_any_time_no_more_is_written_than_the_rate_and_the_burst() {
    for per_second in [1, 1000, 64 << 10, 3 << 20, 200 << 20, u64::MAX / 2] {
        let mut rate = rate(per_second);
        let (piece, burst) = (rate.piece(), rate.burst());
        let long = Duration::from_secs(1 + 20 * piece / per_second);
        let steps = run(&mut rate, Duration::ZERO, long, |n| piece - (n * 7919) % piece);
        check(&steps, per_second, burst);
        assert!(steps.len() > 15, "{per_second}: {steps:?}");
    }
}

#[test]
fn all_that_the_rate_allows_can_be_used() {
    let mut rate = rate(10 << 20);
    let (piece, second) = (rate.piece(), Duration::from_secs(1));
    let steps = run(&mut rate, Duration::ZERO, second * 30, |_| piece);
    let written: u64 = steps.iter().map(|step| step.1).sum();
    assert!((300 << 20..(300 << 20) + rate.burst()).contains(&written), "{written}");
}

#[test]
fn however_often_it_is_asked_nothing_is_lost() {
    let (mut asked, mut left, late) = (rate(7), rate(7), Duration::from_secs(100));
    for rate in [&mut asked, &mut left] {
        rate.spent(10 * rate.burst());
    }
    for millis in 0..100_000 {
        assert!(!asked.wait(Duration::from_millis(millis), EASE).is_zero());
    }
    let wait = asked.wait(late, EASE);
    assert_eq!(wait, left.wait(late, EASE));
    assert_eq!(asked.wait(late + wait, EASE), Duration::ZERO);
}

#[test]
fn a_rest_saves_up_no_more_than_the_burst() {
    let mut rate = rate(8 << 20);
    let (piece, burst) = (rate.piece(), rate.burst());
    let late = Duration::from_secs(100_000);
    let at_once = run(&mut rate, late, late + Duration::from_nanos(1), |_| piece);
    assert_eq!(at_once.iter().map(|step| step.1).sum::<u64>(), burst / piece * piece);
}

#[test]
fn what_a_step_writes_beyond_its_piece_is_owed() {
    let mut rate = rate(1 << 20);
    let second = Duration::from_secs(1);
    rate.spent(rate.burst() + (10 << 20));
    let piece = second * u32::try_from(rate.piece()).unwrap() / (1 << 20);
    assert_eq!(rate.wait(Duration::ZERO, EASE), 10 * second + piece);
    assert_eq!(rate.wait(4 * second, EASE), 6 * second + piece);
    assert_eq!(rate.wait(10 * second + piece, EASE), Duration::ZERO);
    // A clock that goes back gives nothing, and takes nothing.
    rate.spent(1 << 20);
    let wait = rate.wait(20 * second, EASE);
    assert_eq!(rate.wait(10 * second, EASE), wait);
}

#[test]
fn the_nearer_writers_are_to_being_slowed_the_less_is_held_back() {
    let second = Duration::from_secs(1);
    let wait = |pressure| {
        let mut rate = rate(1 << 20);
        rate.spent(rate.burst() - rate.piece() + (64 << 20));
        rate.wait(Duration::ZERO, pressure)
    };
    assert_eq!(wait(0), 64 * second);
    assert_eq!(wait(SLOWED / 2), 32 * second);
    let waits: Vec<_> = (0..=SLOWED).map(wait).collect();
    assert!(waits.windows(2).all(|pair| pair[1] < pair[0]), "{waits:?}");
    assert!(waits[SLOWED as usize - 1] < second / 4);
    assert!((SLOWED..=1000).all(|pressure| wait(pressure).is_zero()));
    // What was written then is not owed afterwards.
    let mut rate = rate(1);
    rate.spent(1 << 40);
    assert_eq!(rate.wait(second, SLOWED), Duration::ZERO);
    assert_eq!(rate.wait(second, EASE), Duration::ZERO);
}
