//! Damaged media: never a panic, and damage to metadata is found and named.

use super::*;

/// Every part there is: further extents, directories of several blocks, long targets, orphans;
/// all home, the ring empty.
fn rich() -> Life {
    use life::Step::{Dir, File, Symlink, Unlink};
    let mut life = Life::new();
    let files = (0..20).map(|name| File { name, blocks: 2, pieces: false });
    let rest = [
        File { name: 20, blocks: 380, pieces: true },
        Dir { name: 21 },
        Symlink { name: 22, long: true },
        Symlink { name: 23, long: false },
        Unlink { name: 4, open: true },
        Unlink { name: 5, open: true },
    ];
    for step in files.chain(rest) {
        let writes = life.step(step);
        life.media.write_all(&writes);
    }
    life.checkpoint();
    life
}

/// The blocks of metadata in their homes.
fn metadata(media: &mut Media) -> Vec<Lba> {
    let loaded = media.recover().unwrap();
    let geometry = loaded.superblock.geometry;
    let mut lbas = vec![Lba(0), geometry.journal];
    lbas.extend((geometry.bitmap.0..geometry.data.0).map(Lba));
    lbas.retain(|lba| media.read(*lba) != BlockId::ZERO);
    for (_, inode) in load::all(&loaded.inodes) {
        lbas.extend(&inode.overflow);
        if inode.kind != Kind::File {
            lbas.extend(inode.extents.iter().map(|extent| extent.lba));
        }
    }
    lbas
}

fn flipped(media: &Media, lba: Lba, bit: usize) -> Media {
    let mut media = media.clone();
    let mut block = media.bytes(lba);
    block[bit / 8] ^= 1 << (bit % 8);
    media.write(lba, &block);
    media
}

/// Bits of a block: all of the first bytes, and some of the rest.
fn bits() -> impl Iterator<Item = usize> {
    (0..48 * 8).chain((48 * 8..BLOCK * 8).step_by(997)).chain([BLOCK * 8 - 1])
}

#[test]
fn every_flipped_bit_of_metadata_is_found_in_its_block() {
    let mut life = rich();
    let image = life.image();
    let lbas = metadata(&mut life.media);
    assert!(lbas.len() >= 10, "{lbas:?}");
    for lba in lbas {
        for bit in bits() {
            let mut media = flipped(&life.media, lba, bit);
            match media.recover() {
                Err(error) => assert_eq!(error.lba, lba, "bit {bit}: {error}"),
                // Behind its 256 bytes the journal's superblock says nothing.
                Ok(loaded) => {
                    assert_eq!(lba, Lba(1), "bit {bit} of block {lba:?} is not missed");
                    assert!(bit >= 256 * 8 && media.image(&loaded) == image);
                }
            }
        }
    }
}

#[test]
fn canary_checksums_are_ignored() {
    let mut life = rich();
    let (image, lbas) = (life.image(), metadata(&mut life.media));
    let mut wrong = 0;
    for lba in lbas {
        for bit in bits() {
            let mut media = flipped(&life.media, lba, bit);
            if let Ok(loaded) = media.recover_sabotaged(Some(Sabotage::ChecksumIgnored)) {
                let (blocks, arena) = (media.blocks.clone(), &media.arena);
                let read = |lba: Lba| blocks.get(&lba).copied().unwrap_or_default();
                wrong += u32::from(super::image(&loaded, &read, arena).is_ok_and(|of| of != image));
            }
        }
    }
    assert!(wrong > 100, "{wrong} bits change what is mounted");
}

#[test]
fn a_lost_block_of_metadata_is_found() {
    let mut life = rich();
    for lba in metadata(&mut life.media) {
        let mut media = life.media.clone();
        media.blocks.remove(&lba);
        assert!(media.recover().is_err(), "{lba:?}");
    }
}

#[test]
fn swapped_blocks_of_metadata_are_found() {
    let mut life = rich();
    let metadata = metadata(&mut life.media);
    let lbas: Vec<Lba> = life.media.blocks.keys().copied().collect();
    let mut found = 0;
    for (nth, a) in lbas.iter().enumerate() {
        // The large file's blocks are all alike.
        for b in lbas[nth + 1..].iter().step_by(if metadata.contains(a) { 1 } else { 29 }) {
            let mut media = life.media.clone();
            let (of_a, of_b) = (media.read(*a), media.read(*b));
            media.blocks.extend([(*a, of_b), (*b, of_a)]);
            let mounted = media.recover();
            let same = media.bytes(*a) == media.bytes(*b);
            if !same && (metadata.contains(a) || metadata.contains(b)) {
                assert!(mounted.is_err(), "{a:?} and {b:?}");
                found += 1;
            }
        }
    }
    assert!(found > 1000, "{found}");
}

#[test]
fn a_flipped_bit_in_the_ring_ends_the_replay_there() {
    let (mut life, third, images) = three();
    life.media.write_all(&third);
    let mut fresh = Life::new();
    let formatted = fresh.image();
    let ring: Vec<Lba> =
        (2..=64).map(Lba).filter(|lba| life.media.blocks.contains_key(lba)).collect();
    let mut seen = [0; 4];
    for lba in ring {
        for bit in bits() {
            let image = flipped(&life.media, lba, bit).mounted();
            let nth = images.iter().position(|of| *of == image);
            match nth {
                Some(nth) => seen[nth + 1] += 1,
                None => {
                    assert!(image == formatted, "bit {bit} of block {lba:?}");
                    seen[0] += 1;
                }
            }
        }
    }
    assert_eq!(seen[3], 0, "a flipped bit is missed");
    assert!(seen[..3].iter().all(|times| *times > 0), "{seen:?}");
}

#[test]
fn canary_a_flipped_bit_in_the_ring_is_replayed() {
    let (mut life, third, images) = three();
    life.media.write_all(&third);
    // The second byte of the first copy.
    let mut media = flipped(&life.media, Lba(3), 8 * 16);
    let loaded = media.recover_sabotaged(Some(Sabotage::ChecksumIgnored));
    assert!(loaded.is_err() || loaded.is_ok_and(|loaded| loaded.log.whole == 3));
    assert!(!images.contains(&media.mounted()));
}

/// Makes a block's checksum fit, whatever it says.
fn reseal(media: &mut Media, lba: Lba) {
    let geometry = Geometry::new(&options()).unwrap();
    let mut block = media.bytes(lba);
    let mut put = |at: usize, sum: [u8; 4]| block[at..at + 4].copy_from_slice(&sum);
    let bytes = media.bytes(lba);
    let without = |at: usize| {
        let mut bytes = bytes;
        bytes[at..at + 4].fill(0);
        bytes
    };
    let ring = crc::sum(crc::SEED, b"ondisk-machine-1");
    if lba == Lba(0) {
        put(8, crc::sum(crc::SEED, &bytes[12..]).to_le_bytes());
    } else if lba == geometry.journal {
        put(0xFC, crc::sum(crc::SEED, &without(0xFC)[..0x100]).to_be_bytes());
    } else if lba < geometry.bitmap {
        let at = if bytes[7] == 2 { 16 } else { BLOCK - 4 };
        put(at, crc::sum(ring, &without(at)).to_be_bytes());
    } else if (geometry.table..geometry.data).contains(&lba) {
        for (nth, slot) in block.chunks_exact_mut(256).enumerate() {
            let ino = geometry.first_inode(lba).0 + u32::try_from(nth).unwrap();
            if slot.iter().any(|byte| *byte != 0) {
                let sum = crc::sum(crc::of(ino), &slot[4..]);
                slot[..4].copy_from_slice(&sum.to_le_bytes());
            }
        }
    } else {
        put(4, crc::sum(crc::of(lba.0), &bytes[8..]).to_le_bytes());
    }
    media.write(lba, &block);
}

/// A byte of a block, most often of its head, gets a value.
#[derive(Clone, Copy, Debug)]
struct Edit {
    lba: prop::sample::Index,
    at: usize,
    bytes: u32,
    len: usize,
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = prop_oneof![3 => 0_usize..64, 2 => 0_usize..1024, 1 => 0..BLOCK];
    let bytes = prop_oneof![Just(0), Just(u32::MAX), 0_u32..40, 66_u32..2100, any::<u32>()];
    let edit = (any::<prop::sample::Index>(), at, bytes, 1_usize..=4)
        .prop_map(|(lba, at, bytes, len)| Edit { lba, at, bytes, len });
    prop::collection::vec(edit, 1..5)
}

fn edited(media: &Media, lbas: &[Lba], edits: &[Edit]) -> Media {
    let mut media = media.clone();
    for Edit { lba, at, bytes, len } in edits {
        let lba = *lba.get(lbas);
        let mut block = media.bytes(lba);
        for (to, byte) in block[*at..].iter_mut().zip(&bytes.to_le_bytes()[..*len]) {
            *to = *byte;
        }
        media.write(lba, &block);
        reseal(&mut media, lba);
    }
    media
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever metadata say under checksums that fit, a mount ends without a panic; what it
    /// lets pass lies on the device and belongs to one inode, and can be walked and checked.
    #[test]
    fn metadata_that_lie_do_no_harm(edits in edits(), journaled in any::<bool>()) {
        thread_local! {
            static BASE: [(Media, Vec<Lba>); 2] = [home(), ring()];
        }
        let mut media = BASE.with(|base| {
            let (media, lbas) = &base[usize::from(journaled)];
            edited(media, lbas, &edits)
        });
        for sabotage in [None, Some(Sabotage::ChecksumIgnored)] {
            let Ok(loaded) = media.recover_sabotaged(sabotage) else { continue };
            let geometry = loaded.superblock.geometry;
            let extents = load::all(&loaded.inodes).flat_map(|(_, inode)| &inode.extents);
            let blocks: u32 = extents.map(|extent| extent.count).sum();
            prop_assert!(blocks <= geometry.blocks);
            let read = |lba: Lba| media.blocks.get(&lba).copied().unwrap_or_default();
            let image = image(&loaded, &read, &media.arena);
            prop_assert!(loaded.tree().nodes.contains_key(&Ino::ROOT));
            let told = check(&loaded).map_err(|told| told.to_string());
            prop_assert!(told.is_ok() || told.is_err_and(|told| !told.is_empty()));
            prop_assert!(image.is_ok() || image.is_err_and(|error| error.damage == Damage::Large));
        }
    }

    /// Media of any bytes at all: an error, or a file system.
    #[test]
    fn media_of_anything_do_no_harm(
        blocks in prop::collection::vec((0_u32..90, prop::collection::vec(any::<u8>(), 0..300)), 1..9),
    ) {
        let mut life = Life::new();
        for (lba, bytes) in blocks {
            let mut block = life.media.bytes(Lba(lba));
            block[..bytes.len()].copy_from_slice(&bytes);
            life.media.write(Lba(lba), &block);
        }
        for sabotage in [None, Some(Sabotage::ChecksumIgnored)] {
            if let Ok(loaded) = life.media.recover_sabotaged(sabotage) {
                prop_assert!(loaded.inode(Ino::ROOT).is_some());
            }
        }
    }
}

fn home() -> (Media, Vec<Lba>) {
    let mut life = rich();
    let lbas = metadata(&mut life.media);
    (life.media, lbas)
}

fn ring() -> (Media, Vec<Lba>) {
    let (mut life, third, _) = three();
    life.media.write_all(&third);
    let lbas = (1..=64).map(Lba).filter(|lba| life.media.blocks.contains_key(lba)).collect();
    (life.media, lbas)
}

/// An inode with everything changed.
fn with(media: &Media, ino: Ino, change: impl FnOnce(&mut Inode)) -> Media {
    let mut media = media.clone();
    let mut loaded = media.recover().unwrap();
    change(loaded.inodes[ino.index()].as_mut().unwrap());
    let geometry = loaded.superblock.geometry;
    let lba = geometry.inode_block(ino);
    media.write(lba, &encode_inode_block(geometry.first_inode(lba), |ino| loaded.inode(ino)));
    media
}

#[test]
fn what_cannot_be_is_named() {
    let media = Media::of(&small());
    let (file, dir) = (Ino(5), Ino(4)); // `d/b` and `d`
    let geometry = Geometry::new(&options()).unwrap();
    let table = geometry.inode_block(file);
    let damage = |mut media: Media| media.recover().map(|_| ()).unwrap_err();
    let of = |ino, damage| MountError { lba: table, part: Part::Inode(ino), damage };
    let extent = |lba, count| Extent { page: 0, count, lba: Lba(lba), unwritten: false };

    let far = damage(with(&media, file, |inode| inode.extents = vec![extent(u32::MAX, 2)]));
    assert_eq!(far, of(file, Damage::Beyond(Lba(u32::MAX))));
    let far = damage(with(&media, file, |inode| inode.extents = vec![extent(2000, 49)]));
    assert_eq!(far, of(file, Damage::Beyond(Lba(2000))));
    let ours = damage(with(&media, file, |inode| inode.extents = vec![extent(0, 1)]));
    assert_eq!(ours, of(file, Damage::Beyond(Lba(0))));
    let twice = damage(with(&media, file, |inode| {
        inode.extents.push(Extent { page: 9, ..inode.extents[0] })
    }));
    assert!(matches!(twice.damage, Damage::Shared(_)), "{twice}");
    let large = damage(with(&media, file, |inode| inode.size = LARGEST_FILE + 1));
    assert_eq!(large, of(file, Damage::Impossible));
    let short = damage(with(&media, dir, |inode| inode.size += BLOCK_LEN));
    assert_eq!(short, of(dir, Damage::Impossible));
    let gone = damage(with(&media, file, |inode| inode.links = 0));
    assert_eq!((gone.part, gone.damage), (Part::Dir(dir), Damage::Dangling(file)));
    let other = damage(with(&media, file, |inode| inode.kind = Kind::Dir));
    assert_eq!(other.damage, Damage::Impossible);
    assert_eq!(far.to_string(), "block 66, inode 5: it names block 2000, which is no file's");

    let mut sparse = with(&media, file, |inode| inode.size = LARGEST_FILE);
    let loaded = sparse.recover().unwrap();
    let read = |lba: Lba| sparse.read(lba);
    assert_eq!(image(&loaded, &read, &sparse.arena).map(|_| ()), Err(of(file, Damage::Large)));
}

#[test]
fn directories_in_a_circle_and_orphans_in_a_circle_are_refused() {
    let mut media = Media::of(&small());
    let loaded = media.recover().unwrap();
    let (d, e) = (Ino(4), Ino(6));
    let lba = loaded.inode(d).unwrap().extents[0].lba;
    // `d` holds itself, instead of `e`.
    let mut entries = loaded.dirs[&d][0].clone();
    let at = entries.iter().position(|entry| entry.ino == e).unwrap();
    entries[at].ino = d;
    media.write(lba, &encode_dir_block(d, lba, &entries));
    assert_eq!(media.recover().unwrap_err().damage, Damage::NoTree);
    // And the root does not hold it.
    let root = loaded.inode(Ino::ROOT).unwrap().extents[0].lba;
    let mut entries = loaded.dirs[&Ino::ROOT][0].clone();
    entries.retain(|entry| entry.ino != d);
    media.write(root, &encode_dir_block(Ino::ROOT, root, &entries));
    assert_eq!(media.recover().unwrap_err().damage, Damage::NoTree);

    let mut media = with(&Media::of(&small()), Ino(3), |inode| inode.next_orphan = Ino(3));
    let superblock = Superblock { orphans: Ino(3), ..loaded.superblock };
    media.write(Lba(0), &encode_super(&superblock));
    assert_eq!(media.recover().unwrap_err().damage, Damage::Impossible);
    media.write(Lba(0), &encode_super(&Superblock { orphans: Ino(99), ..superblock }));
    assert_eq!(media.recover().unwrap_err().damage, Damage::Dangling(Ino(99)));
}

#[test]
fn metadata_that_do_not_agree_are_told() {
    let media = Media::of(&small());
    let told = |mut media: Media| check(&media.recover().unwrap());
    let links = told(with(&media, Ino(5), |inode| inode.links = 2));
    assert_eq!(links, Err(Disagreement::Links { ino: Ino(5), said: 2, found: 1 }));
    let lost = told(with(&media, Ino(5), |inode| inode.extents.clear()));
    assert_eq!(lost, Err(Disagreement::Lost(Lba(75))));
    let free = told(with(&media, Ino(7), |inode| {
        inode.extents.push(Extent { page: 0, count: 1, lba: Lba(900), unwritten: true });
    }));
    assert_eq!(free, Err(Disagreement::Free(Lba(900))));
    let mut orphan = media.clone();
    let mut loaded = orphan.recover().unwrap();
    loaded.inodes[7].as_mut().unwrap().links = 0;
    let entries = loaded.dirs.get_mut(&Ino(4)).unwrap();
    entries[0].retain(|entry| entry.ino != Ino(7));
    assert_eq!(check(&loaded), Err(Disagreement::NoOrphan(Ino(7))));
    loaded.orphans.push(Ino(7));
    assert_eq!(check(&loaded), Ok(()));
    let entries = loaded.dirs.get_mut(&Ino(4)).unwrap();
    let again = entries[0][0].clone();
    entries[0].push(again);
    assert_eq!(check(&loaded), Err(Disagreement::Twice(Ino(4))));
}
