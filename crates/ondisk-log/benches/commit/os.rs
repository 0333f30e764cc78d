//! A quiet machine: the processor that takes the disk's interrupt is kept awake, and the
//! committers run on it.
//!
//! A virtual processor that idles sees a completed write only at its next tick, 4 ms late; a
//! thread of the class `SCHED_IDLE` that never sleeps keeps it awake and gives way to any other.
//!
//! Knows nothing of what is measured.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::thread::CpuSet;

use crate::raw::WrittenFile;

/// How many writes are made to see whose interrupts they cause.
const PROBES: u32 = 64;

/// Keeps processors awake until it is dropped.
pub(crate) struct Awake {
    stop: Arc<AtomicBool>,
    spinners: Vec<JoinHandle<()>>,
}

impl Awake {
    /// Keeps `cpus` awake.
    #[expect(clippy::disallowed_methods, reason = "a benchmark has threads of its own")]
    pub(crate) fn keep(cpus: &[usize]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let spin = |cpu: usize| {
            let stop = stop.clone();
            thread::spawn(move || {
                // Not awake where the class is refused: as an ordinary thread it would compete.
                if pin(&[cpu]).is_ok() && become_idle_class().is_ok() {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                }
            })
        };
        let spinners = cpus.iter().copied().map(spin).collect();
        Self { stop, spinners }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for spinner in self.spinners.drain(..) {
            drop(spinner.join());
        }
    }
}

/// Lets the calling thread run on `cpus` alone.
pub(crate) fn pin(cpus: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    cpus.iter().for_each(|&cpu| set.set(cpu));
    Ok(rustix::thread::sched_setaffinity(None, &set)?)
}

/// The processors that this process may run on.
pub(crate) fn allowed() -> io::Result<Vec<usize>> {
    let set = rustix::thread::sched_getaffinity(None)?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Puts the calling thread into the class that runs only when nobody else wants to.
#[expect(unsafe_code, reason = "no safe wrapper of this call is among our dependencies")]
fn become_idle_class() -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live structure that the kernel only reads; 0 is this thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The processor that takes the interrupt of the disk under `file`: the one that took most of
/// whichever interrupt came most often while it was written to. `None` when that cannot be seen.
pub(crate) fn interrupted(file: &WrittenFile) -> io::Result<Option<usize>> {
    let before = interrupts()?;
    for i in 0..PROBES {
        file.direct(u64::from(i), &i.to_le_bytes())?;
    }
    let after = interrupts()?;
    let risen = after.iter().filter_map(|(line, counts)| {
        let before = before.get(line)?;
        let by_cpu = counts.iter().zip(before).map(|(after, before)| after.saturating_sub(*before));
        let by_cpu: Vec<u64> = by_cpu.collect();
        let sum = by_cpu.iter().sum::<u64>();
        let most = by_cpu.iter().enumerate().max_by_key(|(_, count)| **count)?;
        Some((sum, most.0))
    });
    let most = risen.max().filter(|(sum, _)| *sum >= u64::from(PROBES) / 2);
    Ok(most.map(|(_, cpu)| cpu))
}

/// The counts of each device's interrupt, by processor. Lines whose label is no number (timers,
/// calls between processors) belong to no device.
fn interrupts() -> io::Result<BTreeMap<u32, Vec<u64>>> {
    let text = std::fs::read_to_string("/proc/interrupts")?;
    let cpus = text.lines().next().map_or(0, |head| head.split_whitespace().count());
    let line = |line: &str| {
        let (label, rest) = line.split_once(':')?;
        let counts = rest.split_whitespace().take(cpus).map_while(|count| count.parse().ok());
        Some((label.trim().parse().ok()?, counts.collect()))
    };
    Ok(text.lines().skip(1).filter_map(line).collect())
}
