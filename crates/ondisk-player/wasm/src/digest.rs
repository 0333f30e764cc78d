//! A moment as two numbers: the machine, and what survives it.
//!
//! Invariant: the same on every target, so that two builds of the simulation can be told apart.

use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::digest::Digest;
use ondisk_sim::machine::{self};
use ondisk_sim::{Image, Node};

use crate::carry::Present;
use crate::json::Json;
use crate::request::{Death, Refused};

/// Answers `digest`.
pub(crate) fn answer(present: &Present, at: u32, how: Death) -> Result<String, Refused> {
    let play = present.at(at);
    let mut left = Digest::default();
    add_image(&mut left, &play.sim().shown());
    let death = match how {
        Death::Kill => None,
        Death::Crash => Some(machine::Death::Crash),
        Death::Cut => Some(machine::Death::Cut),
    };
    if let Some(how) = death {
        let seed = &mut Seeded::new(present.knobs.seed);
        let choosers: [&mut dyn Chooser; 3] = [&mut First, &mut Last, seed];
        for chooser in choosers {
            let mut media = play.cut(how, chooser);
            let Digest(a, b) = media.digest();
            left.add(a);
            left.add(b);
            add_image(&mut left, &media.image().unwrap_or_default());
        }
    }
    let hex = |Digest(a, b): Digest| format!("{a:016x}{b:016x}");
    let mut json = Json::default();
    json.open('{').field("ok").flag(true);
    json.field("state").string(&hex(play.sim().digest())).field("left").string(&hex(left));
    json.close('}');
    Ok(json.text())
}

fn add_image(digest: &mut Digest, image: &Image) {
    for (path, node) in &image.nodes {
        add(digest, path.to_string_lossy().as_bytes());
        match node {
            Node::File(bytes) => add(digest, bytes),
            Node::Dir => digest.add(1),
            Node::Symlink(target) => add(digest, target),
        }
    }
}

fn add(digest: &mut Digest, bytes: &[u8]) {
    digest.add(bytes.len() as u64);
    for chunk in bytes.chunks(8) {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        digest.add(u64::from_le_bytes(word));
    }
}
