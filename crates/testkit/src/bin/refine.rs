//! A longer campaign of refinement: case after case of the layered machine, every death held against
//! the operations level.
//!
//! `refine [--from N] [--cases N] [--jobs N] [--keep-going]`: prints what it looked at, and exits 1
//! at the first image that its model does not allow, with the case that shows it. `refine --case N` runs one and shows
//! its script; `refine --shrink N` makes one that is outside small; `refine --canaries` says which case notices which planted mistake of the machine.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use testkit::refine::{Case, Seen};

const USAGE: &str = "usage: refine [--from N] [--cases N] [--jobs N] [--keep-going] [--canaries] | --case N | --shrink N";

fn main() -> ExitCode {
    let (mut from, mut cases, mut jobs, mut one) = (1_u64, 100_000_u64, 2_u64, None);
    let (mut keep_going, mut canaries) = (false, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--canaries" {
            canaries = true;
            continue;
        }
        if name == "--keep-going" {
            keep_going = true;
            continue;
        }
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (&name[..], value) {
            ("--from", Some(value)) => from = value,
            ("--cases", Some(value)) => cases = value,
            ("--jobs", Some(value)) => jobs = value,
            ("--case", Some(value)) => one = Some(Case::of(value)),
            ("--shrink", Some(value)) => one = Some(Case::of(value).shrunk()),
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    if canaries {
        for mistake in testkit::refine::MISTAKES {
            let caught = (from..from + cases).find_map(|number| {
                let why = Case::of(number).with(mistake).run().err()?;
                Some((number, why.lines().next().unwrap_or_default().to_owned()))
            });
            println!("{mistake:?}: {caught:?}");
        }
        return ExitCode::SUCCESS;
    }
    if let Some(case) = one {
        println!("{}{:#?}", case.lives.join("--- then\n"), case.config);
        return match case.run() {
            Ok(seen) => {
                println!("{seen:?}");
                ExitCode::SUCCESS
            }
            Err(why) => {
                println!("{why}");
                ExitCode::from(1)
            }
        };
    }
    campaign(from, cases, jobs, keep_going)
}

/// Runs cases side by side, each by itself.
fn campaign(from: u64, cases: u64, jobs: u64, keep_going: bool) -> ExitCode {
    let clock = testkit::clock();
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let total = Mutex::new((0_u64, Seen::default()));
    let (failure, outside) = (Mutex::new(None), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= from + cases || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    match Case::of(number).run() {
                        Ok(seen) => {
                            let Ok(mut total) = total.lock() else { return };
                            total.0 += 1;
                            total.1.add(&seen);
                            if total.0.is_multiple_of(1000) {
                                eprintln!("{} cases, {:.0} s", total.0, clock());
                            }
                        }
                        Err(why) => {
                            outside.fetch_add(1, Ordering::Relaxed);
                            if keep_going {
                                let first = why.lines().next().unwrap_or_default();
                                println!("case {number}: {first}");
                                continue;
                            }
                            stop.store(true, Ordering::Relaxed);
                            let Ok(mut failure) = failure.lock() else { return };
                            failure.get_or_insert((number, why));
                        }
                    }
                }
            });
        }
    });
    let (done, seen) = total.into_inner().unwrap_or_default();
    println!("{done} cases from {from} in {:.0} s: {seen:?}", clock());
    match failure.into_inner().ok().flatten() {
        Some((number, why)) => {
            println!("case {number} leaves what its model does not allow:\n{why}");
            ExitCode::from(1)
        }
        None => {
            let outside = outside.into_inner();
            println!("{outside} outside");
            if outside == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
        }
    }
}
