//! Manifests come back as they were written, and every flipped bit is noticed.

use proptest::prelude::*;

use super::*;

fn path() -> &'static Path {
    Path::new("db/keyspaces/0/manifest")
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let file = (any::<u64>(), any::<u64>(), any::<u32>(), 0..3_u64, 1..3_u64, any::<u64>());
    let head = (any::<[u8; 16]>(), any::<u32>(), 20..u64::MAX, 1..u64::MAX);
    (head, prop::collection::vec(file, 0..5)).prop_map(|((store, keyspace, end, edit), files)| {
        let mut before = 0;
        let lines =
            (7..).zip(files).map(|(number, (len, entries, crc, gap, commits, hint_len))| {
                let after = before + gap;
                before = after + commits;
                let span = Span { after: Lsn(after), through: Lsn(before) };
                DataFileRecord { number: 50 - number, len, entries, crc, span, hint_len }
            });
        let files = lines.collect();
        let (store, checkpoint) = (StoreId(store), Lsn(end));
        Manifest {
            version: SEALED.version,
            store,
            keyspace,
            checkpoint,
            edit,
            next_number: 100,
            files,
        }
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(manifest in manifests()) {
        prop_assert_eq!(Manifest::decode(path(), &manifest.encode()).unwrap(), manifest);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        Manifest::decode(path(), &bytes).ok();
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage(manifest in manifests()) {
        let whole = manifest.encode();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let error = Manifest::decode(path(), &bytes).unwrap_err();
            prop_assert!(error.is_damage(), "bit {bit}: {error}");
        }
        for len in 0..whole.len() {
            prop_assert!(Manifest::decode(path(), &whole[..len]).unwrap_err().is_damage());
        }
    }
}

/// As it is written, with an edit, and with its sum made to fit.
fn resealed(manifest: &Manifest, edit: impl FnOnce(&mut [u8])) -> Result<Manifest, Error> {
    let mut bytes = manifest.encode();
    edit(&mut bytes);
    Manifest::decode(path(), &Sealed::close(bytes))
}

fn empty() -> Manifest {
    Manifest { edit: 1, ..Manifest::new(StoreId([7; 16]), 0) }
}

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    let error = resealed(&empty(), |bytes| bytes[12] = 3).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 3, known: 2, .. }), "{error}");
}

#[test]
fn a_commit_point_is_numbered_but_in_version_1() {
    assert_eq!(resealed(&empty(), |_| {}).unwrap().edit, 1);
    assert!(resealed(&empty(), |bytes| bytes[56] = 0).unwrap_err().is_damage());
    let first = |edit| move |bytes: &mut [u8]| (bytes[12], bytes[56]) = (1, edit);
    assert_eq!(resealed(&empty(), first(0)).unwrap().edit, FIRST_EDIT);
    assert!(resealed(&empty(), first(9)).unwrap_err().is_damage());
}

#[test]
fn numbers_and_spans_that_do_not_fit_are_refused() {
    let file = |number, after, through| {
        let span = Span { after: Lsn(after), through: Lsn(through) };
        DataFileRecord { number, len: 64, entries: 0, crc: 0, span, hint_len: 0 }
    };
    let mut manifest = Manifest { checkpoint: Lsn(9), next_number: 3, ..empty() };
    manifest.files = vec![file(2, 0, 4), file(1, 4, 9)];
    Manifest::decode(path(), &manifest.encode()).unwrap();
    for files in [
        vec![file(3, 0, 1)],
        vec![file(1, 0, 1), file(1, 1, 2)],
        vec![file(1, 0, 5), file(2, 4, 9)],
        vec![file(1, 5, 5)],
        vec![file(1, 5, 10)],
    ] {
        manifest.files = files;
        let error = Manifest::decode(path(), &manifest.encode()).unwrap_err();
        assert!(error.is_damage(), "{error}");
    }
}
