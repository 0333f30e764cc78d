//! What the figures say, beyond what they are: warnings, and what each saving saves.
//!
//! Invariant: pure functions of the measurements and of what the place says of itself. A warning
//! rests on a limit that is written down here with its reason.

use std::time::Duration;

use ondisk_fs::Rung;
use serde::Serialize;

use super::measure::{
    ALLOCATED_DATA, DURABLE_WRITE, GROUP, GROWING_DATA, Measurement, WRITTEN_ALL, WRITTEN_DATA,
    WRITTEN_GROUP, Way,
};
use super::place::{Cache, Drive, Place};

/// Something to know before the figures are believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Warning {
    pub(super) kind: Kind,
    /// A sentence or two for a person.
    pub(super) text: String,
}

/// The warnings there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// The file system lies in memory.
    Memory,
    /// The file system is a container's layer.
    Overlay,
    /// The file system was told not to flush the drive.
    NoFlush,
    /// A sync that returned is not durable, by the platform's own word.
    NotDurable,
    /// A sync is faster than the medium can be.
    TooFast,
    /// The figures show a processor's tick.
    Tick,
}

/// All warnings, the gravest first.
pub(super) fn warnings(place: &Place, measurements: &[Measurement]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |kind, text: Option<String>| {
        warnings.extend(text.map(|text| Warning { kind, text }));
    };
    let file_system = place.mount.as_ref().map_or("", |mount| mount.file_system.as_str());
    warn(Kind::Memory, memory(file_system));
    warn(Kind::Overlay, (file_system == "overlay").then(overlay));
    warn(Kind::NoFlush, no_flush(place));
    if let Some(written) = find(measurements, WRITTEN_DATA) {
        let in_memory = memory(file_system).is_some();
        if written.rung < Rung::Durable && !in_memory {
            warn(Kind::NotDurable, Some(not_durable(written.rung)));
        }
        warn(Kind::TooFast, too_fast(written.percentile(50), place.drive.as_ref()));
    }
    warn(Kind::Tick, ticking(measurements).map(|tick| tick_text(tick, place.virtual_machine)));
    warnings
}

/// The measurement of a way.
pub(super) fn find(measurements: &[Measurement], way: Way) -> Option<&Measurement> {
    measurements.iter().find(|measurement| measurement.way == way)
}

fn memory(file_system: &str) -> Option<String> {
    matches!(file_system, "tmpfs" | "ramfs" | "devtmpfs").then(|| {
        format!(
            "{file_system} lies in memory: every sync succeeds and nothing survives the kernel."
        )
    })
}

fn overlay() -> String {
    "an overlay is a container's own layer: nothing in it survives the container, whatever is \
     synced. Keep data on a volume."
        .to_owned()
}

/// Whether the mount says that a sync need not reach the medium.
fn no_flush(place: &Place) -> Option<String> {
    let mount = place.mount.as_ref()?;
    // ext4 and others: no FLUSH behind a sync. overlay: no sync at all.
    let option =
        ["nobarrier", "barrier=0", "volatile"].into_iter().find(|o| mount.has_option(o))?;
    Some(format!(
        "{} is mounted with {option}: a sync does not empty the drive's cache, and a power cut \
         may take what was acknowledged.",
        mount.mount_point.display()
    ))
}

fn not_durable(rung: Rung) -> String {
    format!(
        "what is synced here is on the rung `{rung}`: it survives {}, no more.",
        rung.survives()
    )
}

/// A command to a drive and its answer take longer than this on the fastest bus there is: a write
/// of a block to NVMe takes 8 µs or more.
const ANY_DRIVE: Duration = Duration::from_micros(5);

/// Programming a page of flash takes longer than this (0.1 ms at one bit a cell, 0.5 ms and more at
/// three), and a drive whose cache is volatile must do it before a FLUSH returns.
const FLASH: Duration = Duration::from_micros(100);

/// Half a turn of a disk at 15,000 turns a minute: what a sector is waited for on average.
const PLATTER: Duration = Duration::from_millis(2);

/// Why a sync of an overwrite that takes so long in the middle cannot have reached the medium.
fn too_fast(p50: Duration, drive: Option<&Drive>) -> Option<String> {
    let volatile = drive.is_some_and(|drive| drive.cache == Some(Cache::Volatile));
    let turns = drive.is_some_and(|drive| drive.rotational == Some(true));
    let reason = if p50 < ANY_DRIVE {
        "no drive can be asked and answer in 5 µs: nothing left this machine's memory."
    } else if volatile && turns && p50 < PLATTER {
        "the drive says that it turns and that its cache is volatile, yet it answers a FLUSH \
         faster than half a turn (2 ms). It may be virtual; then its host, or a cache with a \
         battery, answers for it. Ask who runs it what a loss of power takes."
    } else if volatile && p50 < FLASH {
        "the drive says that its cache is volatile, yet it answers a FLUSH faster than a page of \
         flash is programmed (0.1 ms). Either its cache outlives a loss of power, or it, or the \
         host of a virtual one, ignores the FLUSH."
    } else {
        return None;
    };
    Some(format!("a sync in {} is too fast to be true: {reason}", duration(p50)))
}

/// The ticks of kernels at 250 and at 100 Hz. One at 1000 Hz cannot be told from a fast disk.
const TICKS: [Duration; 2] = [Duration::from_millis(4), Duration::from_millis(10)];

/// How far a tick shows in the figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ticking {
    /// Half of the samples and more end on it.
    Mostly(Duration),
    /// The slowest do.
    AtWorst(Duration),
}

/// The tick on whose multiples the samples of most ways end. One way alone may by chance.
fn ticking(measurements: &[Measurement]) -> Option<Ticking> {
    let most_end_on = |tick: Duration, percents: &[usize]| {
        let ends = |m: &&Measurement| percents.iter().all(|p| is_on(m.percentile(*p), tick));
        measurements.iter().filter(ends).count() * 2 > measurements.len()
    };
    let mostly = TICKS.into_iter().find(|tick| most_end_on(*tick, &[50, 75]));
    let at_worst = TICKS.into_iter().find(|tick| most_end_on(*tick, &[99]));
    mostly.map(Ticking::Mostly).or(at_worst.map(Ticking::AtWorst))
}

/// Whether a time is once, twice or three times a tick, to one part in forty.
fn is_on(time: Duration, tick: Duration) -> bool {
    let (time, tick) = (time.as_micros(), tick.as_micros());
    let times = (time + tick / 2) / tick;
    (1..=3).contains(&times) && time.abs_diff(times * tick) * 40 <= times * tick
}

fn tick_text(ticking: Ticking, virtual_machine: Option<bool>) -> String {
    let (which, tick) = match ticking {
        Ticking::Mostly(tick) => ("most syncs end", tick),
        Ticking::AtWorst(tick) => ("the slowest syncs end", tick),
    };
    let here = match virtual_machine {
        Some(true) => "this is a virtual machine, so that is likely",
        Some(false) => "this is no virtual machine, so the disk itself may be that slow",
        None => "likely on a virtual machine",
    };
    format!(
        "{which} on multiples of {}, a kernel's tick: a processor that idles when the disk's \
         interrupt comes may see it only at the next tick ({here}). Then the figures tell of the \
         processor, not of the disk, and the gains mean little. Keep the processors awake (Linux: \
         `chrt --idle 0 sh -c 'while :; do :; done' &`, once for each) and probe again.",
        duration(tick)
    )
}

/// What one choice gains over another.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Gain {
    /// A name for programs.
    pub(super) name: &'static str,
    /// The choice, for people.
    #[serde(skip)]
    pub(super) text: &'static str,
    /// How many times as long the other takes in the middle.
    pub(super) p50: f64,
    /// How many times as long the other takes at the 99th percentile.
    pub(super) p99: f64,
}

/// What each saving saves.
pub(super) fn gains(measurements: &[Measurement]) -> Vec<Gain> {
    let gain = |name, text, slow: Way, fast: Way, each: usize| {
        let (slow, fast) = (find(measurements, slow)?, find(measurements, fast)?);
        let ratio = |percent| {
            let time = |m: &Measurement| m.percentile(percent).as_secs_f64();
            let ratio = time(slow) * each as f64 / time(fast).max(1e-9);
            (ratio * 100.0).round() / 100.0
        };
        Some(Gain { name, text, p50: ratio(50), p99: ratio(99) })
    };
    [
        gain(
            "sync_data",
            "syncing the data alone, not the file's times",
            WRITTEN_ALL,
            WRITTEN_DATA,
            1,
        ),
        gain(
            "written_over_growing",
            "written blocks instead of a growing file",
            GROWING_DATA,
            WRITTEN_DATA,
            1,
        ),
        gain(
            "written_over_allocated",
            "written blocks instead of allocated ones",
            ALLOCATED_DATA,
            WRITTEN_DATA,
            1,
        ),
        gain(
            "durable_write",
            "one durable write instead of a write and a sync",
            WRITTEN_DATA,
            DURABLE_WRITE,
            1,
        ),
        gain(
            "group_of_16",
            "a group of 16 instead of 16 syncs",
            WRITTEN_DATA,
            WRITTEN_GROUP,
            GROUP,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A time for a person: three digits that matter.
pub(super) fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    let micros = time.as_secs_f64() * 1e6;
    match nanos {
        0..10_000 => format!("{micros:.1} µs"),
        10_000..1_000_000 => format!("{micros:.0} µs"),
        1_000_000..10_000_000 => format!("{:.2} ms", micros / 1e3),
        10_000_000..1_000_000_000 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

#[cfg(test)]
mod tests;
