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

use std::time::Instant;

use load::{LOADS, Program};
use ondisk_sim::machine::choice::Seeded;
use ondisk_sim::machine::event::Event;
use ondisk_sim::machine::play::{Play, Stage};
use ondisk_sim::machine::timeline::{Header, Recorder};
use ondisk_sim::machine::{Death, Shot};
use ondisk_sim::ops::script::Script;

#[global_allocator]
static ALLOCATOR: os::Counted = os::Counted;

const ROUNDS: usize = 7;

fn main() {
    println!("{:26}{:>16}{:>12}{:>16}", "load", "M events/s", "best", "asks/1000 events");
    for load in &LOADS {
        let mut program = Program::new(load.config);
        program.run(2 * load.steps, load.step); // warm
        let (mut events, mut asked) = (0, 0);
        let mut rates = [0.0; ROUNDS];
        for rate in &mut rates {
            let clock = Clock::start();
            let (more, asks) = program.run(load.steps, load.step);
            *rate = f64::from(more) / clock.seconds() / 1e6;
            (events, asked) = (events + more, asked + asks);
        }
        rates.sort_by(f64::total_cmp);
        let asks = f64::from(u32::try_from(asked).unwrap()) * 1000.0 / f64::from(events);
        let (middle, best) = (rates[ROUNDS / 2], rates[ROUNDS - 1]);
        println!("{:26}{middle:>16.2}{best:>12.2}{asks:>16.3}", load.name);
    }
    cuts("of 10 appends", 10, 5_000);
    cuts("of 500 appends", 500, 500);
    timelines();
}

/// The time of the processor; where the system does not tell it, that of the clock on the wall.
struct Clock(Result<u64, Instant>);

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
    fn start() -> Self {
        Self(processor_time().ok_or_else(Instant::now))
    }

    fn seconds(&self) -> f64 {
        match self.0 {
            Ok(start) => {
                let took = processor_time().unwrap_or(start) - start;
                std::time::Duration::from_nanos(took).as_secs_f64()
            }
            Err(start) => start.elapsed().as_secs_f64(),
        }
    }
}

/// The nanoseconds that this thread was on a processor.
#[expect(clippy::disallowed_methods, reason = "the system tells it in a file")]
fn processor_time() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_whitespace().next()?.parse().ok()
}

/// What a cut costs after so many appends: alone, and with the mount behind it and all files read.
fn cuts(what: &str, appends: u32, count: u32) {
    let mut program = Program::new(|_| {});
    program.run(appends, Program::append);
    let shot = program.sim.shot();
    let cut = |shot: &Shot, seed| shot.cut(Death::Cut, &mut Seeded::new(seed));
    let clock = Clock::start();
    (0..20 * u64::from(count)).for_each(|seed| drop(std::hint::black_box(cut(&shot, seed))));
    let cuts = 20.0 * f64::from(count) / clock.seconds();
    let clock = Clock::start();
    (0..u64::from(count)).for_each(|seed| drop(cut(&shot, seed).image().unwrap()));
    let images = f64::from(count) / clock.seconds();
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
        let mut play = Play::new(&script, &Stage::default()).unwrap();
        let mut recorder = Recorder::new(&Header::default());
        let clock = Clock::start();
        while let Some(event) = play.event() {
            play.sim().tell(&mut recorder, &event, "");
        }
        let events = f64::from(u32::try_from(recorder.events()).unwrap());
        let bytes = f64::from(u32::try_from(recorder.finish().len()).unwrap());
        let rate = events / clock.seconds() / 1e6;
        let each = bytes / events;
        println!("{name:26}{each:>16.0} bytes an event in a timeline, {rate:.2} M events/s");
    }
}
