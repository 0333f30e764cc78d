//! What of a damaged store's log can be read: of each key the newest operation.
//!
//! Invariant: a log holds the last commits of its store without a hole, but for those that are told
//! as lost; so of a key that it names the newest operation is the last one of all.

use std::collections::BTreeMap;
use std::path::Path;

use ondisk_fs::FileSystem;

use super::{Lost, Newest, Owner, SalvageReport};
use crate::error::Error;
use crate::open::read_commit;

/// The operations of a log, the newest of each key.
#[derive(Debug, Default)]
pub(super) struct Tail {
    pub(super) store: Owner,
    keyspaces: BTreeMap<u32, BTreeMap<Vec<u8>, Newest>>,
    /// Bytes of the largest key and value.
    pub(super) largest: u64,
}

impl Tail {
    pub(super) fn read(
        fs: &dyn FileSystem,
        dir: &Path,
        store: Owner,
        report: &mut SalvageReport,
    ) -> Result<Self, Error> {
        let mut tail = Self::default();
        let mut strange = Vec::new();
        let salvaged = ondisk_log::salvage(fs, dir, store, &mut |lsn, payload| {
            // Which numbers were given out to keyspaces, a damaged catalog does not say.
            match read_commit(dir, lsn, payload, u32::MAX) {
                Ok(commit) => {
                    for op in commit.ops() {
                        let key = op.key.of(commit.payload()).to_vec();
                        let value = op.value.map(|value| value.slice(commit.payload()));
                        let len = key.len() + value.as_ref().map_or(0, |it| it.len());
                        tail.largest = tail.largest.max(len as u64);
                        tail.keyspaces.entry(op.keyspace).or_default().insert(key, (lsn, value));
                    }
                }
                Err(error) => strange.push((lsn, error.to_string())),
            }
        })?;
        tail.store = salvaged.store;
        (report.end, report.records) = (salvaged.end, salvaged.records);
        report.lost.extend(salvaged.lost.into_iter().map(|gap| {
            let what = match gap.through {
                Some(through) if through > gap.after => {
                    format!("{}: commits {} to {through}", gap.what, gap.after.next())
                }
                _ => gap.what,
            };
            let lsn = (gap.through.is_some()).then(|| gap.after.next());
            Lost { path: gap.path, offset: gap.offset, len: gap.len, lsn, what }
        }));
        report.lost.extend(strange.into_iter().map(|(lsn, what)| Lost {
            path: dir.to_owned(),
            offset: 0,
            len: 0,
            lsn: Some(lsn),
            what,
        }));
        Ok(tail)
    }

    /// The operations on a keyspace.
    pub(super) fn of(&self, keyspace: u32) -> impl Iterator<Item = (&[u8], &Newest)> {
        let ops = self.keyspaces.get(&keyspace).into_iter().flatten();
        ops.map(|(key, newest)| (&key[..], newest))
    }

    /// The keyspaces that it names.
    pub(super) fn keyspaces(&self) -> impl Iterator<Item = u32> {
        self.keyspaces.keys().copied()
    }
}
