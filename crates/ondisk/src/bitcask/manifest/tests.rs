//! Manifests come back as they were written, and every flipped bit is noticed.

use proptest::prelude::*;

use super::*;

fn path() -> &'static Path {
    Path::new("db/keyspaces/0/manifest")
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let file = (any::<u64>(), any::<u64>(), any::<u32>());
    (any::<[u8; 16]>(), any::<u32>(), any::<u64>(), prop::collection::vec(file, 0..5)).prop_map(
        |(store, keyspace, checkpoint, files)| Manifest {
            store: StoreId(store),
            keyspace,
            checkpoint: Lsn(checkpoint),
            next_number: 100,
            files: (7..)
                .zip(files)
                .map(|(number, (len, entries, crc))| DataFileRecord { number, len, entries, crc })
                .collect(),
        },
    )
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

#[test]
fn a_newer_version_is_told_apart_from_damage() {
    let mut bytes = Manifest::new(StoreId([7; 16]), 0).encode();
    bytes[12] = 2;
    let sum = crc32c(&bytes[SUMMED_FROM..]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    let error = Manifest::decode(path(), &bytes).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn numbers_out_of_order_are_refused() {
    let mut manifest = Manifest::new(StoreId([7; 16]), 0);
    let file = |number| DataFileRecord { number, len: 64, entries: 0, crc: 0 };
    for (files, next_number) in [(vec![file(2), file(1)], 3), (vec![file(3)], 3)] {
        (manifest.files, manifest.next_number) = (files, next_number);
        let error = Manifest::decode(path(), &manifest.encode()).unwrap_err();
        assert!(matches!(error, Error::Damaged { damage: Damage::Field("number"), .. }), "{error}");
    }
}
