//! What the layered machine costs, on one core: events a second, how often it asks for memory once
//! it is warm, what a cut costs, and the bytes of an event.
//!
//! The time is the processor's, so that what else runs on the machine counts little; of several
//! rounds the quickest and the middle one are told.
//!
//! Run it: `cargo bench -p ondisk-sim --bench machine`. How many crash states a second are looked
//! at without a machine: `cargo bench -p ondisk-sim --bench litmus`.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run stops")]

mod load;
mod os;

use std::time::{Duration, Instant};

use load::{LOADS, Program};
use ondisk_sim::machine::Death;
use ondisk_sim::machine::choice::Seeded;
use ondisk_sim::machine::event::Event;
use ondisk_sim::machine::play::{Play, Stage};
use ondisk_sim::machine::timeline::{Header, Recorder};
use ondisk_sim::ops::script::Script;

#[global_allocator]
static ALLOCATOR: os::Counted = os::Counted;

const ROUNDS: usize = 7;
/// How long a round is at least.
const ENOUGH: Duration = Duration::from_millis(200);

fn main() {
    println!("{:26}{:>16}{:>12}{:>16}", "load", "M events/s", "best", "asks/1000 events");
    for load in &LOADS {
        let mut program = Program::warm(load);
        let (mut events, mut asked) = (0, 0);
        let mut rates = [0.0; ROUNDS];
        for rate in &mut rates {
            let (mut round, clock) = (0, Clock::start());
            *rate = loop {
                let (more, asks) = program.run(load.steps, load.step);
                (round, asked) = (round + more, asked + asks);
                if let Some(seconds) = clock.enough() {
                    break f64::from(round) / seconds / 1e6;
                }
            };
            events += round;
        }
        rates.sort_by(f64::total_cmp);
        let asks = f64::from(u32::try_from(asked).unwrap()) * 1000.0 / f64::from(events);
        let (middle, best) = (rates[ROUNDS / 2], rates[ROUNDS - 1]);
        println!("{:26}{middle:>16.2}{best:>12.2}{asks:>16.3}", load.name);
    }
    cuts("of 10 appends", 10);
    cuts("of 500 appends", 500);
    timelines();
}

/// The time of the processor; where the system does not tell it, that of the clock on the wall.
struct Clock(Result<u64, Instant>);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn start() -> Self {
        Self(processor_time().ok_or_else(Instant::now))
    }

    /// How many seconds went by, if they are enough to be told: the system counts in ticks.
    fn enough(&self) -> Option<f64> {
        let took = match self.0 {
            Ok(start) => Duration::from_nanos(processor_time().unwrap_or(start) - start),
            Err(start) => start.elapsed(),
        };
        (took >= ENOUGH).then_some(took.as_secs_f64())
    }
}

/// How often a second something can be done.
fn rate(mut something: impl FnMut(u32)) -> f64 {
    let clock = Clock::start();
    let mut times = 0;
    loop {
        something(times);
        times += 1;
        if times.is_multiple_of(64)
            && let Some(seconds) = clock.enough()
        {
            return f64::from(times) / seconds;
        }
    }
}

/// The nanoseconds that this thread was on a processor.
fn processor_time() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

/// What a cut costs after so many appends: alone, and with the mount behind it and all files read.
fn cuts(what: &str, appends: u32) {
    let mut program = Program::new(|_| {});
    program.run(appends, Program::append);
    let shot = program.sim.shot();
    let cut = |seed: u32| shot.cut(Death::Cut, &mut Seeded::new(seed.into()));
    let cuts = rate(|seed| drop(std::hint::black_box(cut(seed))));
    let images = rate(|seed| drop(cut(seed).image().unwrap()));
    println!("{what:26}{cuts:>16.0} cuts/s{images:>12.0} images/s");
}

/// What an event costs in memory and in a timeline.
fn timelines() {
    println!("{:26}{:>16} bytes", "an event in memory", size_of::<Event>());
    let scripts = [
        ("of group_commit", include_str!("../../../../examples/scripts/group_commit.ondisk")),
        ("of batch_of_100", include_str!("../../../../examples/scripts/batch_of_100.ondisk")),
    ];
    for (name, script) in scripts {
        let script = Script::parse(script).unwrap();
        let (mut events, mut bytes) = (0, 0);
        let runs = rate(|_| {
            let mut play = Play::new(&script, &Stage::default()).unwrap();
            let mut recorder = Recorder::new(&Header::default());
            while let Some(event) = play.event() {
                play.sim().tell(&mut recorder, &event, "");
            }
            events = u32::try_from(recorder.events()).unwrap();
            bytes = u32::try_from(recorder.finish().len()).unwrap();
        });
        let each = f64::from(bytes) / f64::from(events);
        let rate = runs * f64::from(events) / 1e6;
        println!("{name:26}{each:>16.0} bytes an event in a timeline, {rate:.2} M events/s");
    }
}
