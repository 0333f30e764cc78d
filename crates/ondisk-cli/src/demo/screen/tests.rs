//! The screen on sample figures, the widest there are.

use super::*;

fn sample() -> Demo {
    let outcome = |there, ext4| Outcome { there, ext4, machine: false };
    let all = [There::Gone, There::Empty, There::Zeros, There::Junk, There::Whole];
    let any: Vec<Outcome> = all.map(|there| outcome(there, there != There::Junk)).into();
    let lie = |program| Lie {
        program,
        kill: vec![outcome(There::Whole, true)],
        crash: any.clone(),
        cut: any.clone(),
    };
    let row = |mode, mode_in_full: &str, lost, skipped: Option<&'static str>| PowerCuts {
        mode,
        engine: "bitcask",
        mode_in_full: mode_in_full.to_owned(),
        at_risk: if mode == "sync" { Some(0) } else { None },
        model: "strict",
        control: skipped.is_some(),
        skipped,
        states: 123_456,
        acknowledged: 12_345_678,
        lost,
        worst: lost.min(99),
        broken: 0,
        cuts: 99,
    };
    let measured = |mode, committers| Measured {
        mode,
        committers,
        commits: 20_000,
        commits_per_s: 1_234_567,
        p50_us: 999,
        p99_us: 123_456,
        syncs: 20_000,
    };
    let modes = ["sync", "batch", "none"];
    let mut power_cuts: Vec<_> =
        modes.into_iter().flat_map(|mode| [(); 3].map(|()| row(mode, mode, 0, None))).collect();
    power_cuts.push(row("sync", "sync", 12_345_678, Some("fsync")));
    power_cuts.push(row("sync", "sync", 12_345_678, Some("dir fsync")));
    Demo {
        ondisk: "demo",
        v: 1,
        seed: u64::MAX.to_string(),
        lie: ["write", "+ flush", "+ close", "+ fsync", "+ fsync dir", "  drive lies"]
            .map(lie)
            .into(),
        power_cuts,
        kept: true,
        page: Some(format!("/tmp/ondisk-demo-{}.html", u64::MAX).into()),
        measured: modes.into_iter().flat_map(|mode| [1, 16].map(|n| measured(mode, n))).collect(),
    }
}

#[test]
fn the_screen_is_one_screen() {
    let screen = draw(&sample(), Path::new("/var/tmp"), Paint::plain());
    let widest = screen.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns:\n{screen}");
    assert!(screen.lines().count() <= 45, "too many lines:\n{screen}");
    assert!(screen.lines().all(|line| line.trim_end() == line));
}

#[test]
fn colour_has_no_width() {
    let (plain, painted) = (Paint::plain(), Paint::always());
    let strip = |text: &str| {
        let mut parts = text.split('\x1b');
        let first = parts.next().unwrap().to_owned();
        parts.fold(first, |text, part| text + part.split_once('m').unwrap().1)
    };
    let home = Path::new("/var/tmp");
    let painted = draw(&sample(), home, painted);
    assert!(painted.contains('\x1b'));
    assert_eq!(strip(&painted), draw(&sample(), home, plain));
}

#[test]
fn a_time_has_the_unit_that_suits_it() {
    assert_eq!(
        [time(7), time(999), time(1000), time(12_345)],
        ["7 us", "999 us", "1.0 ms", "12.3 ms"]
    );
}
