//! What is written is read; what is damaged is found; what was not committed did not happen.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod damage;
mod life;
mod media;
mod page;

use std::path::Path;

use life::{Life, steps};
use media::{Media, options};
use proptest::prelude::*;

use super::*;
use crate::machine::arena::{Arena, Bytes};
use crate::machine::config::Sabotage;
use crate::ops::Image;

fn small() -> Image {
    Image::new()
        .file("a", "one")
        .dir("d")
        .file("d/b", vec![7; 10_000])
        .file("d/empty", "")
        .dir("d/e")
        .link("a", "d/also a")
}

/// A block that differs from others by a number.
fn block(number: u8) -> Bytes {
    let mut block = [number; BLOCK];
    block[0] = 0xAA;
    block
}

#[test]
fn what_is_formatted_is_mounted() {
    let mut media = Media::of(&small());
    let loaded = media.recover().unwrap();
    assert!(media.image(&loaded) == small());
    assert_eq!(check(&loaded), Ok(()));
    assert!(loaded.replayed.is_empty() && loaded.orphans.is_empty());
    assert_eq!((loaded.log.next, loaded.log.whole), (Tid(1), 0));
    assert_eq!(loaded.log.emptied(), loaded.log.on_media);
}

#[test]
fn symbolic_links_and_further_names_are_formatted() {
    let mut arena = Arena::new();
    let mut new = Formatter::new(&options()).unwrap();
    let long = vec![b't'; LONGEST_TARGET];
    new.symlink(Path::new("x/long"), &long, &mut arena).unwrap();
    new.symlink(Path::new("short"), b"x/long", &mut arena).unwrap();
    new.file(Path::new("f"), b"file", &mut arena).unwrap();
    new.link(Path::new("f"), Path::new("x/g")).unwrap();
    let again = new.file(Path::new("f"), b"file", &mut arena);
    assert_eq!(again, Err(FormatError::Name("f".into())));
    assert!(new.symlink(Path::new("y"), &vec![b't'; LONGEST_TARGET + 1], &mut arena).is_err());
    assert!(new.link(Path::new("x"), Path::new("y")).is_err());
    assert!(new.file(Path::new("f/in a file"), b"", &mut arena).is_err());
    assert!(new.dir(Path::new(&"n".repeat(256))).is_err());
    let blocks = new.finish(&mut arena).unwrap().into_iter().collect();
    let mut media = Media { arena, blocks };
    let loaded = media.recover().unwrap();
    assert_eq!(check(&loaded), Ok(()));
    let image = media.image(&loaded);
    let paths: Vec<_> = image.nodes.keys().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(paths, ["f", "short", "x", "x/g", "x/long"]);
    assert_eq!(image.first_name(Path::new("x/g")), Path::new("f"));
    let target = |path: &str| match &image.nodes[Path::new(path)] {
        crate::ops::Node::Symlink(target) => target.clone(),
        _ => Vec::new(),
    };
    assert!(target("x/long") == long && target("short") == b"x/long");
}

#[test]
fn what_does_not_fit_is_not_formatted() {
    let mut arena = Arena::new();
    let made = |blocks, inodes, journal, image: &Image, arena: &mut Arena| {
        let options = Ext4Options { blocks, inodes, journal, ..Ext4Options::default() };
        format(image, &options, arena).map(|blocks| blocks.len())
    };
    let none = Image::new();
    assert_eq!(made(1024, 16, 64, &none, &mut arena), Ok(4));
    assert_eq!(made(1024, 16, 1023, &none, &mut arena), Err(FormatError::Geometry));
    assert_eq!(made(1024, 16, u32::MAX, &none, &mut arena), Err(FormatError::Geometry));
    assert_eq!(made(u32::MAX, 16, 64, &none, &mut arena), Err(FormatError::Geometry));
    assert_eq!(made(1024, u32::MAX, 64, &none, &mut arena), Err(FormatError::Geometry));
    assert_eq!(made(1024, 2, 64, &none, &mut arena), Err(FormatError::Geometry));
    let large = Image::new().file("f", vec![1; 1024 * BLOCK]);
    assert_eq!(made(1024, 16, 64, &large, &mut arena), Err(FormatError::Full));
    let many = (0..20).fold(Image::new(), |image, n| image.file(format!("{n}"), ""));
    assert_eq!(made(1024, 16, 64, &many, &mut arena), Err(FormatError::Full));
}

/// A life of three transactions, of which the last one's blocks are given, not written.
fn three() -> (Life, Vec<life::Write>, [Image; 3]) {
    use life::Step::{File, Unlink};
    let mut life = Life::new();
    let first = life.step(File { name: 1, blocks: 3, pieces: false });
    life.media.write_all(&first);
    let one = life.image();
    let second = life.step(File { name: 2, blocks: 40, pieces: true });
    life.media.write_all(&second);
    let two = life.image();
    let third = life.step(Unlink { name: 1, open: false });
    let three = life.image();
    (life, third, [one, two, three])
}

#[test]
fn a_transaction_is_whole_or_nothing() {
    let (life, third, images) = three();
    let mut media = life.media.clone();
    assert!(media.mounted() == images[1]);
    let loaded = media.recover().unwrap();
    assert_eq!((loaded.log.whole, loaded.log.next), (2, Tid(4)));
    for missing in 0..third.len() {
        let mut media = life.media.clone();
        media.write_all(&third[..missing]);
        media.write_all(&third[missing + 1..]);
        assert!(media.mounted() == images[1], "without block {missing}");
    }
    media.write_all(&third);
    assert!(media.mounted() == images[2]);
    let loaded = media.recover().unwrap();
    assert_eq!((loaded.log.whole, loaded.log.next), (3, Tid(5)));
}

#[test]
fn canary_a_transaction_without_its_commit_block_is_replayed() {
    let (mut life, third, images) = three();
    life.media.write_all(&third[..third.len() - 1]);
    let loaded = life.media.recover_sabotaged(Some(Sabotage::ReplayWithoutCommit)).unwrap();
    assert!(life.media.image(&loaded) == images[2]);
    assert!(life.media.mounted() == images[1]);
}

#[test]
fn replaying_again_changes_nothing_and_can_be_cut_anywhere() {
    let (mut life, third, images) = three();
    life.media.write_all(&third);
    let loaded = life.media.recover().unwrap();
    assert!(loaded.replayed.is_sorted_by(|a, b| a.lba < b.lba));
    let home = loaded.replayed.clone();
    for chosen in 0..1_u64 << home.len().min(10) {
        let mut media = life.media.clone();
        for (nth, block) in home.iter().enumerate() {
            if chosen >> (nth % 10) & 1 == 1 {
                media.blocks.insert(block.lba, block.content);
            }
        }
        assert!(media.mounted() == images[2], "{chosen:b}");
    }
    let mut media = life.media;
    media.blocks.extend(home.iter().map(|block| (block.lba, block.content)));
    let journal = loaded.superblock.geometry.journal;
    media.write(journal, &jbd::encode_super(&loaded.log.emptied()));
    let again = media.recover().unwrap();
    assert!(again.replayed.is_empty() && media.image(&again) == images[2]);
    assert_eq!(again.log.whole, 0);
    assert!(again.log.next > loaded.log.next);
    assert_eq!(check(&again), Ok(()));
}

/// A directory's block is journaled, freed and revoked, and then a file's.
fn reused() -> (Life, Image) {
    use life::Step::{File, Unlink};
    let mut life = Life::new();
    let mut images = Vec::new();
    for step in [
        File { name: 2, blocks: 40, pieces: true },
        Unlink { name: 2, open: false },
        File { name: 3, blocks: 60, pieces: false },
    ] {
        let writes = life.step(step);
        life.media.write_all(&writes);
        images.push(life.image());
    }
    (life, images.pop().unwrap())
}

#[test]
fn what_was_revoked_is_not_replayed() {
    let (mut life, image) = reused();
    assert!(life.media.mounted() == image);
}

#[test]
fn canary_what_was_revoked_is_replayed() {
    let (mut life, image) = reused();
    let loaded = life.media.recover_sabotaged(Some(Sabotage::ReplayIgnoresRevoke)).unwrap();
    assert!(life.media.image(&loaded) != image, "the file's block is not overwritten");
}

#[test]
fn a_copy_that_looks_like_a_block_of_the_journal_is_escaped() {
    let mut life = Life::new();
    let geometry = life.media.recover().unwrap().superblock.geometry;
    // Data in the journal: a whole commit block of this very transaction, as bytes of a file.
    let bytes = jbd::encode_commit(Tid(1), Ns(0));
    let home = Lba(geometry.data.0);
    let (tag, copy) = jbd::tag(Tid(1), home, &bytes);
    let blocks =
        [jbd::encode_descriptor(Tid(1), &[tag]), copy.unwrap(), jbd::encode_commit(Tid(1), Ns(0))];
    for (nth, block) in blocks.iter().enumerate() {
        life.media.write(Lba(geometry.journal.0 + 1 + u32::try_from(nth).unwrap()), block);
    }
    let loaded = life.media.recover().unwrap();
    assert_eq!(loaded.log.filled, 3);
    assert_eq!(*life.media.arena.bytes(loaded.replayed[0].content), bytes);
    // The formatted file "old" stands there: its bytes come from the journal now.
    assert_eq!(life.media.image(&loaded).bytes("old").unwrap()[..4], jbd::MAGIC.to_be_bytes());
}

#[test]
fn the_ring_goes_around() {
    let mut life = Life::new();
    let ring = jbd::Super { len: 64, start: 1, sequence: Tid(1) };
    assert_eq!((ring.after(63), ring.after(1), ring.nth(60, 10)), (1, 2, 7));
    assert_eq!((ring.between(60, 7), ring.between(7, 60), ring.ring()), (10, 53, 63));
    // A transaction that begins near the end of the ring.
    let geometry = life.media.recover().unwrap().superblock.geometry;
    let start = jbd::Super { start: 61, sequence: Tid(9), ..ring };
    life.media.write(geometry.journal, &jbd::encode_super(&start));
    let tagged = [1_u8, 2, 3, 4, 5].map(|n| {
        let (home, bytes) = (Lba(geometry.data.0 + 100 + u32::from(n)), block(n));
        (jbd::tag(Tid(9), home, &bytes).0, bytes)
    });
    let mut at = 61;
    let mut put = |media: &mut Media, block: &Bytes| {
        media.write(jbd::place(&geometry, at), block);
        at = ring.after(at);
    };
    put(&mut life.media, &jbd::encode_descriptor(Tid(9), &tagged.map(|(tag, _)| tag)));
    tagged.iter().for_each(|(_, block)| put(&mut life.media, block));
    put(&mut life.media, &jbd::encode_commit(Tid(9), Ns(0)));
    let loaded = life.media.recover().unwrap();
    assert_eq!((loaded.replayed.len(), loaded.log.filled, loaded.log.next), (5, 7, Tid(11)));
}

#[test]
fn a_journal_that_is_one_transaction_without_end_ends() {
    let mut life = Life::new();
    let geometry = life.media.recover().unwrap().superblock.geometry;
    let tags = vec![jbd::tag(Tid(1), geometry.data, &block(1)).0; jbd::TAGS];
    let revokes = vec![geometry.data; jbd::REVOKES];
    for of in [jbd::encode_descriptor(Tid(1), &tags), jbd::encode_revoke(Tid(1), &revokes)] {
        for nth in 1..64 {
            life.media.write(jbd::place(&geometry, nth), &of);
        }
        let loaded = life.media.recover().unwrap();
        assert_eq!((loaded.log.whole, loaded.replayed.len()), (0, 0));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// After any steps, with any blocks of the last transaction missing and any of the blocks
    /// that are due home there, a mount shows the last whole transaction; its parts agree.
    #[test]
    fn a_mount_shows_the_last_whole_transaction(
        steps in steps(), missing in any::<[u64; 4]>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut life = Life::new();
        let mut before = life.image();
        let cut = cut.index(steps.len());
        for (nth, step) in steps.into_iter().enumerate() {
            let writes = life.step(step);
            if nth == cut && !writes.is_empty() {
                let mut media = life.media.clone();
                let there = |n: &usize| missing[n / 64 % 4] >> (n % 64) & 1 == 1;
                let some: Vec<_> = (0..writes.len()).filter(there).map(|n| writes[n]).collect();
                if some.len() < writes.len() {
                    media.write_all(&some);
                    let loaded = media.recover().unwrap();
                    prop_assert!(media.image(&loaded) == before);
                    prop_assert_eq!(check(&loaded), Ok(()));
                }
            }
            life.media.write_all(&writes);
            let loaded = life.media.recover().unwrap();
            before = life.image();
            prop_assert!(life.media.image(&loaded) == before);
            prop_assert_eq!(check(&loaded), Ok(()));
        }
    }
}
