//! Keeps a processor awake, and runs everything on it: a virtual one that idles sees a completed
//! write only at its next tick, 4 ms late. A thread of the class `SCHED_IDLE` gives way to any
//! other, so nothing is slowed by it; on a second processor it might share a core.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::thread::CpuSet;

/// Syncs by which a processor is judged.
const PROBES: usize = 15;

/// Keeps a processor awake until it is dropped.
pub(crate) struct Awake {
    stop: Arc<AtomicBool>,
    spinner: Option<JoinHandle<()>>,
}

impl Awake {
    /// Moves this thread to the processor on which a sync in `dir` takes the least time, and
    /// keeps that one awake.
    pub(crate) fn choose(dir: &Path) -> io::Result<Self> {
        let allowed = rustix::thread::sched_getaffinity(None)?;
        let mut best: Option<(Duration, usize)> = None;
        for cpu in (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)) {
            let awake = Self::on(cpu)?;
            let sync = sync_in(dir)?;
            drop(awake);
            if best.is_none_or(|(least, _)| sync < least) {
                best = Some((sync, cpu));
            }
        }
        Self::on(best.map_or(0, |(_, cpu)| cpu))
    }

    fn on(cpu: usize) -> io::Result<Self> {
        let mut one = CpuSet::new();
        one.set(cpu);
        rustix::thread::sched_setaffinity(None, &one)?;
        let stop = Arc::new(AtomicBool::new(false));
        let over = stop.clone();
        // It inherits the processor.
        let spinner = thread::spawn(move || {
            if become_idle_class().is_ok() {
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            }
        });
        Ok(Self { stop, spinner: Some(spinner) })
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(spinner) = self.spinner.take() {
            drop(spinner.join());
        }
    }
}

/// The median time of a small write and its sync.
fn sync_in(dir: &Path) -> io::Result<Duration> {
    let file = File::create(dir.join("probe"))?;
    let mut took = [Duration::ZERO; PROBES];
    for took in &mut took {
        let begun = Instant::now();
        file.write_all_at(&[1; 4096], 0)?;
        file.sync_data()?;
        *took = begun.elapsed();
    }
    took.sort();
    Ok(took[PROBES / 2])
}

/// Puts the calling thread into the class that runs only when nobody else wants to.
#[expect(unsafe_code, reason = "no safe wrapper of this call is among our dependencies")]
fn become_idle_class() -> io::Result<()> {
    let param = libc::sched_param { sched_priority: 0 };
    // SAFETY: the pointer is to a live structure that the kernel only reads; 0 is this thread.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &raw const param) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
