//! Durable commits a second, of records of 100 bytes: the log against the disk itself (one
//! committer), and against the plainest group commit (many).
//!
//! Slices of time alternate between the contenders, so that a disturbance falls on all; each
//! slice of the log is paired with those beside it, and only medians of such ratios are told. A
//! machine on which one raw durable write takes 500 µs or more at the median is not quiet: then
//! the figures are worth nothing, and it says so.

#[cfg(target_os = "linux")]
mod follower;
#[cfg(target_os = "linux")]
mod many;
#[cfg(target_os = "linux")]
mod numbers;
#[cfg(target_os = "linux")]
mod one;
#[cfg(target_os = "linux")]
mod options;
#[cfg(target_os = "linux")]
mod os;
#[cfg(target_os = "linux")]
mod ours;
#[cfg(target_os = "linux")]
mod raw;
#[cfg(target_os = "linux")]
mod slice;

/// A run's errors, to be told and not handled.
#[cfg(target_os = "linux")]
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("not measured: this benchmark pins threads and keeps processors awake as Linux does");
}

#[cfg(target_os = "linux")]
fn main() -> Outcome<()> {
    let Some(options) = options::Options::parse(std::env::args().skip(1))? else {
        println!("{}", options::USAGE);
        return Ok(());
    };
    let dir = tempfile::tempdir_in(&options.dir)?;
    let file = raw::WrittenFile::make(&dir.path().join("raw"), RAW_BYTES)?;
    let cpus = match &options.cpus {
        Some(cpus) => cpus.clone(),
        None => match os::interrupted(&file)? {
            Some(cpu) => vec![cpu],
            None => os::allowed()?.into_iter().take(1).collect(),
        },
    };
    os::pin(&cpus)?;
    let awake = os::Awake::keep(&cpus);
    if !options.json {
        println!("in {}, on processors {cpus:?}, kept awake", options.dir.display());
    }
    let mut objects = Vec::new();
    for &committers in &options.committers {
        objects.push(if committers == 1 {
            one::run(&options, dir.path(), &file)?
        } else {
            many::run(&options, dir.path(), &file, committers)?
        });
    }
    drop(awake);
    if options.json {
        println!("{{\"version\": 1, \"commit\": [{}]}}", objects.join(", "));
    }
    Ok(())
}

/// Bytes of the file that raw writes go round in.
#[cfg(target_os = "linux")]
const RAW_BYTES: u64 = 64 << 20;
