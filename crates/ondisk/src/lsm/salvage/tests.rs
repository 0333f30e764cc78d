//! What is whole comes out; what is not is named; nothing is made up.

use std::collections::BTreeMap;

use ondisk_fs::FileSystem;
use ondisk_sim::MemFs;

use super::*;
use crate::lsm::tests::site;
use crate::lsm::verify::tests::filled;

/// Of each key the newest entry.
#[derive(Default)]
struct Taken {
    entries: BTreeMap<Vec<u8>, (Lsn, Option<Vec<u8>>)>,
    lost: Vec<Lost>,
}

impl Salvage for Taken {
    fn entry(&mut self, key: &[u8], value: Option<&[u8]>, lsn: Option<Lsn>) {
        let entry = (lsn.unwrap(), value.map(<[u8]>::to_vec));
        let newest = self.entries.entry(key.to_vec()).or_insert_with(|| entry.clone());
        if newest.0 < entry.0 {
            *newest = entry;
        }
    }

    fn lost(&mut self, lost: Lost) {
        self.lost.push(lost);
    }
}

impl Taken {
    fn of(fs: &MemFs) -> Self {
        let mut taken = Self::default();
        salvage(&site(fs, None), &mut taken).unwrap();
        taken
    }

    fn contents(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let live = self.entries.iter().filter_map(|(key, (_, value))| Some((key, value.as_ref()?)));
        live.map(|(key, value)| (key.clone(), value.clone())).collect()
    }
}

#[test]
fn what_is_whole_comes_out() {
    let fixture = filled();
    let taken = Taken::of(&fixture.fs);
    assert_eq!((taken.contents(), taken.lost), (fixture.model.clone(), vec![]));
    // Without a manifest too; here no table was left that compaction had replaced.
    fixture.fs.remove(&manifest_path("db/7".as_ref())).unwrap();
    let taken = Taken::of(&fixture.fs);
    assert_eq!(taken.contents(), fixture.model);
    assert_eq!(taken.lost.len(), 1, "{:?}", taken.lost);
}

#[test]
fn what_is_damaged_is_named_and_the_rest_comes_out() {
    let fixture = filled();
    let whole = Taken::of(&fixture.fs);
    for table in fixture.lsm.version().tables() {
        let path = table.path();
        for offset in (0..table.meta().len).step_by(7) {
            let fs = fixture.fs.fork();
            fs.rot(path, offset, 3).unwrap();
            let taken = Taken::of(&fs);
            let missing = whole.entries.iter().any(|(key, it)| taken.entries.get(key) != Some(it));
            let named = taken.lost.iter().any(|it| it.path == path);
            assert!(named || !missing, "{} at {offset}", path.display());
            for (key, (lsn, value)) in &taken.entries {
                let newest = &whole.entries[key];
                assert!(lsn < &newest.0 || *newest == (*lsn, value.clone()), "made up: {key:?}");
            }
        }
        let fs = fixture.fs.fork();
        fs.remove(path).unwrap();
        let taken = Taken::of(&fs);
        let told = taken.lost.iter().find(|it| it.path == path).unwrap();
        assert_eq!((told.len, told.lsn), (table.meta().len, Some(table.meta().oldest)));
    }
}
