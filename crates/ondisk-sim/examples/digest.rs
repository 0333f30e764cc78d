//! One number for many runs: scripts on all schedulers and drives, each with its timeline, its
//! last state and what a cut leaves. Every build on every target gives the same.
//!
//! ```text
//! cargo run -p ondisk-sim --example digest               a line for each script, then the whole
//! cargo run -p ondisk-sim --example digest --release     the same
//! ```

use std::process::ExitCode;

use ondisk_sim::machine::choice::Seeded;
use ondisk_sim::machine::config::{DataMode, DriveCache, Ext4Options, FlushIs, Link};
use ondisk_sim::machine::config::{Mount, Scheduler};
use ondisk_sim::machine::digest::Digest;
use ondisk_sim::machine::play::{Play, Stage};
use ondisk_sim::machine::timeline::{Header, Recorder};
use ondisk_sim::machine::{Config, Death};
use ondisk_sim::ops::script::Script;

/// What all runs together give. It changes whenever the machine does something else: then the new
/// number belongs here, with the reason in the commit.
pub(crate) const GOLDEN: &str = "9f14d35a57edd00359a410c853a71997";

/// The seed of every run.
const SEED: u64 = 7;

macro_rules! scripts {
    ($($name:literal on $mount:expr;)*) => {
        [$((
            $name,
            include_str!(concat!("../../../examples/scripts/", $name, ".ondisk")),
            $mount as fn() -> Mount,
        ),)*]
    };
}

/// A script's name, its text, and what it runs on.
pub(crate) type Case = (&'static str, &'static str, fn() -> Mount);

/// The scripts.
pub(crate) const SCRIPTS: [Case; 24] = scripts! {
    "batch_of_100" on ordered;
    "buffer_full" on writeback;
    "capacitors" on ordered;
    "failed_fsync" on ordered;
    "fdatasync_growing" on nodelalloc;
    "fdatasync_written" on dioread_lock;
    "fsync" on journal;
    "fsync_without_flush" on ordered;
    "group_commit" on ordered;
    "log_after_page" on writeback;
    "log_before_page" on dioread_lock;
    "log_truncate" on ordered;
    "log_truncate_without_sync" on journal;
    "lying_drive" on ordered;
    "merge_and_reorder" on nodelalloc;
    "network_file_system" on || Mount::Nfs;
    "new_file_with_directory" on ordered;
    "ordered_journaling" on ordered;
    "ram_disk" on || Mount::Tmpfs;
    "rename_with_sync" on journal;
    "rename_without_sync" on ordered;
    "sleep_15s_cut" on ordered;
    "sleep_5s_crash" on writeback;
    "wal_commit" on ordered;
};

fn ext4(with: fn(&mut Ext4Options)) -> Mount {
    let mut options = Ext4Options::default();
    with(&mut options);
    Mount::Ext4(options)
}

fn ordered() -> Mount {
    ext4(|_| {})
}

fn writeback() -> Mount {
    ext4(|options| options.data = DataMode::Writeback)
}

fn journal() -> Mount {
    ext4(|options| options.data = DataMode::Journal)
}

fn dioread_lock() -> Mount {
    ext4(|options| options.dioread_lock = true)
}

fn nodelalloc() -> Mount {
    ext4(|options| options.delalloc = false)
}

/// All machines that a script runs on.
pub(crate) fn configs(mount: fn() -> Mount) -> impl Iterator<Item = Config> {
    let schedulers = [Scheduler::None, Scheduler::MqDeadline, Scheduler::Bfq];
    let drives = [
        (DriveCache::Volatile, FlushIs::Honest, Link::Nvme),
        (DriveCache::Volatile, FlushIs::Honest, Link::Sata),
        (DriveCache::Capacitor, FlushIs::Honest, Link::Nvme),
        (DriveCache::None, FlushIs::Honest, Link::Nvme),
        (DriveCache::Volatile, FlushIs::Lies, Link::Nvme),
    ];
    schedulers.into_iter().flat_map(move |scheduler| {
        drives.into_iter().map(move |(cache, flush, link)| {
            let mut config = Config { mount: mount(), ..Config::default() };
            config.block.scheduler = scheduler;
            (config.drive.cache, config.drive.flush, config.drive.link) = (cache, flush, link);
            config.drive.torn = true;
            config
        })
    })
}

/// One run: its timeline, the machine as it is then, and what cuts on the way and at the end leave.
///
/// # Errors
/// When the script does not run.
pub(crate) fn run(script: &Script, config: Config, digest: &mut Digest) -> Result<(), String> {
    let stage = Stage { config, seed: SEED, ..Stage::default() };
    let mut play = Play::new(script, &stage).map_err(|error| error.to_string())?;
    let mut recorder = Recorder::new(&Header::default());
    while let Some(event) = play.event() {
        play.sim().tell(&mut recorder, &event, "");
        if recorder.events().is_multiple_of(64) {
            add(digest, play.cut(Death::Cut, &mut Seeded::new(recorder.events())).digest());
        }
    }
    add(digest, play.sim().digest());
    add(digest, play.cut(Death::Cut, &mut Seeded::new(SEED)).digest());
    let text = recorder.finish();
    digest.add(text.len() as u64);
    for bytes in text.as_bytes().chunks(8) {
        let mut word = [0; 8];
        word[..bytes.len()].copy_from_slice(bytes);
        digest.add(u64::from_le_bytes(word));
    }
    Ok(())
}

fn add(digest: &mut Digest, Digest(a, b): Digest) {
    digest.add(a);
    digest.add(b);
}

fn show(Digest(a, b): Digest) -> String {
    format!("{a:016x}{b:016x}")
}

/// The number of all runs; `line` is told each script's.
///
/// # Errors
/// When a script is none, or does not run.
pub(crate) fn whole(line: &mut dyn FnMut(&str, &str)) -> Result<String, String> {
    let mut all = Digest::default();
    for (name, text, mount) in SCRIPTS {
        let script = Script::parse(text).map_err(|error| format!("{name}: {error}"))?;
        let mut digest = Digest::default();
        for config in configs(mount) {
            run(&script, config, &mut digest).map_err(|error| format!("{name}: {error}"))?;
        }
        line(name, &show(digest));
        add(&mut all, digest);
    }
    Ok(show(all))
}

/// Prints them, and whether the whole is what it should be.
fn main() -> ExitCode {
    match whole(&mut |name, digest| println!("{digest}  {name}")) {
        Ok(digest) if digest == GOLDEN => {
            println!("{digest}  the whole, as it should be");
            ExitCode::SUCCESS
        }
        Ok(digest) => {
            println!("{digest}  the whole; it should be {GOLDEN}");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}
