//! A crash state in words.
//!
//! Invariant: a story names calls by the numbers and paths that the program used, so that who
//! reads it finds the line.

use std::fmt;
use std::path::Path;

use super::crash::Cut;
use super::effects::{EffectId, Kind};
use super::history::{At, Call, History, Ino, What};
use super::media::torn::Sectors;

use ondisk_fs::BLOCK;

/// How many things a story names before it says how many more there are.
const NAMED: usize = 6;

/// What a power cut took and what it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// The model that allows it.
    pub model: &'static str,
    /// Which life was cut, the first being 1.
    pub life: u32,
    /// The place.
    pub at: At,
    /// The same in words: what was running, or what came last.
    pub place: String,
    /// What the program was doing, as it said.
    pub label: String,
    /// What was lost, though done.
    pub lost: Vec<String>,
    /// What was kept, though what was lost came before it.
    pub kept: Vec<String>,
    /// What was torn.
    pub torn: Vec<String>,
    /// What had been acknowledged, the last of it.
    pub owed: Vec<String>,
}

impl Story {
    pub(super) fn new(cut: &Cut<'_>, lost: &[EffectId], kept: &[EffectId], torn: &[Torn]) -> Self {
        let history = cut.crash.history();
        let names = |effects: &[EffectId]| {
            let mut names: Vec<String> =
                effects.iter().map(|effect| name_of(cut, *effect)).collect();
            names.dedup();
            names
        };
        Self {
            model: cut.crash.model().name,
            life: history.life,
            at: cut.place(),
            place: place(cut),
            label: cut.label().to_string(),
            lost: names(lost),
            kept: names(kept),
            torn: torn.iter().map(|torn| torn.words(cut)).collect(),
            owed: cut
                .owed()
                .iter()
                .rev()
                .take(NAMED)
                .rev()
                .map(super::history::Ack::text)
                .collect(),
        }
    }
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (word, things) in [("lost", &self.lost), ("tore", &self.torn), ("kept", &self.kept)] {
            if !things.is_empty() {
                parts.push(format!("{word} {}", list(things)));
            }
        }
        if parts.is_empty() {
            parts.push("lost nothing".to_owned());
        }
        write!(f, "{} (power cut in life {}, {}", parts.join(", "), self.life, self.place)?;
        if !self.label.is_empty() {
            write!(f, ", during {}", self.label)?;
        }
        write!(f, "; model {}", self.model)?;
        if !self.owed.is_empty() {
            let owed: Vec<String> = self.owed.iter().map(|note| format!("{note:?}")).collect();
            write!(f, "; acknowledged last: {}", owed.join(", "))?;
        }
        f.write_str(")")
    }
}

fn list(things: &[String]) -> String {
    let named: Vec<String> = things.iter().take(NAMED).map(|thing| format!("`{thing}`")).collect();
    let more = things.len().saturating_sub(NAMED);
    let tail = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{tail}", named.join(", "))
}

/// A block that was torn, with what its sectors show.
#[derive(Clone, Debug)]
pub(super) struct Torn {
    pub(super) ino: Ino,
    pub(super) block: u32,
    pub(super) sectors: Sectors,
}

impl Torn {
    fn words(&self, cut: &Cut<'_>) -> String {
        let new: Vec<String> = (0_u32..)
            .zip(self.sectors)
            .filter(|(_, shows)| shows.is_some_and(|content| content > 0))
            .map(|(sector, _)| sector.to_string())
            .collect();
        let offset = u64::from(self.block) * BLOCK as u64;
        let sectors = if new.is_empty() { "none".to_owned() } else { new.join(" ") };
        format!("{}@{offset} (new sectors: {sectors})", path(cut.crash.history(), self.ino))
    }
}

/// Where a cut is, in words.
fn place(cut: &Cut<'_>) -> String {
    let history = cut.crash.history();
    let (calls, at) = (&history.calls, cut.place());
    let made = calls.partition_point(|call| call.called < at);
    match made.checked_sub(1).map(|last| &calls[last]) {
        None => "before the first call".to_owned(),
        Some(call) if call.returned.is_none_or(|returned| returned >= at) => {
            format!("before `{}` returned", words(history, call))
        }
        Some(call) if made == calls.len() => {
            format!("at the end, after `{}`", words(history, call))
        }
        Some(call) => format!("after `{}`", words(history, call)),
    }
}

fn path(history: &History, ino: Ino) -> String {
    let paths = &history.paths;
    match paths.get(ino.index()).and_then(Option::as_deref) {
        Some(path) if path == Path::new("") => ".".to_owned(),
        Some(path) => path.to_string_lossy().into_owned(),
        None if ino == Ino::ROOT => ".".to_owned(),
        None => format!("inode {}", ino.0),
    }
}

/// A name in a directory, as a path where the directory's is known.
fn spot(history: &History, dir: Ino, name: &std::ffi::OsStr) -> String {
    let name = name.to_string_lossy();
    let paths = &history.paths;
    match paths.get(dir.index()).and_then(Option::as_deref) {
        Some(above)
            if above != Path::new(".") && above != Path::new("") && above != Path::new("/") =>
        {
            format!("{}/{name}", above.to_string_lossy())
        }
        _ => name.into_owned(),
    }
}

/// A call in words.
pub(super) fn words(history: &History, call: &Call) -> String {
    let head = format!("{} #{}", call.what.word(), call.op.0);
    match &call.what {
        What::Create { dir, name, .. }
        | What::Symlink { dir, name, .. }
        | What::Mkdir { dir, name, .. }
        | What::Link { dir, name, .. }
        | What::Unlink { dir, name, .. }
        | What::Rmdir { dir, name, .. } => format!("{head} {}", spot(history, *dir, name)),
        What::Rename { from, to, .. } => {
            format!("{head} {} -> {}", spot(history, from.0, &from.1), spot(history, to.0, &to.1))
        }
        What::Exchange { one, other, .. } => {
            format!(
                "{head} {} <> {}",
                spot(history, one.0, &one.1),
                spot(history, other.0, &other.1)
            )
        }
        What::Write { ino, offset, .. }
        | What::Punch { ino, offset, .. }
        | What::SyncRange { ino, offset, .. } => format!("{head} {}@{offset}", path(history, *ino)),
        What::SetLen { ino, len, .. } | What::Allocate { ino, len, .. } => {
            format!("{head} {} to {len}", path(history, *ino))
        }
        What::Sync { ino, .. }
        | What::SyncDir { ino }
        | What::Chmod { ino, .. }
        | What::Evict { ino, .. }
        | What::Rot { ino, .. } => {
            format!("{head} {}", path(history, *ino))
        }
        What::SyncEverything => head,
    }
}

/// An effect in words: its call, and which part of it.
fn name_of(cut: &Cut<'_>, effect: EffectId) -> String {
    let effects = &cut.crash.effects;
    let known = &effects.list[effect as usize];
    let history = cut.crash.history();
    let call = &history.calls[known.call as usize];
    match (known.kind, &call.what) {
        (Kind::Data { ino, block }, What::Write { offset, .. } | What::Punch { offset, .. }) => {
            let start = (*offset).max(u64::from(block) * BLOCK as u64);
            format!("{} #{} {}@{start}", call.what.word(), call.op.0, path(history, ino))
        }
        (Kind::Len { ino, len }, _) => {
            format!("length {len} of {} by {} #{}", path(history, ino), call.what.word(), call.op.0)
        }
        _ => words(history, call),
    }
}
