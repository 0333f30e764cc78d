//! A segment's name and its making: a file of fixed size that holds groups back to back.
//!
//! Invariant: a file that has a segment's name has that segment's size, written with zeros or
//! with groups of a former life, all of it durable, name included, before the anchor counts it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ondisk_fs::{BLOCK, Blocks, File, FileSystem, Kind, parent};

use crate::LogError;

/// Bytes of zeros written by one step.
const CHUNK: u64 = 1 << 20;

/// The path of segment `number` in `dir`: ten digits and `.log`.
pub(crate) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

/// The path under which the next segment is made.
pub(crate) fn making_path(dir: &Path) -> PathBuf {
    dir.join("next.tmp")
}

/// The number in a segment's name; `None` for any other name.
pub(crate) fn segment_number(name: &OsStr) -> Option<u64> {
    let number = name.to_str()?.strip_suffix(".log")?;
    let canonical = number.len() >= 10 && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|parsed| canonical && *parsed > 0)
}

/// The segments in `dir`, in ascending order.
pub(crate) fn list_segments(fs: &dyn FileSystem, dir: &Path) -> Result<Vec<u64>, LogError> {
    let entries = fs.list(dir).map_err(LogError::io(dir, "list the log's directory"))?;
    let files = entries.iter().filter(|entry| entry.kind == Kind::File);
    let mut numbers: Vec<u64> = files.filter_map(|entry| segment_number(&entry.name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The making of a file of zeros, a chunk a step.
#[derive(Debug)]
pub(crate) struct Making {
    file: Arc<dyn File>,
    path: PathBuf,
    size: u64,
    zeroed: u64,
    in_place: bool,
}

impl Making {
    /// Begins to make a file of `size` bytes at `path`, removing what a cut left there.
    pub(crate) fn begin(fs: &dyn FileSystem, path: PathBuf, size: u64) -> Result<Self, LogError> {
        match fs.remove(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(LogError::io(&path, "remove a half-made segment"))?,
        }
        let in_place = fs
            .overwrites_in_place(parent(&path))
            .map_err(LogError::io(&path, "ask for the kind of file system"))?;
        let file = fs.create_new(&path).map_err(LogError::io(&path, "create a segment"))?;
        file.allocate(size).map_err(LogError::io(&path, "allocate a segment"))?;
        Ok(Self { file, path, size, zeroed: 0, in_place })
    }

    /// Writes one chunk of zeros; `true` when the file is complete and its content durable.
    ///
    /// Zeros are written, not only allocated: the first write to an allocated block converts its
    /// extent, which drags a commit of the file system's journal into every sync (measured on
    /// ext4: p50 2.5 times, p99 50 times that of an overwrite). A file system that never
    /// overwrites in place gains nothing by it.
    pub(crate) fn step(&mut self) -> Result<bool, LogError> {
        if self.in_place && self.zeroed < self.size {
            let len = CHUNK.min(self.size - self.zeroed);
            let zeros = Blocks::zeroed(usize::try_from(len).unwrap_or(usize::MAX) / BLOCK);
            let write = self.file.write_all_at(zeros.bytes(), self.zeroed);
            write.map_err(LogError::io(&self.path, "write a segment's zeros"))?;
            self.zeroed += len;
            return Ok(false);
        }
        self.file.sync_all().map_err(LogError::io(&self.path, "sync a new segment"))?;
        Ok(true)
    }

    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Removes the unfinished file, so that its space serves others.
    pub(crate) fn abandon(self, fs: &dyn FileSystem) {
        let path = self.path;
        drop(self.file);
        // The error that led here is the one to tell; a leftover is removed by the next making.
        drop(fs.remove(&path));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_we_give_are_segments() {
        let number = |name: &str| segment_number(OsStr::new(name));
        assert_eq!(number("0000000001.log"), Some(1));
        assert_eq!(number("12345678901.log"), Some(12_345_678_901));
        for name in ["1.log", "0000000000.log", "000000000x.log", "0000000001.log.tmp", "anchor"] {
            assert_eq!(number(name), None, "{name}");
        }
    }
}
