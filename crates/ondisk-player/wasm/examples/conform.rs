//! Scripts by number, with what this build answers to them: what the module is held against.
//!
//! ```text
//! node crates/ondisk-player/conformance.mjs --seed 1 --count 100
//! ```
//!
//! A line of JSON for each script: `[seed, run, answer, [[request, answer], …]]`. With `--canary` one
//! digit of one answer is another, which has to be noticed.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

use std::fmt::Write as _;
use std::process::ExitCode;

use ondisk_player_wasm::Desk;
use testkit::refine::script::{Dice, Length, script};

fn main() -> ExitCode {
    let (mut seed, mut count, mut canary) = (1_u64, 10_u64, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        if name == "--canary" {
            canary = true;
            continue;
        }
        match (&name[..], arguments.next().and_then(|value| value.parse().ok())) {
            ("--seed", Some(value)) => seed = value,
            ("--count", Some(value)) => count = value,
            _ => {
                eprintln!("usage: conform [--seed N] [--count N] [--canary]");
                return ExitCode::from(2);
            }
        }
    }
    for number in (0..count).map(|nth| seed.wrapping_add(nth)) {
        println!("{}", case(number, canary && number == seed));
    }
    ExitCode::SUCCESS
}

/// One script on one machine, and all that is asked of it.
fn case(number: u64, canary: bool) -> String {
    let mut dice = Dice::new(number ^ 0x5EED);
    let mounts = ["ordered", "ordered", "writeback", "journal", "dioread_lock", "nodelalloc"];
    let systems = ["ext4", "ext4", "ext4", "ext4", "ext4", "ext4", "nfs", "tmpfs", "xfs", "posix"];
    let run = format!(
        "run fs={} mount={} scheduler={} drive={} profile={} seed={number}\n{}",
        dice.one(&systems),
        dice.one(&mounts),
        dice.one(&["none", "mq-deadline", "bfq"]),
        dice.one(&["volatile", "volatile", "capacitor", "none", "lies"]),
        dice.one(&["rust", "rust", "c", "python3.13", "python3.14"]),
        text(&mut dice, number),
    );
    let mut desk = Desk::default();
    let answer = desk.ask(run.as_bytes());
    let mut told = format!("[\"{number}\",{},{},[", quoted(&run), quoted(&answer));
    let events = events(&answer);
    for (nth, request) in requests(&mut dice, events).iter().enumerate() {
        let mut answer = desk.ask(request.as_bytes());
        if canary && nth == 7 {
            answer = flipped(&answer);
        }
        // Writing to a string cannot fail.
        write!(told, "{}[\"{request}\",{}]", if nth > 0 { "," } else { "" }, quoted(&answer)).ok();
    }
    told.push_str("]]");
    told
}

/// A story, a word to somebody in it, and at times an end.
fn text(dice: &mut Dice, number: u64) -> String {
    let length = if dice.below(8) == 0 { Length::Long } else { Length::Short };
    let mut text = script(number, length, true);
    text.push_str("ack \"done\"\n");
    text.push_str(dice.one(&["", "cut\n", "crash\n", "kill\n"]));
    text
}

/// Every moment, and more of some.
fn requests(dice: &mut Dice, events: u32) -> Vec<String> {
    let mut all: Vec<String> = (0..=events).map(|at| format!("digest at={at} how=cut")).collect();
    for how in ["cut", "crash", "kill"] {
        for _ in 0..3 {
            let at = dice.below(u64::from(events) + 1);
            let choice = dice.one(&["first", "last", "5"]);
            all.push(format!("digest at={at} how={how}"));
            all.push(format!("die at={at} how={how}"));
            all.push(format!("recover at={at} how={how} choice={choice}"));
        }
    }
    all.push(format!("die at={events} how=cut model=posix"));
    all
}

/// How many events a run has, as it says.
fn events(answer: &str) -> u32 {
    let digits = answer.split("\"events\":").nth(1).unwrap_or_default();
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

/// A digit of an answer is another.
fn flipped(answer: &str) -> String {
    let at = answer.rfind(|c: char| c.is_ascii_hexdigit()).unwrap_or(0);
    let other = if answer[at..].starts_with('0') { "1" } else { "0" };
    format!("{}{other}{}", &answer[..at], &answer[at + 1..])
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
