//! How a machine is built, in the words of options: `fs`, `mount`, `scheduler`, `drive`, `profile`,
//! `seed`.
//!
//! Invariant: each word is one of a stated list, and what the words mean together is decided here:
//! the model that speaks for a file system is picked nowhere else.

use super::config::{
    self as parts, Config, DataMode, DriveCache, Ext4Options, FlushIs, Scheduler as Order,
};
use super::play::Stage;
use crate::ops::Model;
use crate::ops::script::Profile;

/// The file systems: of the first three there is a machine, of the others a set of states.
pub const FILE_SYSTEMS: [&str; 6] = ["ext4", "tmpfs", "nfs", "xfs", "btrfs", "posix"];
/// How ext4 is mounted: several with commas.
pub const MOUNTS: [&str; 5] = ["ordered", "writeback", "journal", "dioread_lock", "nodelalloc"];
/// Which scheduler orders the requests.
pub const SCHEDULERS: [&str; 3] = ["none", "mq-deadline", "bfq"];
/// What the drive's cache is worth: emptied by a cut; outliving one; not there; emptied by a cut,
/// and a FLUSH is answered and not obeyed.
pub const DRIVES: [&str; 4] = ["volatile", "capacitor", "none", "lies"];

/// A word that is none of its list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: there is no {word:?}: {}", known.join(", "))]
pub struct Unknown {
    /// Of what.
    pub name: &'static str,
    /// The word, shortened.
    pub word: String,
    /// Those that there are.
    pub known: Vec<&'static str>,
}

/// How a machine is built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Knobs {
    fs: &'static str,
    mount: Vec<&'static str>,
    scheduler: &'static str,
    drive: &'static str,
    profile: Profile,
    /// Of everything that is left to chance.
    pub seed: u64,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            fs: FILE_SYSTEMS[0],
            mount: vec![MOUNTS[0]],
            scheduler: SCHEDULERS[0],
            drive: DRIVES[0],
            profile: Profile::default(),
            seed: 1,
        }
    }
}

/// A word of a list.
fn one(name: &'static str, known: &[&'static str], word: &str) -> Result<&'static str, Unknown> {
    let found = known.iter().find(|one| **one == word).copied();
    found.ok_or_else(|| Unknown { name, word: short(word), known: known.to_vec() })
}

fn short(word: &str) -> String {
    word.chars().take(40).collect()
}

impl Knobs {
    /// Says one of them; `false` where there is none of this name.
    ///
    /// # Errors
    /// A word that is none of its list.
    pub fn set(&mut self, name: &str, word: &str) -> Result<bool, Unknown> {
        match name {
            "fs" => self.fs = one("fs", &FILE_SYSTEMS, word)?,
            "mount" => {
                let words = word.split(',').filter(|word| !word.is_empty());
                self.mount =
                    words.map(|word| one("mount", &MOUNTS, word)).collect::<Result<_, _>>()?;
            }
            "scheduler" => self.scheduler = one("scheduler", &SCHEDULERS, word)?,
            "drive" => self.drive = one("drive", &DRIVES, word)?,
            "profile" => {
                self.profile = Profile::named(word).ok_or_else(|| Unknown {
                    name: "profile",
                    word: short(word),
                    known: Profile::ALL.map(|profile| profile.name).to_vec(),
                })?;
            }
            "seed" => {
                self.seed = word.parse().map_err(|_| Unknown {
                    name: "seed",
                    word: short(word),
                    known: vec!["a number of 64 bits"],
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// All of them by name, the seed left out.
    #[must_use]
    pub fn words(&self) -> [(&'static str, String); 5] {
        [
            ("fs", self.fs.to_owned()),
            ("mount", self.mount.join(",")),
            ("scheduler", self.scheduler.to_owned()),
            ("drive", self.drive.to_owned()),
            ("profile", self.profile.name.to_owned()),
        ]
    }

    /// The file system.
    #[must_use]
    pub fn fs(&self) -> &'static str {
        self.fs
    }

    /// Whether a FLUSH is obeyed.
    #[must_use]
    pub fn is_honest(&self) -> bool {
        self.drive != "lies"
    }

    /// The machine; `None` where a file system is a set of states.
    #[must_use]
    pub fn stage(&self) -> Option<Stage> {
        let mount = match self.fs {
            "ext4" => parts::Mount::Ext4(self.options()),
            "tmpfs" => parts::Mount::Tmpfs,
            "nfs" => parts::Mount::Nfs,
            _ => return None,
        };
        let mut config = Config { mount, ..Config::default() };
        config.block.scheduler = match self.scheduler {
            "bfq" => Order::Bfq,
            "mq-deadline" => Order::MqDeadline,
            _ => Order::None,
        };
        (config.drive.cache, config.drive.flush) = match self.drive {
            "capacitor" => (DriveCache::Capacitor, FlushIs::Honest),
            "none" => (DriveCache::None, FlushIs::Honest),
            "lies" => (DriveCache::Volatile, FlushIs::Lies),
            _ => (DriveCache::Volatile, FlushIs::Honest),
        };
        Some(Stage { config, profile: self.profile, seed: self.seed })
    }

    /// A machine that makes the calls of a script, where the file system itself has none.
    #[must_use]
    pub fn caller(&self) -> Stage {
        self.stage().unwrap_or(Stage {
            config: Config::default(),
            profile: self.profile,
            seed: self.seed,
        })
    }

    fn has(&self, mount: &str) -> bool {
        self.mount.contains(&mount)
    }

    fn options(&self) -> Ext4Options {
        let data = match () {
            () if self.has("journal") => DataMode::Journal,
            () if self.has("writeback") => DataMode::Writeback,
            () => DataMode::Ordered,
        };
        Ext4Options {
            data,
            delalloc: !self.has("nodelalloc"),
            dioread_lock: self.has("dioread_lock"),
            ..Ext4Options::default()
        }
    }

    /// The row that speaks for this file system; `None` where its name alone says what is left.
    #[must_use]
    pub fn model(&self) -> Option<Model> {
        let name = match self.fs {
            "ext4" if self.has("journal") => "ext4:journal",
            "ext4" if self.has("writeback") => "ext4:writeback",
            "ext4" if self.has("nodelalloc") => "ext4:nodelalloc",
            "ext4" if self.has("dioread_lock") => "ext4:dioread_lock",
            "tmpfs" | "nfs" => return None,
            fs => fs,
        };
        Model::named(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_taken_from_their_lists_alone() {
        let mut knobs = Knobs::default();
        assert_eq!(knobs.model().map(|model| model.name), Some("ext4"));
        for (name, word) in [("fs", "xfs"), ("drive", "lies"), ("seed", "18446744073709551615")] {
            assert_eq!(knobs.set(name, word), Ok(true));
        }
        assert!(knobs.stage().is_none() && !knobs.is_honest() && knobs.seed == u64::MAX);
        assert_eq!(knobs.model().map(|model| model.name), Some("xfs"));
        assert_eq!(knobs.set("colour", "red"), Ok(false));
        for (name, word) in [("fs", "zfs"), ("mount", "ordered,fast"), ("seed", "-1")] {
            assert!(knobs.set(name, word).is_err(), "{name}={word}");
        }
    }

    #[test]
    fn a_mount_of_several_words_is_one_machine_and_one_model() {
        let mut knobs = Knobs::default();
        assert_eq!(knobs.set("mount", "nodelalloc,journal"), Ok(true));
        let stage = knobs.stage().map(|stage| stage.config.mount);
        let Some(parts::Mount::Ext4(options)) = stage else { panic!("it is ext4") };
        assert!(options.data == DataMode::Journal && !options.delalloc);
        assert_eq!(knobs.model().map(|model| model.name), Some("ext4:journal"));
        assert_eq!(knobs.words()[1], ("mount", "nodelalloc,journal".to_owned()));
    }
}
