//! Hint files come back as they were written, every flipped bit is noticed, and no bytes bring
//! the reader down.

use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;

fn identity() -> Identity {
    Identity { store: StoreId([9; 16]), keyspace: 4, number: 3 }
}

type Entries = Vec<(Vec<u8>, u64, Option<u32>)>;

fn entries() -> impl Strategy<Value = Entries> {
    let key = prop_oneof![
        9 => prop::collection::vec(any::<u8>(), 0..6),
        1 => Just(vec![7; 40_000]),
    ];
    prop::collection::vec((key, any::<u64>(), prop::option::of(0_u32..1000)), 0..12)
}

/// Writes a hint file as beside a data file of these entries; its record, and what it says.
fn write(fs: &MemFs, entries: &Entries) -> (DataFileRecord, Vec<(Vec<u8>, Place, Kind)>) {
    fs.share().create_dir(Path::new("k")).unwrap();
    let mut writer = HintWriter::create(&*fs.share(), Path::new("k"), identity()).unwrap();
    let mut offset = HEADER as u64;
    let mut told = Vec::new();
    for (key, lsn, value_len) in entries {
        let kind = if value_len.is_some() { Kind::Put } else { Kind::Tombstone };
        let value_len = value_len.unwrap_or_default();
        let place = Place { file: 3, value_len, offset, lsn: Lsn(*lsn) };
        offset = place.end(key.len());
        writer.push(key, place, kind).unwrap();
        told.push((key.clone(), place, kind));
    }
    let entries = entries.len() as u64;
    let (span, crc) = (Span::UNKNOWN, 77);
    let mut record = DataFileRecord { number: 3, len: offset, entries, crc, span, hint_len: 0 };
    record.hint_len = writer.finish(&record, Sync::Done).unwrap();
    (record, told)
}

fn read(fs: &MemFs, record: DataFileRecord) -> Result<Vec<(Vec<u8>, Place, Kind)>, Error> {
    let dir = Path::new("k");
    let mut reader = HintReader::open(&*fs.share(), dir, identity(), record, Sums::Checked)?;
    let mut told = Vec::new();
    while let Some(hints) = reader.next_section()? {
        told.extend(hints.into_iter().map(|hint| (hint.key.to_vec(), hint.place, hint.kind)));
    }
    Ok(told)
}

fn file(fs: &MemFs) -> Arc<dyn File> {
    fs.share().open(Path::new("k/0000000003.hint"), Access::ReadWrite).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_written_is_read(entries in entries()) {
        let fs = MemFs::new();
        let (record, told) = write(&fs, &entries);
        prop_assert_eq!(record.hint_len, file(&fs).size().unwrap());
        prop_assert_eq!(&read(&fs, record).unwrap(), &told);
        let path = Path::new("k/0000000003.hint");
        let (_, found, alone) = HintReader::open_alone(&*fs.share(), path).unwrap();
        prop_assert_eq!((found, alone), (identity(), record));
    }

    #[test]
    fn every_flipped_bit_is_noticed(entries in entries(), bits in prop::collection::vec(any::<prop::sample::Index>(), 40)) {
        let fs = MemFs::new();
        let (record, _) = write(&fs, &entries);
        let bytes = fs.read("k/0000000003.hint").unwrap();
        let header = 0..HINT_HEADER * 8;
        for bit in header.chain(bits.into_iter().map(|bit| bit.index(bytes.len() * 8))) {
            let flipped = bytes[bit / 8] ^ (1 << (bit % 8));
            file(&fs).write_all_at(&[flipped], bit as u64 / 8).unwrap();
            prop_assert!(read(&fs, record).unwrap_err().is_damage(), "bit {bit}");
            file(&fs).write_all_at(&bytes[bit / 8..=bit / 8], bit as u64 / 8).unwrap();
        }
        prop_assert!(read(&fs, record).is_ok());
    }

    #[test]
    fn any_bytes_are_read_or_refused(noise in prop::collection::vec(any::<u8>(), 0..200)) {
        let mut from = 64;
        decode(&noise, 1, &mut from, 5000).ok();
        let fs = MemFs::new();
        let (record, _) = write(&fs, &Vec::new());
        file(&fs).write_all_at(&noise, HINT_HEADER as u64).unwrap();
        let hint_len = record.hint_len + noise.len() as u64;
        let refused = read(&fs, DataFileRecord { hint_len, ..record }).is_err();
        prop_assert!(noise.is_empty() || refused);
    }
}

#[test]
fn a_hint_file_of_another_data_file_is_refused() {
    let fs = MemFs::new();
    let (record, _) = write(&fs, &vec![(b"a".to_vec(), 1, Some(3))]);
    for other in [
        DataFileRecord { crc: 78, ..record },
        DataFileRecord { len: record.len + 1, ..record },
        DataFileRecord { entries: 2, ..record },
    ] {
        assert!(read(&fs, other).unwrap_err().is_damage());
    }
}

#[test]
fn sections_that_changed_places_are_noticed() {
    let fs = MemFs::new();
    let entries: Entries = (0..6).map(|n| (vec![n; 60_000], 5, Some(3))).collect();
    let (record, _) = write(&fs, &entries);
    let section = (record.hint_len - HINT_HEADER as u64) / 3;
    let bytes = fs.read("k/0000000003.hint").unwrap();
    let (first, second) = bytes[HINT_HEADER..].split_at(usize::try_from(section).unwrap());
    let second = &second[..first.len()];
    file(&fs).write_all_at(&[second, first].concat(), HINT_HEADER as u64).unwrap();
    assert!(read(&fs, record).unwrap_err().is_damage());
}

#[test]
fn numbers_and_names() {
    assert_eq!(hint_number(&hint_name(17)), Some(17));
    for name in ["17.hint", "0000000017.data", "+000000017.hint", "00000000017.hint"] {
        assert_eq!(hint_number(name), None, "{name}");
    }
}
