//! Timelines of the machine itself: what its layers say happens makes sense together.

use super::*;
use crate::machine::config::{DriveCache, Ext4Options, Link, Mount, Scheduler};
use crate::machine::message::{Open, Reply, Request};
use crate::machine::{Config, Sim};
use crate::ops::Image;

const TASK: TaskId = TaskId(1);

/// Files are written, synced, overwritten and left to the flusher; a minute goes by. Events of
/// one kind may be kept back.
fn record(config: &Config, rounds: u8, without: &str) -> String {
    let sim = Sim::new(config.clone(), &Image::new(), 3).unwrap();
    let mut recorder = Recorder::new(&Header { seed: 3, ..Header::default() });
    let follow = |recorder: &mut Recorder| {
        if without.is_empty() {
            return recorder.follow(&sim);
        }
        let mut machine = sim.lock();
        while let Some(event) = machine.event() {
            if name(&event.kind) != without {
                recorder.event(&event, &machine.cx.arena, "");
            }
        }
    };
    let mut call = |what: Request| {
        let reply = sim.call(TASK, what).unwrap();
        follow(&mut recorder);
        reply
    };
    let how = Open { read: true, write: true, create: true, ..Open::default() };
    for n in 0..rounds {
        let path: Box<[u8]> = vec![b'a' + n % 3].into();
        let Reply::Fd(fd) = call(Request::Open { path, how, mode: 0o644 }) else { panic!("no fd") };
        for at in [0, 4096, 100_000, 8192, 5] {
            let bytes = vec![n + 1; 3000 * usize::from(n % 6 + 1)];
            call(Request::Write { fd, at: Some(at), bytes, sync: None });
        }
        match n % 6 {
            0..3 => drop(call(Request::Fsync { fd })),
            3 => drop(call(Request::Fdatasync { fd })),
            _ => {}
        }
        call(Request::Read { fd, at: Some(0), len: 9000 });
        call(Request::Close { fd });
    }
    sim.run_until(sim.now() + Ns::S.times(60));
    follow(&mut recorder);
    recorder.finish()
}

fn configs() -> Vec<Config> {
    let mut configs = Vec::new();
    for scheduler in [Scheduler::None, Scheduler::MqDeadline, Scheduler::Bfq] {
        for (cache, link) in [
            (DriveCache::Volatile, Link::Nvme),
            (DriveCache::Volatile, Link::Sata),
            (DriveCache::Capacitor, Link::Nvme),
            (DriveCache::None, Link::Nvme),
        ] {
            let mut config = Config::default();
            config.block.scheduler = scheduler;
            (config.drive.cache, config.drive.link) = (cache, link);
            configs.push(config);
        }
    }
    configs
}

/// The states that may follow a state.
fn may_follow(place: Place, old: &str) -> &'static [&'static str] {
    match (place, old) {
        (Place::Buf, _) => &["B", ""],
        (Place::Page, "" | "C" | "E") => &["D"],
        (Place::Page, "D") => &["D", "W"],
        (Place::Page, "W") => &["C", "E", "D"],
        (Place::Jbd, "") => &["running"],
        (Place::Jbd, "running") => &["locked"],
        (Place::Jbd, "locked") => &["flush"],
        (Place::Jbd, "flush") => &["commit"],
        (Place::Jbd, "commit") => &["record"],
        (Place::Jbd, "record") => &["finished"],
        (Place::Jbd, "finished") => &[""],
        (Place::Q, "") => &["P", "Q", "D", "F"],
        (Place::Q, "P") => &["Q", "D", ""],
        (Place::Q, "Q") => &["D", ""],
        (Place::Q, "D" | "F") => &[""],
        (Place::Lba, _) => &["V", "S"],
        (Place::Nand, "") => &["P", "T"],
        (Place::Nand, "P") => &["M", ""],
        (Place::Nand, "M") => &["S"],
        (Place::Nand, "S" | "T") => &[""],
        _ => &[],
    }
}

/// Whether the states of every cell follow each other as they may, and nothing is left under way.
fn makes_sense(timeline: &mut Timeline) -> Result<(), String> {
    for at in 0..timeline.len() {
        let entry = timeline.entry(at).unwrap();
        if entry.cause >= entry.number {
            return Err(format!("{entry:?} has a later cause"));
        }
        for (cell, old, new) in timeline.deltas(at) {
            if !may_follow(cell.place, old.state()).contains(&new.state()) {
                return Err(format!("{cell}: {old} to {new} by {entry:?}"));
            }
        }
    }
    timeline.seek(timeline.len());
    let left = timeline.cells().find(|(cell, value)| match cell.place {
        Place::Q | Place::Buf => true,
        Place::Page => value.state() != "C",
        _ => false,
    });
    left.map_or(Ok(()), |(cell, value)| Err(format!("{cell} still holds {value}")))
}

#[test]
fn what_the_layers_say_makes_sense_together() {
    for config in configs() {
        let text = record(&config, 6, "");
        let mut timeline = read(&text).unwrap();
        assert!(timeline.len() > 500, "{} events", timeline.len());
        assert_eq!(makes_sense(&mut timeline), Ok(()), "{config:?}");
        let of = |place| timeline.cells().filter(|(cell, _)| cell.place == place).count();
        assert!(of(Place::Page) > 30 && of(Place::Lba) > 30 && of(Place::Nand) > 30);
        assert_eq!(text, record(&config, 6, ""), "the same bytes");
    }
}

#[test]
fn a_drive_that_collects_garbage_makes_sense_too() {
    let mut config = Config::default();
    config.drive.blocks = 1024;
    config.mount = Mount::Ext4(Ext4Options { blocks: 1024, journal: 256, ..Default::default() });
    let mut timeline = read(&record(&config, 250, "")).unwrap();
    assert_eq!(makes_sense(&mut timeline), Ok(()));
    for kind in ["GcCopy", "Erased", "Checkpointed"] {
        let count = (0..timeline.len()).filter(|at| timeline.entry(*at).unwrap().kind == kind);
        assert!(count.count() > 3, "no {kind}");
    }
}

#[test]
fn canary_without_one_kind_of_event_it_makes_no_sense() {
    for without in ["WbStart", "WbDone", "RqDone", "Programmed", "Handle"] {
        let mut timeline = read(&record(&Config::default(), 6, without)).unwrap();
        assert_ne!(makes_sense(&mut timeline), Ok(()), "without {without}");
    }
}

/// Whose fsync made a block safe? Its causes lead to the call.
#[test]
fn the_causes_of_a_durable_page_lead_to_the_call_that_asked_for_it() {
    let timeline = read(&record(&Config::default(), 6, "")).unwrap();
    let is = |at: &usize, kind: &str| timeline.entry(*at).is_some_and(|entry| entry.kind == kind);
    let settled = (0..timeline.len()).find(|at| is(at, "FlushDone")).unwrap();
    let mut entry = timeline.entry(settled).unwrap();
    let mut steps = 0;
    while entry.kind != "Call" {
        entry = timeline.entry(timeline.find(entry.cause).unwrap()).unwrap();
        steps += 1;
        assert!(steps < 1000, "the causes lead nowhere");
    }
    assert!(entry.words.contains("fsync"), "{entry:?}");
}

#[test]
fn a_kill_takes_the_buffers_of_its_task_alone() {
    let mut events = Events::new(1);
    for (task, file) in [(TaskId(1), 0), (TaskId(2), 1)] {
        events.push(Layer::Buffer, Kind::Buffered { task, file, held: 3, len: 3 });
    }
    events.push(Layer::World, Kind::Kill { task: TaskId(1) });
    let (mut derived, mut changes) = (Derived::default(), Vec::new());
    events.all.iter().for_each(|event| derived.event(event, &mut changes));
    let left: Vec<Cell> = derived.cells.iter().map(|(cell, _)| cell).collect();
    assert_eq!(left, [Cell::one(Place::Buf, 1)]);
}
