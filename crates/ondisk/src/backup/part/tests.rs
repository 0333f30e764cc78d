use ondisk_fs::{FileSystem as _, create_durable};
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;

const STORE: StoreId = StoreId(*b"a golden store's");

type Entries = Vec<(Vec<u8>, Option<Vec<u8>>)>;

fn identity() -> Identity {
    Identity { store: STORE, lsn: Lsn(7), backup: 2, part: 3, keyspace: 1 }
}

fn write(fs: &MemFs, entries: &Entries) -> PartRecord {
    let mut part = PartWriter::create(fs, ".".as_ref(), identity()).unwrap();
    for (key, value) in entries {
        part.push(key, value.as_deref()).unwrap();
    }
    part.finish().unwrap()
}

fn read(fs: &MemFs, identity: Identity, record: PartRecord) -> Result<Entries, Error> {
    let mut reader = PartReader::open(fs, ".".as_ref(), identity, record)?;
    let mut entries = Entries::new();
    while reader.advance()? {
        entries.push((reader.key().to_vec(), reader.value().map(<[u8]>::to_vec)));
    }
    Ok(entries)
}

fn some_entries() -> Entries {
    let long = |n: u8| Some(vec![n; 40_000]);
    let mut entries: Entries = vec![(Vec::new(), Some(Vec::new())), (b"a".to_vec(), None)];
    entries.extend((b'b'..b'g').map(|key| (vec![key], long(key))));
    entries
}

#[test]
fn what_is_written_is_read() {
    let fs = MemFs::new();
    let record = write(&fs, &some_entries());
    assert_eq!((record.entries, record.tombstones), (7, 1));
    assert_eq!(read(&fs, identity(), record).unwrap(), some_entries());
}

#[test]
fn a_part_of_another_place_or_time_is_noticed() {
    let fs = MemFs::new();
    let record = write(&fs, &some_entries());
    let here = identity().path(".".as_ref());
    let others = [
        Identity { store: StoreId([1; 16]), ..identity() },
        Identity { lsn: Lsn(8), ..identity() },
        Identity { keyspace: 0, ..identity() },
        Identity { backup: 1, ..identity() },
        Identity { part: 4, ..identity() },
    ];
    for other in others {
        let moved = other.path(".".as_ref());
        if moved != here {
            create_durable(&fs, &moved, &fs.read(&here).unwrap()).unwrap();
        }
        let error = read(&fs, other, record).unwrap_err();
        assert!(matches!(error, Error::Damaged { damage: Damage::Elsewhere(_), .. }), "{error}");
    }
    fs.remove(&here).unwrap();
    let error = read(&fs, identity(), record).unwrap_err();
    assert!(matches!(error, Error::Damaged { damage: Damage::Missing, .. }), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let fs = MemFs::new();
        let record = write(&fs, &some_entries());
        let path = identity().path(".".as_ref());
        let len = fs.read(&path).unwrap().len();
        fs.rot(&path, at.index(len) as u64, bit).unwrap();
        prop_assert!(read(&fs, identity(), record).is_err());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(
        frames in prop::collection::vec(any::<u8>(), 0..200),
        sums in any::<bool>(),
    ) {
        let fs = MemFs::new();
        let mut bytes = identity().head().as_bytes().to_vec();
        bytes.extend_from_slice(&frames);
        if sums && frames.len() >= FRAME_HEAD {
            // A frame whose head and sum fit, so that what is in it is looked at.
            let mut head = FrameHead {
                crc: U32::ZERO,
                len: U32::new(u32::try_from(frames.len() - FRAME_HEAD).unwrap()),
                entries: U32::new(u32::from(frames[0] % 4)),
                part: U32::new(3),
                offset: U64::new(HEAD as u64),
            };
            bytes[HEAD..][..FRAME_HEAD].copy_from_slice(head.as_bytes());
            head.crc = U32::new(crc32c(&bytes[HEAD + 4..]));
            bytes[HEAD..][..FRAME_HEAD].copy_from_slice(head.as_bytes());
        }
        create_durable(&fs, &identity().path(".".as_ref()), &bytes).unwrap();
        let (crc, len) = (crc32c(&bytes), bytes.len() as u64);
        let record = PartRecord { number: 3, keyspace: 1, crc, bytes: len, entries: 9, tombstones: 0 };
        prop_assert!(read(&fs, identity(), record).is_err());
    }
}
