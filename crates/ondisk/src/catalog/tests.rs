use proptest::prelude::*;

use super::*;

fn catalog() -> impl Strategy<Value = Catalog> {
    let modes = vec![None, Some("sync"), Some("none"), Some("batch:7"), Some("batch:9,20ms")];
    let options = (
        prop::sample::select(EngineKind::ALL.to_vec()),
        prop::sample::select(modes),
        prop::sample::select(vec![Compression::None, Compression::Lz4]),
        10_u32..17,
        any::<u32>(),
    );
    let options = options.prop_map(|(engine, mode, compression, page, large)| KeyspaceOptions {
        engine,
        sync: mode.map(|mode| mode.parse().unwrap()),
        page_size: PageSize(1 << page),
        compression,
        large_value: LargeValue(large),
    });
    let listed = (any::<String>(), options, any::<u32>(), any::<u32>());
    (prop::collection::vec(listed, 0..6), any::<u32>()).prop_map(|(all, released)| {
        let keyspaces: Vec<Listed> = (0..)
            .zip(all)
            .map(|(id, (name, options, through, edit))| {
                let name = format!("{id}{}", name.chars().take(40).collect::<String>());
                let confirmed = CommitPoint { through: Lsn(through.into()), edit: edit.into() };
                Listed { id: id * 3, name, options, confirmed }
            })
            .collect();
        let (store, released) = (StoreId([7; 16]), Lsn(released.into()));
        Catalog { store, released, next_id: 100, keyspaces }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_catalog_is_read_as_it_was_written(catalog in catalog()) {
        prop_assert_eq!(Catalog::decode(Path::new("catalog"), &catalog.encode()).unwrap(), catalog);
    }

    /// Whatever bit is flipped, and wherever it is cut, it is noticed.
    #[test]
    fn no_change_goes_unnoticed(catalog in catalog(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = catalog.encode();
        let at = at.index(bytes.len());
        prop_assert!(Catalog::decode(Path::new("catalog"), &bytes[..at]).is_err());
        bytes[at] ^= 1_u8 << bit;
        prop_assert!(Catalog::decode(Path::new("catalog"), &bytes).is_err());
    }

    /// Bytes with a good sum that say anything.
    #[test]
    fn hostile_bytes_are_refused_or_read(body in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = Catalog { store: StoreId([1; 16]), released: Lsn(0), next_id: 9, keyspaces: Vec::new() }.encode();
        bytes.extend_from_slice(&body);
        bytes[44] = 3;
        drop(Catalog::decode(Path::new("catalog"), &Sealed::close(bytes)));
    }
}
