//! Every peer gives back what it was given, and one that does not is found out.

use super::*;
use crate::peers::PEERS;

fn plan() -> Plan {
    let records = Records::new(3, 2500);
    Plan { records, time: Duration::from_millis(20), cache: Cache(8 << 20), seed: 3 }
}

#[test]
fn every_peer_gives_back_what_it_was_given() {
    for peer in PEERS {
        let dir = tempfile::tempdir().unwrap();
        let figures = measure(peer, dir.path(), &plan(), &|_| {});
        let figures = figures.unwrap_or_else(|error| panic!("{}: {error}", peer.name));
        assert_eq!(figures.len(), METRICS.len(), "{}", peer.name);
        let empty = METRICS
            .iter()
            .zip(&figures)
            .find(|(metric, figure)| metric.better == Better::More && **figure <= 0.0);
        assert!(empty.is_none(), "{}: {empty:?}", peer.name);
    }
}

/// A store that is another one, but for a mistake.
struct Broken {
    store: Box<dyn Store>,
    mistake: Mistake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    LosesTheLastBatch,
    LosesAnEntryOfABatch,
    LoadsOthers,
}

impl Store for Broken {
    fn load(&self, batches: &mut dyn Iterator<Item = Vec<Entry>>) -> Result<()> {
        let mut kept: Vec<Vec<Entry>> = batches.collect();
        match self.mistake {
            Mistake::LosesTheLastBatch => drop(kept.pop()),
            Mistake::LosesAnEntryOfABatch => drop(kept[1].remove(17)),
            Mistake::LoadsOthers => kept[1][17].1[99] ^= 1,
        }
        self.store.load(&mut kept.into_iter())
    }

    fn read(&self, work: &mut dyn FnMut(&dyn Reader) -> Result<()>) -> Result<()> {
        self.store.read(work)
    }

    fn put(&self, key: &[u8], value: &[u8], ack: Ack) -> Result<()> {
        self.store.put(key, value, ack)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.store.close()
    }
}

fn broken(path: &Path, cache: Cache, mistake: Mistake) -> Result<Box<dyn Store>> {
    Ok(Box::new(Broken { store: (PEERS[0].open)(path, cache)?, mistake }))
}

#[test]
fn canary_a_store_that_gives_back_something_else_is_found_out() {
    let stores = [
        Peer { name: "a", open: |path, cache| broken(path, cache, Mistake::LosesTheLastBatch) },
        Peer { name: "b", open: |path, cache| broken(path, cache, Mistake::LosesAnEntryOfABatch) },
        Peer { name: "c", open: |path, cache| broken(path, cache, Mistake::LoadsOthers) },
    ];
    for store in stores {
        let dir = tempfile::tempdir().unwrap();
        let error = measure(&store, dir.path(), &plan(), &|_| {}).unwrap_err().to_string();
        assert!(error.contains("was written"), "{}: {error}", store.name);
    }
}
