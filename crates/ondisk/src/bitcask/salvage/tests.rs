//! What is not damaged is given out; what is given out is what was written; what is not is told.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::Access;
use ondisk_log::Lsn;
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::bitcask::cask::tests::{Readers, frozen, run, site};
use crate::bitcask::open;
use crate::engine::Engine;

type Entry = (Vec<u8>, Option<Vec<u8>>, u64);

#[derive(Debug, Default)]
struct Basket {
    entries: BTreeSet<Entry>,
    lost: Vec<Lost>,
}

impl Salvage for Basket {
    fn entry(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Option<Lsn>) {
        let entry = (key.to_vec(), value.map(<[u8]>::to_vec), lsn.unwrap().0);
        assert!(self.entries.insert(entry), "each once");
    }

    fn lost(&mut self, lost: Lost) {
        self.lost.push(lost);
    }
}

fn gather(fs: &MemFs) -> Basket {
    let mut basket = Basket::default();
    salvage(&site(fs, None), &mut basket).unwrap();
    basket
}

/// An engine with two data files.
fn files(first: &[(Vec<u8>, Option<Vec<u8>>)]) -> MemFs {
    let fs = MemFs::new();
    let cask = open(site(&fs, None)).unwrap();
    let second = [(b"key2".to_vec(), None), (b"other".to_vec(), Some(vec![9; 50]))];
    for operations in [first, &second[..]] {
        let frozen = frozen(cask.view().through(), operations);
        run(&mut *Arc::clone(&cask).checkpoint(frozen), &Readers::default()).unwrap();
    }
    fs
}

fn operations() -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    (0..8_u8).map(|n| (format!("key{n}").into_bytes(), Some(vec![n; usize::from(n) * 9]))).collect()
}

fn change(fs: &MemFs, path: &str, offset: u64, bytes: &[u8]) {
    let file = fs.share().open(Path::new(path), Access::ReadWrite).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}

const DATA: &str = "keyspace/0000000001.data";

proptest! {
    #[test]
    fn one_damaged_byte_costs_one_entry(at in any::<prop::sample::Index>(), hint in any::<bool>()) {
        let fs = files(&operations());
        let all = gather(&fs);
        prop_assert_eq!((all.entries.len(), all.lost.len()), (10, 0));
        if !hint {
            fs.share().remove(Path::new("keyspace/0000000001.hint")).unwrap();
        }
        let bytes = fs.read(DATA).unwrap();
        let at = at.index(bytes.len());
        change(&fs, DATA, at as u64, &[!bytes[at]]);
        let found = gather(&fs);
        let given = found.entries.len();
        prop_assert!(found.entries.is_subset(&all.entries));
        prop_assert_eq!(given, if at < HEADER { 10 } else { 9 });
        prop_assert_eq!(found.lost.len(), 1);
        let Lost { offset, len, .. } = found.lost[0];
        prop_assert!(offset <= at as u64 && (at as u64) < offset + len);
    }

    #[test]
    fn any_damage_leaves_what_was_written(
        at in any::<prop::sample::Index>(), noise in prop::collection::vec(any::<u8>(), 0..300),
        len in any::<prop::sample::Index>(),
    ) {
        let fs = files(&operations());
        let all = gather(&fs);
        let bytes = fs.read(DATA).unwrap();
        change(&fs, DATA, at.index(bytes.len()) as u64, &noise);
        let file = fs.share().open(Path::new(DATA), Access::ReadWrite).unwrap();
        file.set_len(len.index(bytes.len() + 1) as u64).unwrap();
        prop_assert!(gather(&fs).entries.is_subset(&all.entries));
    }
}

#[test]
fn without_a_manifest_all_files_are_read() {
    let fs = files(&operations());
    let all = gather(&fs).entries;
    change(&fs, "keyspace/manifest", 30, b"?");
    let found = gather(&fs);
    assert_eq!((found.entries, found.lost.len()), (all.clone(), 1));
    fs.share().remove(Path::new("keyspace/manifest")).unwrap();
    let found = gather(&fs);
    assert_eq!((found.entries, found.lost.len()), (all, 1));
}

#[test]
fn a_missing_file_is_told_with_its_first_commit() {
    let fs = files(&operations());
    fs.share().remove(Path::new("keyspace/0000000002.data")).unwrap();
    let found = gather(&fs);
    assert_eq!(found.entries.len(), 8);
    assert_eq!(found.lost[0].lsn, Some(Lsn(9)));
}

#[test]
fn nothing_is_given_out_of_an_empty_keyspace() {
    let found = gather(&MemFs::new());
    assert!(found.entries.is_empty() && found.lost.is_empty());
}

#[test]
fn damage_in_a_large_file_is_passed_over() {
    let big: BTreeMap<_, _> =
        (0..40_u32).map(|n| (n.to_be_bytes().to_vec(), Some(vec![7; 20_000]))).collect();
    let operations: Vec<_> = big.into_iter().collect();
    let fs = files(&operations);
    for hint in [true, false] {
        change(&fs, DATA, 300_000, &[0xEE; 100]);
        let found = gather(&fs);
        assert_eq!((found.entries.len(), found.lost.len()), (40, 1), "with a hint file: {hint}");
        fs.share().remove(Path::new("keyspace/0000000001.hint")).ok();
    }
}
