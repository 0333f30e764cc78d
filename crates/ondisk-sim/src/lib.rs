//! What a power cut may leave on disk, as a library for anybody's tests.
//!
//! The *operations level*: a program runs on a [`MemFs`], which records its calls as a
//! [`History`]. It can be cut at any moment; what may then be on the media is a set, and a
//! [`Model`] says which: `posix`, `ext4`, `strict`. A [`CrashFs`] is one member of that set,
//! decided lazily, place by place, as recovery reads it. All three sit behind the seam
//! [`ondisk_fs::FileSystem`], so the program under test cannot tell.
//!
//! Everything is deterministic: no clock, no thread, no random order, no address. Knows nothing
//! of logs and engines.

pub mod ops;

pub use ops::{
    Ack, At, Call, Fault, History, How, Image, Ino, MemFs, Node, OpId, Place, SimError, SyncKind,
    Target, What,
};
