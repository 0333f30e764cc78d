//! What the benchmark is asked for.

use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
Durable commits of 100 bytes, against the disk itself and against the plainest group commit.

  --committers N,N,…  how many threads commit (default 1,4,16,64)
  --slices N          slices of each kind, at least 8 (default 8; 4 times as many for one committer)
  --seconds S         length of a slice with many committers (default 0.5; a quarter of it for one)
  --cpus N,N,…        where the committers run (default: where the disk's interrupt goes)
  --dir DIR           the disk to measure (default: the build directory)
  --json              one object on standard output

Example: cargo bench -p ondisk-log --bench commit -- --committers 16 --slices 12";

pub(crate) struct Options {
    pub(crate) committers: Vec<usize>,
    pub(crate) slices: usize,
    pub(crate) length: Duration,
    pub(crate) cpus: Option<Vec<usize>>,
    pub(crate) dir: PathBuf,
    pub(crate) json: bool,
}

/// Fewer slices say nothing.
const LEAST_SLICES: usize = 8;

impl Options {
    /// Reads the arguments; `None` when help was asked for.
    pub(crate) fn parse(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut options = Self {
            committers: vec![1, 4, 16, 64],
            slices: LEAST_SLICES,
            length: Duration::from_millis(500),
            cpus: None,
            dir: env!("CARGO_TARGET_TMPDIR").into(),
            json: false,
        };
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or(format!("{arg} wants a value"));
            match arg.as_str() {
                "--bench" => {} // cargo says so to every benchmark
                "--json" => options.json = true,
                "--help" | "-h" => return Ok(None),
                "--dir" => options.dir = value()?.into(),
                "--committers" => options.committers = list(&value()?)?,
                "--cpus" => options.cpus = Some(list(&value()?)?),
                "--slices" => options.slices = number::<usize>(&value()?)?.max(LEAST_SLICES),
                "--seconds" => {
                    let seconds: f64 = number(&value()?)?;
                    let length = Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())?;
                    options.length =
                        length.clamp(Duration::from_millis(20), Duration::from_secs(60));
                }
                other => return Err(format!("unknown argument {other}\n\n{USAGE}")),
            }
        }
        if options.committers.iter().any(|count| !(1..=1024).contains(count)) {
            return Err("--committers wants numbers from 1 to 1024".to_owned());
        }
        Ok(Some(options))
    }
}

fn list(text: &str) -> Result<Vec<usize>, String> {
    text.split(',').map(number).collect()
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number that would do"))
}
