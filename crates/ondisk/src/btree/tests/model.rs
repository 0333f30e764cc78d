//! Random checkpoints of random maps against a `BTreeMap`, with views that are kept.

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Checkpoint(Changes),
    /// Many keys in a row, put or deleted.
    Sweep(u16, u16, Option<u8>),
    Keep,
    LetGo,
    Reopen,
    Renew,
    /// Some steps of a reclaiming job, which goes on later where it is not done.
    Reclaim(usize),
    Abandon,
    Compact,
    /// A checkpoint, with steps of a reclaiming job between its own.
    Between(Changes),
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0_u16..400).prop_map(|n| format!("key{n:04}").into_bytes()),
        2 => prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', 255]), 0..6),
        1 => (0_u8..20, 200_usize..3000).prop_map(|(n, len)| {
            let mut key = vec![b'l'; len];
            key.push(n);
            key
        }),
        1 => (0_u8..5).prop_map(|n| {
            let mut key = vec![b'm'; 65_535];
            key.push(n);
            key
        }),
    ]
}

fn value() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop_oneof![
        3 => Just(None),
        6 => (any::<u8>(), 0_usize..200).prop_map(|(byte, len)| Some(vec![byte; len])),
        2 => (any::<u8>(), 200_usize..9000).prop_map(|(byte, len)| Some(vec![byte; len])),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => prop::collection::btree_map(key(), value(), 0..60).prop_map(Op::Checkpoint),
        3 => (0_u16..400, 0_u16..400, prop::option::of(any::<u8>()))
            .prop_map(|(from, count, value)| Op::Sweep(from, count, value)),
        1 => Just(Op::Keep),
        1 => Just(Op::LetGo),
        2 => Just(Op::Reopen),
        1 => Just(Op::Renew),
        3 => (1_usize..30).prop_map(Op::Reclaim),
        1 => Just(Op::Abandon),
        2 => Just(Op::Compact),
        2 => prop::collection::btree_map(key(), value(), 0..40).prop_map(Op::Between),
    ]
}

fn sweep(from: u16, count: u16, value: Option<u8>) -> Changes {
    let numbers = from..from.saturating_add(count);
    numbers.map(|n| (format!("key{n:04}").into_bytes(), value.map(|it| vec![it; 40]))).collect()
}

fn check_walks(view: &Arc<dyn View>, model: &Contents, from: &[u8], to: &[u8]) {
    if from > to {
        return;
    }
    let (lower, upper) = (Bound::Included(from), Bound::Excluded(to));
    let range = || model.range::<[u8], _>((lower, upper));
    let mut walk = Arc::clone(view).walk(lower, upper, Direction::Forward);
    for (key, value) in range() {
        assert!(walk.advance().unwrap());
        assert_eq!(walk.key(), key);
        assert_eq!(walk.value().unwrap(), value);
        assert_eq!(*walk.keep().unwrap(), **value);
    }
    assert!(!walk.advance().unwrap() && !walk.advance().unwrap());
    let (lower, upper) = (Bound::Excluded(from), Bound::Included(to));
    if from == to {
        return;
    }
    let mut walk = Arc::clone(view).walk(lower, upper, Direction::Backward);
    for (key, value) in model.range::<[u8], _>((lower, upper)).rev() {
        assert!(walk.advance().unwrap());
        assert_eq!(walk.key(), key);
        assert_eq!(walk.value().unwrap(), value);
    }
    assert!(!walk.advance().unwrap());
}

/// A reclaiming job that may be under way.
#[derive(Debug, Default)]
struct Reclaiming(Option<Box<dyn Job>>);

impl Reclaiming {
    fn step(&mut self, engine: &Arc<Btree>, work: &Work<'_>) {
        let offered = || Arc::clone(engine).reclaim(Reclaim::All);
        let Some(mut job) = self.0.take().or_else(offered) else { return };
        if job.step(work).unwrap() == Progress::Working {
            self.0 = Some(job);
        }
    }

    /// As a checkpoint is taken through, one step of each after the other.
    fn beside(&mut self, engine: &Arc<Btree>, changes: &Changes, lsn: u64, readers: &Readers) {
        let durable = || Lsn(lsn);
        let work = Work { bytes: 1000, durable: &durable, pins: readers };
        let mut job = Arc::clone(engine).checkpoint(frozen(changes, lsn));
        while job.step(&work).unwrap() == Progress::Working {
            self.step(engine, &work);
        }
    }
}

fn run(ops: Vec<Op>, page_size: u32) {
    let fs = MemFs::new();
    let (mut lsn, mut model) = (0, Contents::new());
    let mut engine = open(site(&fs, page_size, None)).unwrap();
    let mut kept: Vec<(Arc<dyn View>, Contents)> = Vec::new();
    let readers = Readers::default();
    let mut reclaiming = Reclaiming::default();
    for op in ops {
        match op {
            Op::Checkpoint(changes) => {
                lsn += 1;
                apply(&mut model, &changes);
                checkpoint(&engine, &changes, lsn, &readers).unwrap();
            }
            Op::Sweep(from, count, value) => {
                lsn += 1;
                let changes = sweep(from, count, value);
                apply(&mut model, &changes);
                checkpoint(&engine, &changes, lsn, &readers).unwrap();
            }
            Op::Keep => kept.push((engine.view(), model.clone())),
            Op::LetGo => drop(kept.pop()),
            Op::Reclaim(steps) => {
                let durable = || Lsn(lsn);
                let work = Work { bytes: 1000, durable: &durable, pins: &readers };
                (0..steps).for_each(|_| reclaiming.step(&engine, &work));
            }
            Op::Abandon => reclaiming = Reclaiming::default(),
            Op::Compact => {
                reclaiming = Reclaiming::default();
                reclaim(&engine, Reclaim::All, &readers).unwrap();
            }
            Op::Between(changes) => {
                lsn += 1;
                apply(&mut model, &changes);
                reclaiming.beside(&engine, &changes, lsn, &readers);
            }
            Op::Reopen => {
                kept.clear();
                reclaiming = Reclaiming::default();
                engine = open(site(&fs, page_size, None)).unwrap();
            }
            Op::Renew => engine.renew().unwrap(),
        }
        let view = engine.view();
        assert_eq!(view.through(), Lsn(lsn));
        assert_eq!(contents(&view).unwrap(), model);
        for (key, value) in &model {
            assert_eq!(view.get(key).unwrap().as_deref(), Some(&value[..]));
        }
        check_walks(&view, &model, b"key0100", b"key0300");
        check_walks(&view, &model, b"", b"key01");
        check_walks(&view, &model, b"key0399", b"m");
        assert_eq!(
            view.get(b"key").unwrap(),
            model.get(&b"key"[..]).cloned().map(|it| bytes::Bytes::from(it).into())
        );
        for (view, model) in &kept {
            assert_eq!(contents(view).unwrap(), *model, "a view that was kept");
        }
        assert_eq!(findings(&site(&fs, page_size, None)), []);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_is_a_map(
        ops in prop::collection::vec(op(), 1..25),
        page_size in prop::sample::select(vec![1024_u32, 4096, 65536]),
    ) {
        run(ops, page_size);
    }
}
