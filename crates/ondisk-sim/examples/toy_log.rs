//! A log of sixty lines that somebody might have written, with a bug that no ordinary test finds:
//! it syncs every record, and forgets to sync the file that compaction puts in the log's place.
//!
//! Run it: `cargo run -p ondisk-sim --example toy_log`.

use std::io;
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{Access, File, FileSystem};
use ondisk_sim::{Failure, Report};

/// Lines, the oldest first; compaction keeps the last `KEEP`.
struct ToyLog<'a> {
    fs: &'a dyn FileSystem,
    file: Arc<dyn File>,
    lines: Vec<String>,
    careful: bool,
}

const KEEP: usize = 4;

impl<'a> ToyLog<'a> {
    fn open(fs: &'a dyn FileSystem, careful: bool) -> io::Result<Self> {
        let path = Path::new("log");
        let file = match fs.open(path, Access::ReadWrite) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = fs.create_new(path)?;
                fs.sync_dir(Path::new("."))?;
                file
            }
            other => other?,
        };
        let mut bytes = vec![0; usize::try_from(file.size()?).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        // A line without its end was cut off.
        let lines = text.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let lines = lines.map(|line| line.trim_end().to_owned()).collect();
        Ok(Self { fs, file, lines, careful })
    }

    fn append(&mut self, line: &str) -> io::Result<()> {
        if self.lines.len() >= 2 * KEEP {
            self.compact()?;
        }
        let end = self.lines.iter().map(|line| line.len() as u64 + 1).sum();
        self.file.write_all_at(format!("{line}\n").as_bytes(), end)?;
        self.file.sync_data()?;
        self.lines.push(line.to_owned());
        Ok(())
    }

    fn compact(&mut self) -> io::Result<()> {
        self.lines.drain(..self.lines.len() - KEEP);
        let (temp, path) = (Path::new("log.new"), Path::new("log"));
        let file = self.fs.create_new(temp)?;
        let text: String = self.lines.iter().map(|line| format!("{line}\n")).collect();
        file.write_all_at(text.as_bytes(), 0)?;
        if self.careful {
            file.sync_all()?;
        }
        self.fs.rename(temp, path)?;
        self.fs.sync_dir(Path::new("."))?;
        self.file = file;
        Ok(())
    }
}

/// Everything from here on is the test: the workload, and what must hold after any cut.
fn test(careful: bool) -> Result<Report, Failure> {
    ondisk_sim::check(
        |fs| {
            let mut log = ToyLog::open(fs, careful)?;
            for n in 0..30 {
                log.append(&format!("line {n}"))?;
                fs.ack(format!("line {n}"));
            }
            Ok(())
        },
        |fs| {
            let lines = ToyLog::open(fs, careful).map_or_else(|_| Vec::new(), |log| log.lines);
            let owed: Vec<String> = fs.owed_text().collect();
            let last = &owed[owed.len().saturating_sub(KEEP)..];
            match last.iter().find(|line| !lines.contains(line)) {
                Some(lost) => Err(format!("{lost:?} was acknowledged and is gone").into()),
                None => Ok(()),
            }
        },
    )
}

fn main() {
    for careful in [false, true] {
        let what = if careful { "with the sync" } else { "without the sync" };
        match test(careful) {
            Ok(report) => println!("{what}: nothing is lost: {report}"),
            Err(failure) => println!("{what}: {failure}"),
        }
    }
}
