use proptest::prelude::*;

use super::*;
use crate::engine::CommitPoint;
use crate::options::{EngineKind, KeyspaceOptions};

fn list() -> List {
    let listed = |id, name: &str, engine| Listed {
        id,
        name: name.to_owned(),
        options: KeyspaceOptions::new(engine),
        confirmed: CommitPoint::default(),
    };
    let keyspaces =
        vec![listed(0, "default", EngineKind::Bitcask), listed(4, "tab\t🦀", EngineKind::Btree)];
    let part = |number, keyspace| PartRecord {
        number,
        keyspace,
        crc: 77,
        bytes: 1000,
        entries: 10,
        tombstones: 3,
    };
    let backup = |number, parts| Backup {
        number,
        lsn: Lsn(u64::from(number) * 10),
        largest: 90,
        keyspaces: keyspaces.clone(),
        parts,
    };
    let backups =
        vec![backup(1, vec![part(1, 0), part(2, 0), part(3, 4)]), backup(2, vec![part(1, 4)])];
    List { store: StoreId([5; 16]), backups }
}

fn decode(bytes: &[u8]) -> Result<List, Error> {
    List::decode("backup".as_ref(), bytes)
}

#[test]
fn what_is_written_is_read() {
    assert_eq!(decode(&list().encode()).unwrap(), list());
    let parts = list().parts_of(4);
    let places: Vec<_> = parts.iter().flatten().map(|(id, _)| (id.backup, id.part)).collect();
    assert_eq!(places, [(2, 1), (1, 3)]);
}

#[test]
fn a_newer_version_is_no_damage() {
    let mut bytes = list().encode();
    bytes[12] = 2;
    assert!(matches!(
        decode(&Sealed::close(bytes)),
        Err(Error::NewerFormat { found: 2, known: 1, .. })
    ));
}

proptest! {
    #[test]
    fn a_flipped_bit_is_noticed(at in any::<prop::sample::Index>(), bit in 0..8u8) {
        let mut bytes = list().encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(decode(&bytes).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in 0..400usize,
    ) {
        let mut bytes = list().encode();
        bytes.truncate(bytes.len().saturating_sub(cut).max(HEAD));
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes[..8].copy_from_slice(&SEALED.magic);
        decode(&Sealed::close(bytes)).ok();
    }
}
