//! What a run did: its calls and its acknowledgements, each with the number of the event at which it
//! was done.
//!
//! Invariant: at the operations level these are all the events, and to die at one is to die when it
//! was done and, where it promises something, before the promise was given. The machine has many
//! more, which the timeline tells, and to die at one is to die behind it.

use ondisk_sim::ops::verdict::Claim;
use ondisk_sim::{At, History};
use serde::Serialize;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Event {
    /// The event at which it was done,
    pub(crate) i: u32,
    /// and at which it began.
    pub(crate) from: u32,
    /// When, in nanoseconds; at the operations level there is no time.
    pub(crate) t: Option<u64>,
    /// What it was, in words.
    pub(crate) what: String,
    /// Where a death at it is, at the operations level.
    #[serde(skip)]
    pub(crate) at: At,
}

/// All that happened.
pub(crate) fn list(history: &History, claims: &[Claim]) -> Vec<Event> {
    let calls = history.calls.iter().map(|call| {
        let returned = call.returned.unwrap_or(history.end);
        let failed = if call.result.is_err() { " (failed)" } else { "" };
        (call.called, returned, format!("{}{failed}", in_script_words(&history.words(call))))
    });
    let acks = claims.iter().map(|claim| {
        let text = String::from_utf8_lossy(&claim.text);
        (claim.at, At(claim.at.0.saturating_add(1)), format!("ack {text:?}"))
    });
    let mut all: Vec<(At, At, String)> = calls.chain(acks).collect();
    all.sort();
    let numbered = (1..).zip(all);
    numbered.map(|(i, (_, at, what))| Event { i, from: i, t: None, what, at }).collect()
}

/// A story in the words that scripts have for calls.
pub(crate) fn in_script_words(story: &str) -> String {
    const WORDS: [(&str, &str); 5] = [
        ("sync_all #", "fsync #"),
        ("sync_data #", "fdatasync #"),
        ("sync_dir #", "fsyncdir #"),
        ("set_len #", "setlen #"),
        ("write_durable #", "write #"),
    ];
    WORDS.iter().fold(story.to_owned(), |story, (theirs, ours)| story.replace(theirs, ours))
}
