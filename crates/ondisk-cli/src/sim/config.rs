//! The machine that a script runs on, as options say it, and the moment at which it dies.
//!
//! Invariant: each word is one of a stated list; what they mean together is the simulation's to say
//! ([`Knobs`]).

use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use ondisk_sim::Model;
use ondisk_sim::machine::knobs::Knobs;
use ondisk_sim::machine::play::Stage;
use ondisk_sim::ops::script::{Drive as ScriptDrive, Profile};
use serde::Serialize;

/// The machine.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Config {
    /// The file system: ext4, tmpfs and nfs have layers to look into; xfs, btrfs and posix are sets
    /// of states
    #[arg(long, value_name = "NAME", default_value = "ext4")]
    pub(crate) fs: FileSystem,
    /// How ext4 is mounted; several with commas
    #[arg(long, value_name = "OPTION", value_delimiter = ',', default_value = "ordered")]
    pub(crate) mount: Vec<Mount>,
    /// Which scheduler orders the requests
    #[arg(long, value_name = "NAME", default_value = "none")]
    pub(crate) scheduler: Scheduler,
    /// What the drive's cache is worth
    #[arg(long, value_name = "KIND", default_value = "volatile")]
    pub(crate) drive: Drive,
    /// Whose buffer stands in front of write(2): rust, c, python3.13, python3.14; the last two with
    /// :bytes for files opened as bytes
    #[arg(long, value_name = "NAME", default_value = "rust", value_parser = profile)]
    pub(crate) profile: Profile,
    /// Repeats a run exactly
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

/// `--fs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FileSystem {
    Ext4,
    Xfs,
    Btrfs,
    Posix,
    Tmpfs,
    Nfs,
}

/// `--mount`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mount {
    Ordered,
    Writeback,
    Journal,
    #[value(name = "dioread_lock")]
    DioreadLock,
    Nodelalloc,
}

/// `--scheduler`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scheduler {
    None,
    MqDeadline,
    Bfq,
}

/// `--drive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drive {
    /// A cache that a cut empties, and a FLUSH that is obeyed.
    Volatile,
    /// A cache that outlives a cut.
    Capacitor,
    /// No cache.
    None,
    /// A cache that a cut empties, and a FLUSH that is answered and not obeyed.
    Lies,
}

/// A way to die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Fatal {
    Cut,
    Crash,
    Kill,
}

/// The moment of a death: an event by its number, or each in turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    All,
    Event(u32),
}

impl When {
    /// Whether there is such a moment in a run with so many events.
    pub(crate) fn is_within(&self, last: u32) -> bool {
        match self {
            Self::All => true,
            Self::Event(event) => (1..=last).contains(event),
        }
    }
}

impl FromStr for When {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            _ => text
                .parse()
                .map(Self::Event)
                .map_err(|_| "expected the number of an event, or `all`".to_owned()),
        }
    }
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Event(event) => write!(f, "{event}"),
        }
    }
}

/// A buffer by the name of whose it is.
fn profile(name: &str) -> Result<Profile, String> {
    let names = || Profile::ALL.map(|profile| profile.name).join(", ");
    Profile::named(name).ok_or_else(|| format!("there is no such buffer: {}", names()))
}

/// The word of an option.
pub(crate) fn word<T: ValueEnum>(value: T) -> String {
    value.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
}

impl Config {
    /// The machine without options.
    pub(crate) fn plain(seed: u64) -> Self {
        Self {
            fs: FileSystem::Ext4,
            mount: vec![Mount::Ordered],
            scheduler: Scheduler::None,
            drive: Drive::Volatile,
            profile: Profile::default(),
            seed,
        }
    }

    /// The mount options as they are typed.
    pub(crate) fn mount_words(&self) -> String {
        self.mount.iter().map(|mount| word(*mount)).collect::<Vec<_>>().join(",")
    }

    /// The same in the simulation's own words, which say what they mean together.
    pub(crate) fn knobs(&self) -> Knobs {
        let mut knobs = Knobs::default();
        knobs.seed = self.seed;
        let words = [
            ("fs", word(self.fs)),
            ("mount", self.mount_words()),
            ("scheduler", word(self.scheduler)),
            ("drive", word(self.drive)),
            ("profile", self.profile.name.to_owned()),
        ];
        for (name, word) in words {
            let known = knobs.set(name, &word);
            debug_assert_eq!(known, Ok(true), "a test goes through all of them");
        }
        knobs
    }

    /// What the operations level knows of the drive.
    pub(crate) fn script_drive(&self) -> ScriptDrive {
        match self.drive {
            Drive::Lies => ScriptDrive::Lies,
            Drive::Volatile | Drive::Capacitor | Drive::None => ScriptDrive::Honest,
        }
    }

    /// Whether this is the machine without options; the seed may be any.
    pub(crate) fn is_plain(&self) -> bool {
        self.knobs() == Self::plain(self.seed).knobs()
    }

    /// The machine that these parts make; `None` where a file system is a set of states.
    pub(crate) fn stage(&self) -> Option<Stage> {
        self.knobs().stage()
    }

    /// The row that speaks for this file system; `None` where its name alone says what is left.
    pub(crate) fn model(&self) -> Option<Model> {
        self.knobs().model()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sets each value of an option in turn; the simulation knows the word.
    fn each<T: ValueEnum>(name: &'static str, set: impl Fn(&mut Config, T)) {
        for value in T::value_variants() {
            let mut config = Config::plain(1);
            set(&mut config, value.clone());
            let words = config.knobs().words();
            assert!(words.contains(&(name, word(value.clone()))), "{name} {words:?}");
        }
    }

    #[test]
    fn the_simulation_knows_each_word() {
        each("fs", |config, fs| config.fs = fs);
        each("mount", |config, mount| config.mount = vec![mount]);
        each("scheduler", |config, scheduler| config.scheduler = scheduler);
        each("drive", |config, drive| config.drive = drive);
        for profile in Profile::ALL {
            let knobs = Config { profile, ..Config::plain(7) }.knobs();
            assert!(knobs.words().contains(&("profile", profile.name.to_owned())));
            assert_eq!(knobs.seed, 7);
        }
    }
}
