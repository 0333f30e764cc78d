//! The page of the format shows the bytes that are written, and what is read back is what was.

use std::collections::BTreeMap;

use super::*;

const PAGE: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/format/machine-ext4.md"));

/// The blocks that the page names.
fn golden() -> BTreeMap<String, Bytes> {
    let mut arena = Arena::new();
    let options = Ext4Options { journal: 8, blocks: 64, inodes: 16, ..Ext4Options::default() };
    let mut new = Formatter::new(&options).unwrap();
    new.file(Path::new("a"), b"one", &mut arena).unwrap();
    new.symlink(Path::new("d/s"), b"../a", &mut arena).unwrap();
    let formatted = new.finish(&mut arena).unwrap().into_iter();
    let mut blocks: BTreeMap<String, Bytes> = formatted
        .map(|(lba, content)| (format!("block-{}", lba.0), *arena.bytes(content)))
        .collect();
    let mut inode = Inode::new(Kind::File, 0o644);
    let extent = |n: u32| Extent { page: 2 * n, count: 1, lba: Lba(20 + 2 * n), unwritten: n == 18 };
    inode.extents = (0..19).map(extent).collect();
    inode.overflow = vec![Lba(40)];
    let mut data = [0; BLOCK];
    data[..4].copy_from_slice(&jbd::MAGIC.to_be_bytes());
    data[4] = 1;
    let (one, copy) = jbd::tag(Tid(3), Lba(42), &data);
    let (two, same) = jbd::tag(Tid(3), Lba(10), &[0; BLOCK]);
    assert_eq!(same, None);
    let named = [
        ("extents", encode_extent_block(Ino(6), &inode, 0)),
        ("symlink", encode_symlink_block(Ino(7), Lba(41), &[b'x'; 209])),
        ("revoke", jbd::encode_revoke(Tid(3), &[Lba(43), Lba(44)])),
        ("descriptor", jbd::encode_descriptor(Tid(3), &[one, two])),
        ("copy", copy.unwrap()),
        ("commit", jbd::encode_commit(Tid(3), Ns(1_500_000_000))),
    ];
    blocks.extend(named.map(|(name, block)| (name.to_owned(), block)));
    blocks
}

/// Every line of hex in the page stands in the block that the page names, at its offset; and what
/// the page does not show is zero, but for a long target.
#[test]
fn the_page_shows_what_is_in_the_blocks() {
    let mut left = golden();
    left.remove("block-11"); // the file's bytes
    left.remove("block-13"); // a directory like the other
    let mut fence: Option<(String, Bytes)> = None;
    for line in PAGE.lines() {
        if let Some(opens) = line.strip_prefix("```") {
            if let Some((name, rest)) = fence.take() {
                let rest = if name == "symlink" { &rest[225..] } else { &rest[..] };
                assert!(rest.iter().all(|byte| *byte == 0), "{name} has more than is shown");
            }
            let name = opens.strip_prefix("hex ");
            fence = name.map(|name| (name.to_owned(), left.remove(name).unwrap()));
        } else if let Some((_, block)) = &mut fence {
            let (offset, rest) = line.split_once("  ").unwrap();
            let offset = usize::from_str_radix(offset, 16).unwrap();
            let bytes = rest.split("  ").next().unwrap().split(' ');
            let bytes: Vec<u8> = bytes.map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
            let there = &mut block[offset..offset + bytes.len()];
            assert_eq!(there, bytes, "{line}");
            there.fill(0);
        }
    }
    assert!(left.is_empty(), "not shown: {:?}", left.keys());
}

/// CRC-32C, a bit at a time, as ext4 chains it.
fn slow(seed: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(seed, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ if sum & 1 == 1 { 0x82F6_3B78 } else { 0 }
        })
    })
}

#[test]
fn the_sum_is_that_of_ext4() {
    assert_eq!(!crc::sum(crc::SEED, b"123456789"), 0xE306_9283);
    let bytes: Vec<u8> = (0..=255).cycle().take(BLOCK).collect();
    for at in [0, 1, 4, 16, 255, 256, 1000, 4092, BLOCK] {
        assert_eq!(crc::sum(crc::SEED, &bytes[..at]), slow(crc::SEED, &bytes[..at]), "{at}");
        let chained = crc::sum(crc::sum(7, &bytes[..at]), &bytes[at..]);
        assert_eq!(chained, slow(7, &bytes), "{at}");
    }
}

fn inodes() -> impl Strategy<Value = Inode> {
    let extents = prop::collection::vec((0_u32..9, 1_u32..9, any::<u32>(), any::<bool>()), 0..700);
    let head = (any::<u16>(), any::<u32>(), 0..=LARGEST_FILE, any::<u64>(), any::<u32>());
    (head, extents).prop_map(|((mode, links, size, mtime, next), pieces)| {
        let (mut page, mut extents) = (0, Vec::new());
        for (gap, count, lba, unwritten) in pieces {
            page += gap;
            extents.push(Extent { page, count, lba: Lba(lba), unwritten });
            page += count;
        }
        let overflow = Inode::overflow_blocks(extents.len());
        let overflow = (0..u32::try_from(overflow).unwrap()).map(|n| Lba(1000 + n)).collect();
        let (mtime, next_orphan) = (Ns(mtime), Ino(next));
        let kind = Kind::File;
        let target = Box::default();
        Inode { kind, mode, links, size, mtime, next_orphan, extents, overflow, target }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn inodes_are_read_as_they_were_written(inode in inodes(), nth in 0_u32..16) {
        let ino = Ino(33 + nth);
        let block = encode_inode_block(Ino(33), |of| (of == ino).then_some(&inode));
        for (slot, of) in codec::inode_slots(&block).zip(33..) {
            prop_assert_eq!(slot.is_some(), of == ino.0);
            let Some(slot) = slot else { continue };
            let begun = codec::decode_inode(ino, slot, codec::Sums::Checked).unwrap();
            prop_assert_eq!(begun.extents, inode.extents.len());
            let (mut read, mut next) = (begun.inode, begun.overflow);
            while next != Lba(0) {
                let block = encode_extent_block(ino, &inode, read.overflow.len());
                read.overflow.push(next);
                next = codec::decode_extent_block(
                    ino, next, &block, &mut read.extents, codec::Sums::Checked,
                ).unwrap();
            }
            prop_assert_eq!(&read, &inode);
        }
    }

    #[test]
    fn directories_are_read_as_they_were_written(
        names in prop::collection::vec((any::<u32>(), "[a-z]{1,255}", 0_u8..3), 0..60),
    ) {
        let mut entries: Vec<DirEntry> = Vec::new();
        for (ino, name, kind) in names {
            let kind = [Kind::File, Kind::Dir, Kind::Symlink][usize::from(kind)];
            let entry = DirEntry { ino: Ino(ino), kind, name: name.into_bytes().into() };
            let fits = dir_fits(&entries, &entry.name);
            entries.push(entry);
            let block = encode_dir_block(Ino(9), Lba(77), &entries);
            let read = codec::decode_dir_block(Ino(9), Lba(77), &block, codec::Sums::Checked).unwrap();
            prop_assert_eq!(read == entries, fits);
            if !fits {
                entries.pop();
            }
        }
    }

    #[test]
    fn the_bitmap_is_read_as_it_was_written(
        runs in prop::collection::vec((0_u32..70_000, 1_u32..300), 0..20),
    ) {
        let options = Ext4Options { blocks: 70_000, ..Ext4Options::default() };
        let geometry = Geometry::new(&options).unwrap();
        let (mut bitmap, mut plain) = (Bitmap::new(70_000), vec![false; 70_000]);
        for (from, count) in runs {
            let run = from as usize..(from + count) as usize;
            let clash = run.clone().find(|at| *plain.get(*at).unwrap_or(&true));
            let taken = bitmap.take_run(Lba(from), count).map_err(Lba::index);
            prop_assert_eq!(taken, clash.map_or(Ok(()), Err));
            plain.iter_mut().enumerate().filter(|(at, _)| run.contains(at))
                .for_each(|(at, used)| *used |= bitmap.used(Lba(u32::try_from(at).unwrap())));
        }
        let mut read = Bitmap::new(70_000);
        for lba in (geometry.bitmap.0..geometry.table.0).map(Lba) {
            let block = encode_bitmap_block(&geometry, &bitmap, lba);
            codec::decode_bitmap_block(&geometry, &mut read, lba, &block, codec::Sums::Checked)
                .unwrap();
        }
        prop_assert_eq!(&read, &bitmap);
        let used: Vec<bool> = (0..70_000).map(|at| bitmap.used(Lba(at))).collect();
        prop_assert!(used == plain);
        prop_assert_eq!(bitmap.count_free() as usize, plain.iter().filter(|used| !**used).count());
        let first = bitmap.first_free(Lba(100)).unwrap();
        prop_assert!(!plain[first.index()] && plain[100..first.index()].iter().all(|used| *used));
        let run = bitmap.run(first, 500) as usize;
        prop_assert!(run > 0 && plain[first.index()..first.index() + run].iter().all(|used| !used));
        prop_assert!(run == 500 || plain[first.index() + run]);
    }
}
