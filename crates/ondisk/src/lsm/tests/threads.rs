//! Checkpoints, compactions on two threads and readers, all at once: every view is one of the
//! states there were.

use std::sync::atomic::AtomicBool;

use super::*;

const ROUNDS: u64 = 60;

/// What round `round` writes.
fn round_of(round: u64) -> Ops {
    let number = |it: u32| u64::from(it) + round;
    let value = |it| Some(format!("{round} of {it} {}", "x".repeat(40)).into_bytes());
    let keys = (0..KEYS).filter(|&it| number(it) % 3 != 0);
    keys.map(|it| (key(it), if number(it) % 7 == 0 { None } else { value(it) })).collect()
}

/// The state after each round.
fn chain() -> Vec<Contents> {
    let mut chain = vec![Contents::new()];
    for round in 1..=ROUNDS {
        let mut next = chain[chain.len() - 1].clone();
        for (key, value) in round_of(round) {
            match value {
                Some(value) => drop(next.insert(key, value)),
                None => drop(next.remove(&key)),
            }
        }
        chain.push(next);
    }
    chain
}

fn compact(lsm: &Arc<Lsm>, pins: &Readers, over: &AtomicBool) -> u32 {
    let mut jobs = 0;
    loop {
        let last = over.load(Relaxed);
        let Some(mut job) = Arc::clone(lsm).reclaim(Reclaim::Due) else {
            if last {
                return jobs;
            }
            std::thread::yield_now();
            continue;
        };
        let work = Work { bytes: 300, durable: &|| Lsn(u64::MAX), pins };
        while job.step(&work).unwrap() == Progress::Working {}
        jobs += 1;
    }
}

fn read(lsm: &Arc<Lsm>, chain: &[Contents], over: &AtomicBool) -> u64 {
    let mut reads = 0;
    while !over.load(Relaxed) {
        let view = lsm.view();
        let model = &chain[usize::try_from(view.through().0).unwrap()];
        assert_eq!(contents(&view), *model);
        let number = u32::try_from(reads % u64::from(KEYS)).unwrap();
        let found = view.get(&key(number)).unwrap();
        assert_eq!(found.as_deref(), model.get(&key(number)).map(Vec::as_slice));
        reads += 1;
    }
    reads
}

#[test]
fn views_are_whole_whatever_runs_beside_them() {
    let mut fixture = Fixture::new(None);
    let (chain, over) = (chain(), AtomicBool::new(false));
    let (lsm, pins) = (Arc::clone(&fixture.lsm), Readers::default());
    let (jobs, reads) = std::thread::scope(|scope| {
        let compactors = [(); 2].map(|()| scope.spawn(|| compact(&lsm, &pins, &over)));
        let readers = [(); 2].map(|()| scope.spawn(|| read(&lsm, &chain, &over)));
        for round in 1..=ROUNDS {
            fixture.checkpoint(&[round_of(round)]);
            while lsm.pressure() >= 300 {
                std::thread::yield_now(); // as writers do
            }
        }
        over.store(true, Relaxed);
        let jobs: u32 = compactors.into_iter().map(|it| it.join().unwrap()).sum();
        (jobs, readers.into_iter().map(|it| it.join().unwrap()).sum::<u64>())
    });
    println!("{jobs} compactions, {reads} views read");
    assert!(jobs > 5, "{jobs}");
    fixture.check();
    fixture.reclaim(Reclaim::All);
    fixture.check();
    assert_eq!(fixture.tables(), fixture.lsm.version().tables().count());
}

#[test]
#[should_panic(expected = "while the log is durable through 0")]
fn nothing_is_installed_ahead_of_the_log() {
    let mut fixture = Fixture::new(None);
    let frozen = fixture.freeze(&[vec![(key(1), Some(vec![1]))]]);
    fixture.durable = Lsn(0);
    fixture.run(Arc::clone(&fixture.lsm).checkpoint(frozen)).unwrap();
}
