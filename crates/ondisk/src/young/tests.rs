//! The young map against a `BTreeMap` of versions.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::commit::CommitWriter;

type Operation = (Vec<u8>, Option<Vec<u8>>);

fn key() -> impl Strategy<Value = Vec<u8>> {
    // Few keys so that they collide, some longer than the prefix, some that differ by zeros only.
    let byte = prop::sample::select(vec![0_u8, 1, b'a']);
    prop_oneof![prop::collection::vec(byte.clone(), 0..3), prop::collection::vec(byte, 7..11),]
}

fn commits() -> impl Strategy<Value = Vec<Vec<Operation>>> {
    let value = prop::option::of(prop::collection::vec(any::<u8>(), 0..3));
    prop::collection::vec(prop::collection::vec((key(), value), 0..4), 0..20)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![
        Just(Bound::Unbounded),
        key().prop_map(Bound::Included),
        key().prop_map(Bound::Excluded),
    ]
}

fn borrowed(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

proptest! {
    #[test]
    fn a_reader_sees_the_newest_version_at_its_lsn(
        commits in commits(), visible in 0_u64..22, lower in bound(), upper in bound(),
    ) {
        let young = Young::new();
        let mut model = BTreeMap::<Vec<u8>, (Lsn, Option<Vec<u8>>)>::new();
        for (lsn, ops) in (1_u64..).zip(&commits) {
            let mut writer = CommitWriter::with_capacity(0);
            for (key, value) in ops {
                writer.push(0, key, value.as_deref());
                writer.push(1, b"another keyspace", Some(b"unseen"));
                if lsn <= visible {
                    model.insert(key.clone(), (Lsn(lsn), value.clone()));
                }
            }
            young.insert(Lsn(lsn), &writer.finish(), 0);
        }
        let as_found = |value: &Option<Vec<u8>>| {
            value.as_ref().map_or(Found::Deleted, |v| Found::Value(v.clone().into()))
        };
        for key in commits.iter().flatten().map(|(key, _)| key) {
            let expected = model.get(key).map(|(_, value)| as_found(value));
            prop_assert_eq!(young.get(key, Lsn(visible)), expected);
        }
        prop_assert_eq!(young.get(b"never written", Lsn(visible)), None);

        let (lower, upper) = (borrowed(&lower), borrowed(&upper));
        let above = |key: &[u8]| match lower {
            Bound::Unbounded => true,
            Bound::Included(start) => key >= start,
            Bound::Excluded(start) => key > start,
        };
        let seen: Vec<_> = young
            .range(lower, upper, Lsn(visible))
            .map(|newest| (newest.key.to_vec(), newest.lsn, newest.found))
            .collect();
        let expected: Vec<_> = model
            .iter()
            .filter(|(key, _)| above(key) && within(key, upper))
            .map(|(key, (lsn, value))| (key.clone(), *lsn, as_found(value)))
            .collect();
        prop_assert_eq!(seen, expected);
    }
}

#[test]
fn weight_grows_with_every_commit() {
    let young = Young::new();
    assert_eq!(young.weight(), 0);
    let empty = CommitWriter::with_capacity(0).finish();
    young.insert(Lsn(1), &empty, 0);
    assert!(young.weight() > 0 && young.is_empty());
}
