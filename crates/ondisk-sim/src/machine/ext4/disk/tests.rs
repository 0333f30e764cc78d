//! What is written is read; what is damaged is found.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod media;

use media::Media;

use super::*;
use crate::machine::arena::Arena;
use crate::ops::Image;

fn small() -> Image {
    Image::new()
        .file("a", "one")
        .file("d/b", vec![7; 10_000])
        .file("d/empty", "")
        .dir("d")
        .dir("d/e")
        .link("a", "d/also a")
}

#[test]
fn what_is_formatted_is_mounted() {
    let mut media = Media::of(&small());
    let loaded = media.recover().unwrap();
    assert_eq!(media.image(&loaded), small());
    assert!(loaded.replayed.is_empty() && loaded.orphans.is_empty());
    assert_eq!((loaded.log.next, loaded.log.whole), (Tid(1), 0));
}
