//! A machine that is warm asks for no memory.
//!
//! Of what is kept for ever, the versions of pages and the events of a history, the tables grow:
//! that is counted here and allowed for.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "../../benches/machine/load.rs"]
mod load;
#[path = "../../benches/machine/os.rs"]
mod os;

use load::{LOADS, Program};

#[global_allocator]
static ALLOCATOR: os::Counted = os::Counted;

/// How often a load may ask for memory in a thousand events: less than once, unless names are made,
/// which are kept as long as they stand. `None` for what keeps all that was called.
fn allowed(name: &str) -> Option<f64> {
    match name {
        "create, rename, unlink" => Some(80.0),
        "file replaced by rename" => Some(150.0),
        "append, with history" => None,
        _ => Some(1.0),
    }
}

fn asked(load: &load::Load) -> f64 {
    let mut program = Program::warm(load);
    let (events, asked) = program.run(load.steps, load.step);
    f64::from(u32::try_from(asked).unwrap()) * 1000.0 / f64::from(events)
}

#[test]
fn a_warm_machine_asks_for_no_memory() {
    for load in &LOADS {
        let asked = asked(load);
        println!("{}: {asked:.3} in 1000 events", load.name);
        match allowed(load.name) {
            Some(most) => assert!(asked <= most, "{}: {asked} in 1000 events", load.name),
            // The canary: what is kept for ever is asked for, and noticed.
            None => assert!(asked > 5.0, "{}: only {asked} in 1000 events", load.name),
        }
    }
}
