//! Manifests come back as they were written, every flipped bit is noticed, and no manifest says
//! what cannot be.

use proptest::prelude::*;

use super::*;

fn path() -> &'static Path {
    Path::new("db/keyspaces/7/manifest")
}

fn table(number: u64, first: &[u8], last: &[u8]) -> TableMeta {
    TableMeta {
        number,
        len: 4096,
        entries: 10,
        tombstones: 3,
        first: first.into(),
        last: last.into(),
        oldest: Lsn(1),
        newest: Lsn(9),
        crc: 0x1234,
    }
}

fn empty() -> Manifest {
    Manifest { through: Lsn(9), next_number: 100, ..Manifest::new(StoreId([7; 16]), 7) }
}

/// Keys that ascend, two for each table.
fn level() -> impl Strategy<Value = Vec<(Vec<u8>, Vec<u8>)>> {
    prop::collection::btree_set(prop::collection::vec(any::<u8>(), 0..4), 0..8).prop_map(|keys| {
        let keys: Vec<_> = keys.into_iter().collect();
        keys.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    })
}

fn manifests() -> impl Strategy<Value = Manifest> {
    let head = (any::<[u8; 16]>(), any::<u32>(), any::<u64>());
    (head, prop::collection::vec(level(), LEVELS)).prop_map(|((store, keyspace, edit), levels)| {
        let mut manifest = Manifest { store: StoreId(store), keyspace, edit, ..empty() };
        let mut number = manifest.next_number;
        for (place, tables) in manifest.levels.iter_mut().zip(levels) {
            for (first, last) in tables {
                number -= 1;
                place.push(table(number, &first, &last));
            }
        }
        manifest
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(manifest in manifests()) {
        prop_assert_eq!(Manifest::decode(path(), &manifest.encode()).unwrap(), manifest);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        Manifest::decode(path(), &bytes).ok();
        // Behind a sum that fits, too.
        let mut summed = empty().encode();
        summed.extend_from_slice(&bytes);
        summed[64] = 3;
        Manifest::decode(path(), &Sealed::close(summed)).ok();
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
    let mut bytes = empty().encode();
    bytes[12] = 2;
    let error = Manifest::decode(path(), &Sealed::close(bytes)).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn what_cannot_be_is_refused() {
    let refused = |what: &str, change: &dyn Fn(&mut Manifest)| {
        let mut manifest = empty();
        manifest.levels[1] = vec![table(3, b"a", b"c"), table(5, b"d", b"d")];
        manifest.levels[0] = vec![table(9, b"a", b"c"), table(8, b"a", b"d")];
        assert_eq!(manifest.contradiction(), None);
        change(&mut manifest);
        let error = Manifest::decode(path(), &manifest.encode()).unwrap_err();
        assert!(
            matches!(error, Error::Damaged { damage: Damage::Field(_), .. }),
            "{what}: {error}"
        );
    };
    refused("tables of a level overlap", &|it| it.levels[1][0].last = b"d"[..].into());
    refused("the oldest first", &|it| it.levels[0].reverse());
    refused("a number above all", &|it| it.next_number = 9);
    refused("a table that is newer than all", &|it| it.through = Lsn(8));
    refused("a table without entries", &|it| it.levels[0][0].entries = 0);
    refused("a table twice", &|it| it.levels[2] = vec![it.levels[1][0].clone()]);
    refused("first above last", &|it| it.levels[0][0].first = b"d"[..].into());
}
