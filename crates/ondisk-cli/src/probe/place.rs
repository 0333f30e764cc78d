//! Where a directory is: its file system, how that is mounted, and what the drive says of itself.
//!
//! Invariant: nothing is guessed. What the operating system does not tell is `None`.
//!
//! Linux tells it in `/proc/self/mountinfo` and `/sys/dev/block`; elsewhere nothing is known yet.

use std::io;
use std::path::{Path, PathBuf};

use ondisk_fs::{FileSystem, OsFs};
use serde::Serialize;

/// Where a directory is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Place {
    /// What the directory is mounted from.
    pub(super) mount: Option<Mount>,
    /// The drive, or what stands for one.
    pub(super) drive: Option<Drive>,
    /// Whether an overwrite of written blocks stays in place.
    pub(super) overwrites_in_place: bool,
    /// Whether the processor is one that a hypervisor lends.
    pub(super) virtual_machine: Option<bool>,
}

impl Place {
    /// Asks the operating system.
    pub(super) fn of(dir: &Path) -> io::Result<Self> {
        let overwrites_in_place = OsFs.overwrites_in_place(dir)?;
        let mount = read("/proc/self/mountinfo")
            .zip(std::fs::canonicalize(dir).ok())
            .and_then(|(mounts, dir)| Mount::find(&mounts, &dir));
        let drive = mount.as_ref().and_then(Drive::below);
        let virtual_machine = read("/proc/cpuinfo").as_deref().and_then(has_hypervisor);
        Ok(Self { mount, drive, overwrites_in_place, virtual_machine })
    }
}

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Mount {
    /// Its kind, such as `ext4`.
    pub(super) file_system: String,
    /// Where it is mounted.
    pub(super) mount_point: PathBuf,
    /// What is mounted, such as `/dev/sda1`.
    pub(super) source: String,
    /// The options, of the mount and of the file system, as the kernel tells them.
    pub(super) options: String,
    /// The device's number, `major:minor`; major 0 where there is none of its own.
    #[serde(skip)]
    device: String,
}

impl Mount {
    /// Finds the mount that a path is on in the text of `/proc/self/mountinfo`: the innermost, and
    /// of those at one place the last, which hides the others.
    pub(super) fn find(mountinfo: &str, path: &Path) -> Option<Self> {
        mountinfo
            .lines()
            .filter_map(Self::parse)
            .filter(|mount| path.starts_with(&mount.mount_point))
            .max_by_key(|mount| mount.mount_point.components().count())
    }

    /// Reads one line, such as
    /// `36 35 98:0 /root /mnt rw,noatime master:1 - ext4 /dev/sda1 rw,barrier=0`.
    fn parse(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(2);
        let (device, _root) = (mount.next()?, mount.next()?);
        let (mount_point, options) = (mount.next()?, mount.next()?);
        let mut file_system = file_system.split(' ');
        Some(Self {
            file_system: file_system.next()?.to_owned(),
            mount_point: PathBuf::from(unescape(mount_point)),
            source: unescape(file_system.next()?),
            options: format!("{options},{}", file_system.next().unwrap_or_default()),
            device: device.to_owned(),
        })
    }

    /// Whether an option is set, as a whole word.
    pub(super) fn has_option(&self, option: &str) -> bool {
        self.options.split(',').any(|set| set == option)
    }
}

/// The kernel writes blanks and backslashes in a path as three octal digits.
fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) if code.is_ascii() => {
                plain.push(code.into());
                rest = after.get(3..).unwrap_or_default();
            }
            _ => {
                plain.push('\\');
                rest = after;
            }
        }
    }
    plain + rest
}

/// What a drive says of its own cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Cache {
    /// It has one that a loss of power empties: `write back`.
    Volatile,
    /// It has none, or one that outlives a loss of power: `write through`.
    None,
}

/// What a block device says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Drive {
    /// Its name in `/sys/block`, or the partition's.
    pub(super) name: String,
    /// Its cache.
    pub(super) cache: Option<Cache>,
    /// Whether it takes writes that pass its cache (FUA).
    pub(super) fua: Option<bool>,
    /// Whether it says that it turns.
    pub(super) rotational: Option<bool>,
}

impl Drive {
    /// The block device under a mount.
    fn below(mount: &Mount) -> Option<Self> {
        let number = if mount.device.starts_with("0:") {
            device_number(&mount.source)? // btrfs, for one, has no number of its own
        } else {
            mount.device.clone()
        };
        let link = PathBuf::from(format!("/sys/dev/block/{number}"));
        let device = std::fs::canonicalize(link).ok()?;
        let name = device.file_name()?.to_str()?.to_owned();
        // A partition has no queue; its disk, one up, has.
        let queue = [device.join("queue"), device.parent()?.join("queue")]
            .into_iter()
            .find(|queue| queue.is_dir())?;
        let value = |file: &str| read(queue.join(file));
        Some(Self {
            name,
            cache: value("write_cache").as_deref().and_then(parse_cache),
            fua: value("fua").as_deref().and_then(parse_flag),
            rotational: value("rotational").as_deref().and_then(parse_flag),
        })
    }
}

/// The number of the device that a path names, `major:minor`.
#[cfg(target_os = "linux")]
fn device_number(path: &str) -> Option<String> {
    let stat = rustix::fs::stat(Path::new(path)).ok()?;
    let is_device = rustix::fs::FileType::from_raw_mode(stat.st_mode).is_block_device();
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    is_device.then(|| format!("{major}:{minor}"))
}

#[cfg(not(target_os = "linux"))]
fn device_number(_: &str) -> Option<String> {
    None
}

fn parse_cache(text: &str) -> Option<Cache> {
    match text.trim() {
        "write back" => Some(Cache::Volatile),
        "write through" => Some(Cache::None),
        _ => None,
    }
}

fn parse_flag(text: &str) -> Option<bool> {
    match text.trim() {
        "1" => Some(true),
        "0" => Some(false),
        _ => None,
    }
}

/// Whether the text of `/proc/cpuinfo` has the flag by which a hypervisor makes itself known;
/// `None` on processors that have no flags.
fn has_hypervisor(cpuinfo: &str) -> Option<bool> {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags"))?;
    Some(flags.split_whitespace().any(|flag| flag == "hypervisor"))
}

/// A small text that the kernel makes up. `None` where there is no such thing.
fn read(path: impl AsRef<Path>) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

#[cfg(test)]
mod tests;
