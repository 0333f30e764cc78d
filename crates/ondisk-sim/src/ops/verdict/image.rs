//! Whether an image of all files still holds what was acknowledged.
//!
//! Invariant: the answer is the one that a look at a live file system of these files would give.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use super::{Claim, Held, Spoken};
use crate::ops::image::{Image, Node};

/// More symbolic links than this on the way to one file are a circle.
const LINKS: u32 = 40;

impl Claim {
    /// Whether all that it speaks for is in an image, under the names and with the contents that
    /// it had.
    #[must_use]
    pub fn is_in(&self, image: &Image) -> bool {
        self.files.iter().all(|file| file.is_in(image))
    }
}

impl Spoken {
    /// Whether the file is in an image as it was: absent, a directory, or with its bytes in front.
    #[must_use]
    pub fn is_in(&self, image: &Image) -> bool {
        match (&self.held, node(image, &self.path)) {
            (Held::Absent, None) | (Held::Dir, Some(Node::Dir)) => true,
            (Held::File(bytes), Some(Node::File(found))) => found.starts_with(bytes),
            _ => false,
        }
    }
}

/// What stands at a path, symbolic links followed.
fn node<'a>(image: &'a Image, path: &Path) -> Option<&'a Node> {
    let names = |path: &Path| -> Vec<OsString> {
        let normal = |part: Component<'_>| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        };
        path.components().filter_map(normal).collect()
    };
    let mut left: VecDeque<OsString> = names(path).into();
    let (mut at, mut found, mut links) = (PathBuf::new(), None, 0);
    while let Some(name) = left.pop_front() {
        if name == ".." {
            at.pop();
            continue;
        }
        at.push(name);
        found = Some(image.nodes.get(&at)?);
        if let Some(Node::Symlink(target)) = found {
            links += 1;
            if links > LINKS {
                return None;
            }
            let target = PathBuf::from(String::from_utf8_lossy(target).into_owned());
            at = if target.is_absolute() { PathBuf::new() } else { at.parent()?.to_owned() };
            names(&target).into_iter().rev().for_each(|name| left.push_front(name));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, held: Held) -> Spoken {
        let path = path.into();
        Spoken { path, ino: None, held, buffered: 0, through_link: false }
    }

    fn bytes(path: &str, bytes: &[u8]) -> Spoken {
        file(path, Held::File(bytes.into()))
    }

    #[test]
    fn a_file_is_there_with_its_bytes_or_it_is_lost() {
        let image = Image::new().dir("d").file("d/f", *b"AB");
        assert!(bytes("d/f", b"AB").is_in(&image));
        assert!(bytes("d/f", b"A").is_in(&image), "it has grown since");
        for lost in [bytes("d/f", b"ABC"), bytes("d/f", b"B"), bytes("f", b""), bytes("d", b"")] {
            assert!(!lost.is_in(&image), "{lost:?}");
        }
        assert!(file("g", Held::Absent).is_in(&image) && file("d", Held::Dir).is_in(&image));
        assert!(!file("d/f", Held::Absent).is_in(&image) && !file("d/f", Held::Dir).is_in(&image));
    }

    #[test]
    fn a_symbolic_link_is_followed_and_a_circle_ends() {
        let mut image = Image::new().dir("d").file("d/f", *b"A");
        for (at, to) in [("l", "d/f"), ("d/up", "../d"), ("o", "o")] {
            image.nodes.insert(at.into(), Node::Symlink(to.into()));
        }
        assert!(bytes("l", b"A").is_in(&image));
        assert!(bytes("d/up/f", b"A").is_in(&image));
        assert!(!bytes("o", b"").is_in(&image));
    }
}
