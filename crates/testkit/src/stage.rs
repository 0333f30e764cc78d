//! Where a workload plays: a file system, a place for acknowledgements, and labels for what it is
//! doing.
//!
//! Invariant: a note is written down only after what it says has happened (or, where it announces
//! something, before it begins), so every note before a cut is owed by that cut.

use std::sync::Arc;

use ondisk_fs::FileSystem;
use ondisk_sim::{Ack, CrashFs, MemFs};

/// A simulated file system that a workload runs on.
pub trait Stage {
    /// The seam.
    fn share(&self) -> Arc<dyn FileSystem>;
    /// Writes something down that every later cut owes.
    fn note(&self, note: &Note);
    /// Says what the program does from here on.
    fn label(&self, label: &str);
}

impl Stage for MemFs {
    fn share(&self) -> Arc<dyn FileSystem> {
        self.share()
    }

    fn note(&self, note: &Note) {
        self.ack(note.encode());
    }

    fn label(&self, label: &str) {
        self.label(label);
    }
}

impl Stage for CrashFs {
    fn share(&self) -> Arc<dyn FileSystem> {
        Arc::new(self.clone())
    }

    fn note(&self, note: &Note) {
        self.ack(note.encode());
    }

    fn label(&self, label: &str) {
        MemFs::label(self, label);
    }
}

/// The notes among what a cut owes.
#[must_use]
pub fn notes(acks: &[Ack]) -> Vec<Note> {
    acks.iter().map(|ack| Note::decode(&ack.note)).collect()
}

/// The notes of the last opening, and how many openings there were. (An opening is noted when it
/// has returned.)
#[must_use]
pub fn last_chapter(notes: &[Note]) -> (usize, &[Note]) {
    let openings = notes.iter().filter(|note| **note == Note::Opened).count();
    let from = notes.iter().rposition(|note| *note == Note::Opened).map_or(0, |at| at + 1);
    (openings, &notes[from..])
}

/// Something that a verdict needs to know about the time before a cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Commit `n` of this life was acknowledged with this LSN, durable or not.
    Acknowledged {
        /// Which commit of this life, from 1.
        n: u32,
        /// Its LSN.
        lsn: u64,
        /// Its receipt named the rung `Durable`.
        durable: bool,
    },
    /// All commits of this life through `n` were made durable by a later sync.
    Durable {
        /// The last of them.
        n: u32,
    },
    /// Commits `from..=to` are about to be appended as one: all or none.
    Together {
        /// The first.
        from: u32,
        /// The last.
        to: u32,
    },
    /// A checkpoint at `lsn` is about to be asked for: commits up to it may be truncated from
    /// here on.
    Checkpoint {
        /// Through here.
        lsn: u64,
    },
    /// The log was closed.
    Closed,
    /// An opening has returned: what it served is owed.
    Opened,
}

impl Note {
    /// As bytes, for the simulation's record of acknowledgements.
    #[must_use]
    pub fn encode(&self) -> [u8; 14] {
        let (kind, a, b, flag) = match *self {
            Self::Acknowledged { n, lsn, durable } => (1, n, lsn, u8::from(durable)),
            Self::Durable { n } => (2, n, 0, 0),
            Self::Together { from, to } => (3, from, u64::from(to), 0),
            Self::Checkpoint { lsn } => (4, 0, lsn, 0),
            Self::Closed => (5, 0, 0, 0),
            Self::Opened => (6, 0, 0, 0),
        };
        let mut bytes = [0; 14];
        bytes[0] = kind;
        bytes[1..5].copy_from_slice(&a.to_le_bytes());
        bytes[5..13].copy_from_slice(&b.to_le_bytes());
        bytes[13] = flag;
        bytes
    }

    /// Reads a note back.
    ///
    /// # Panics
    /// On bytes that are no note: only a test's own mistake makes them.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Self {
        let a = u32::from_le_bytes(bytes[1..5].try_into().expect("four bytes"));
        let b = u64::from_le_bytes(bytes[5..13].try_into().expect("eight bytes"));
        match bytes[0] {
            1 => Self::Acknowledged { n: a, lsn: b, durable: bytes[13] == 1 },
            2 => Self::Durable { n: a },
            3 => Self::Together { from: a, to: u32::try_from(b).expect("was 32 bits") },
            4 => Self::Checkpoint { lsn: b },
            5 => Self::Closed,
            6 => Self::Opened,
            kind => panic!("note of kind {kind}"),
        }
    }
}
