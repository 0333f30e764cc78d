//! The operations level: histories of calls, models of what a cut may leave, crash states.
//!
//! Invariant: nothing in here knows of time, of a clock or of the layers of a machine. A model is
//! a set, and a history is all that it is computed from.

mod check;
mod chooser;
mod contains;
mod crash;
mod crash_fs;
pub mod digest;
mod effects;
mod explore;
mod fault;
mod history;
mod image;
mod live;
mod media;
mod mem_fs;
pub mod model;
pub(crate) mod path;
pub mod record;
pub mod script;

mod seam;
mod shrink;
mod store;
mod story;
mod tally;
pub mod verdict;

pub use check::{Check, check};
pub use chooser::{Answer, Chooser, Newest, Oldest, Question, Seeded};
pub use contains::{Member, Members, Membership, Refuted, Rule, Witness};
pub use crash::{Crash, Cut, Where};
pub use crash_fs::{CrashFs, StateId};
pub use explore::{Budget, Failure, Report, Verdict};
pub use fault::{Fault, How, Place, SimError, Target};
pub use history::{Ack, At, Call, History, Ino, OpId, SyncKind, What, WriteSync};
pub use image::{Image, Node};
pub use mem_fs::MemFs;
pub use model::Model;
pub use story::Story;
pub use tally::{Group, Tally};
