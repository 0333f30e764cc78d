//! What a power cut may leave on disk, as a library for anybody's tests.
//!
//! The *operations level*: a program runs on a [`MemFs`], which records its calls as a
//! [`History`]. It can be cut at any moment; what may then be on the media is a set, and a
//! [`Model`] says which: `posix`, `ext4` and its mount options, `xfs`, `btrfs`, `strict`. A
//! [`CrashFs`] is one member of that set, decided lazily, place by place, as recovery reads it. All of them sit behind the seam
//! [`ondisk_fs::FileSystem`], so the program under test cannot tell.
//!
//! [`check`] is the front door. Behind it stand [`Crash`], all cuts of one life under one model;
//! [`Cut`], one of them; and [`Crash::explore`], which runs a check on state after state. A check
//! may go on working on its state and cut that further life too ([`Crash::of_life`]).
//!
//! ```
//! use ondisk_sim::model::EXT4;
//! use ondisk_sim::{Budget, Crash, MemFs, Tally, Where};
//! # use ondisk_fs::{FileSystem, create_durable};
//! let fs = MemFs::new();
//! create_durable(&fs, "a".as_ref(), b"one")?;
//! fs.ack("one");
//! let tally = Tally::new();
//! let first = Crash::new(&EXT4, fs.history());
//! let report = first.explore(Where::AtSyncs, Budget::per_cut(100), &tally, &mut |fs| {
//!     if !fs.owed().is_empty() {
//!         assert_eq!(fs.read("a")?, b"one");
//!     }
//!     create_durable(fs, "b".as_ref(), b"two")?; // recovery writes, and is cut in turn
//!     fs.ack("two");
//!     let second = Crash::of_life(&EXT4, fs);
//!     let further = second.explore(Where::AtSyncs, Budget::per_cut(20), &tally, &mut |fs| {
//!         let owed = fs.owed_text().any(|note| note == "two");
//!         if owed && fs.read("b")? != b"two" { Err("b is lost".into()) } else { Ok(()) }
//!     });
//!     further.into_result()?;
//!     Ok(())
//! });
//! assert!(report.failure.is_none());
//! println!("{report}; {} states in all", tally.states());
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Everything is deterministic: no clock, no thread, no random order, no address. Knows nothing
//! of logs and engines.

#[cfg(feature = "machine")]
pub mod machine;
pub mod ops;

pub use ops::{
    Ack, Answer, At, Budget, Call, Check, Chooser, Crash, CrashFs, Cut, Failure, Fault, Group,
    History, How, Image, Ino, MemFs, Member, Members, Membership, Model, Newest, Node, Oldest,
    OpId, Place, Question, Refuted, Report, Rule, Seeded, SimError, StateId, Story, SyncKind,
    Tally, Target, Verdict, What, Where, Witness, WriteSync, check,
};
pub use ops::{model, record};
