//! Figures, by hand: `cargo test --release -p ondisk --lib btree::tests::speed -- --ignored --nocapture`.

use std::time::Duration;

use super::*;

/// The processor time of this thread, which other programs do not count in.
fn now() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

const KEYS: u64 = 1_000_000;

fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    n ^ (n >> 31)
}

fn key(n: u64) -> Vec<u8> {
    mix(n).to_be_bytes().iter().chain(&n.to_be_bytes()).copied().collect()
}

#[test]
#[ignore = "a measurement"]
fn a_million_keys() {
    let dir = tempfile::tempdir().unwrap();
    let mem = MemFs::new();
    let site = Site {
        fs: Arc::new(ondisk_fs::OsFs),
        dir: dir.path().join("tree"),
        caches: Arc::new(Caches::new(1 << 30)),
        ..site(&mem, 4096, None)
    };
    let engine = open(site.clone()).unwrap();
    let readers = Readers::default();
    let begin = now();
    for round in 0..10 {
        let keys = round * KEYS / 10..(round + 1) * KEYS / 10;
        let changes = keys.map(|n| (key(n), Some(vec![7; 100]))).collect();
        checkpoint(&engine, &changes, round + 1, &readers).unwrap();
    }
    println!("load {:?}", (now() - begin));
    println!("{:?}", engine.stats());
    drop(engine);
    let begin = now();
    let engine = open(site).unwrap();
    println!("open {:?}", (now() - begin));
    let view = engine.view();
    for name in ["cold", "warm", "warm"] {
        let begin = now();
        let mut sum = 0;
        let mut walk =
            Arc::clone(&view).walk(Bound::Unbounded, Bound::Unbounded, Direction::Forward);
        while walk.advance().unwrap() {
            sum += walk.key().len() + usize::from(walk.value().unwrap()[0]);
        }
        let each = (now() - begin) / u32::try_from(KEYS).unwrap();
        println!("{name} scan {each:?} a key ({sum})");
    }
    for name in ["hit", "hit", "miss"] {
        let more = if name == "miss" { KEYS } else { 0 };
        let keys: Vec<_> = (0..KEYS).map(|n| key(mix(n) % KEYS + more)).collect();
        let begin = now();
        let found = keys.iter().filter(|key| view.get(key).unwrap().is_some()).count();
        let each = (now() - begin) / u32::try_from(KEYS).unwrap();
        println!("{name} {each:?} a key ({found})");
    }
    println!("{:?}", engine.stats());
}

/// Half of the keys are deleted, here and there; then the file is made as short as it gets.
#[test]
#[ignore = "a measurement"]
fn half_of_four_million_keys() {
    const MANY: u64 = 4_000_000;
    let dir = tempfile::tempdir().unwrap();
    let mem = MemFs::new();
    let site = Site {
        fs: Arc::new(ondisk_fs::OsFs),
        dir: dir.path().join("tree"),
        caches: Arc::new(Caches::new(64 << 20)),
        ..site(&mem, 4096, None)
    };
    let engine = open(site.clone()).unwrap();
    let readers = Readers::default();
    let key = |n: u64| n.to_be_bytes().repeat(2);
    for round in 0..10 {
        let keys = round * MANY / 10..(round + 1) * MANY / 10;
        let changes = keys.map(|n| (key(n), Some(vec![7; 100]))).collect();
        checkpoint(&engine, &changes, round + 1, &readers).unwrap();
    }
    for part in 0..4 {
        let gone = (0..MANY).filter(|n| mix(*n) % 8 == part);
        checkpoint(&engine, &gone.map(|n| (key(n), None)).collect(), 11 + part, &readers).unwrap();
    }
    let before = engine.stats();
    let begin = now();
    let durable = || Lsn(u64::MAX);
    let work = Work { bytes: 1 << 20, durable: &durable, pins: &readers };
    let (mut jobs, mut steps) = (0, 0);
    while let Some(mut job) = Arc::clone(&engine).reclaim(Reclaim::All) {
        jobs += 1;
        while job.step(&work).unwrap() == Progress::Working {
            steps += 1;
        }
    }
    println!("{:?} of this thread, {jobs} jobs, {steps} steps", now() - begin);
    let after = engine.stats();
    println!("before {:?} {:?}", before.files, before.pages);
    println!("after {:?} {:?}", after.files, after.pages);
    println!(
        "{} bytes were written, {} read",
        after.reclaim_written,
        after.read_bytes - before.read_bytes
    );
    assert_eq!(findings(&site), []);
}
