//! The operations level: histories of calls, models of what a cut may leave, crash states.
//!
//! Invariant: nothing in here knows of time, of a clock or of the layers of a machine. A model is
//! a set, and a history is all that it is computed from.

mod digest;
mod fault;

mod history;
mod image;
mod live;
mod media;
mod mem_fs;
mod path;
mod seam;
mod store;

pub use fault::{Fault, How, Place, SimError, Target};
pub use history::{Ack, At, Call, History, Ino, OpId, SyncKind, What};
pub use image::{Image, Node};
pub use mem_fs::MemFs;
