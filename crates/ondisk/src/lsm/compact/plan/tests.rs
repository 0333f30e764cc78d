//! Plans keep the order of versions, whatever the levels are, and several can be carried out at
//! once.

use ondisk_log::Lsn;
use ondisk_sim::MemFs;
use proptest::prelude::*;

use super::*;
use crate::engine::CommitPoint;
use crate::lsm::table::TableMeta;
use crate::lsm::tests::site;
use crate::lsm::version::Edit;

const SHAPE: Shape = Shape {
    first_level: 4,
    lightest: 4,
    first_level_full: 20,
    base: 4000,
    growth: 10,
    table: 1000,
    young_table: 1000,
};

/// A table that nobody reads.
fn table(number: u64, first: u8, last: u8, len: u64) -> Arc<Table> {
    let meta = TableMeta {
        number,
        len,
        entries: 10,
        tombstones: u64::from(number.is_multiple_of(5)) * 6,
        first: [first][..].into(),
        last: [last][..].into(),
        oldest: Lsn(1),
        newest: Lsn(1),
        crc: 0,
    };
    Table::open(&site(&MemFs::new(), None), &meta).unwrap()
}

fn version(levels: &[Vec<Arc<Table>>]) -> Version {
    let mut tables: [Vec<_>; LEVELS] = Default::default();
    tables.iter_mut().zip(levels).for_each(|(place, level)| place.clone_from(level));
    Version::new(CommitPoint::default(), tables)
}

/// All plans that can be carried out at once.
fn plans(version: &Version, want: Reclaim) -> (Vec<Plan>, Claims) {
    let mut claims = Claims::default();
    let mut plans = Vec::new();
    loop {
        let picker = Picker { version, claims: &claims, shape: &SHAPE, broken: None };
        let Some(plan) = picker.pick(want) else { return (plans, claims) };
        claims.add(&plan);
        plans.push(plan);
        assert!(plans.len() < 1000, "plans without end");
    }
}

/// What a plan would leave, as far as keys tell: one table with all keys of its inputs.
fn carry_out(version: &Version, plan: &Plan, number: u64) -> Version {
    let remove = plan.inputs().map(|it| it.meta().number).collect();
    let (first, last) = plan.span();
    let merged = match plan.how {
        How::Move => Arc::clone(&plan.upper[0]),
        How::Merge => {
            let len = plan.inputs().map(|it| it.meta().len).sum();
            // Without tombstones: a multiple of five has some.
            table(number * 5 + 1, first[0], last[0], len)
        }
    };
    version.edited(&Edit { through: None, remove, add: vec![(plan.to, merged)] }, 1)
}

fn check(version: &Version, plan: &Plan) {
    let has = |it: &Arc<Table>| plan.inputs().any(|input| input.meta().number == it.meta().number);
    let young = version.levels[0].tables();
    if plan.from == 0 {
        for (place, input) in young.iter().enumerate().filter(|(_, it)| has(it)) {
            for older in &young[place + 1..] {
                assert!(has(older) || !overlap(older, input), "an older table is left above");
            }
        }
    }
    if plan.to > plan.from {
        for input in &plan.upper {
            for below in version.levels[plan.to].tables() {
                assert!(has(below) || !overlap(below, input), "a table is left that overlaps");
            }
        }
    }
    if plan.how == How::Move {
        assert!(plan.upper.len() == 1 && plan.lower.is_empty());
    }
}

fn sorted(level: &Version, index: usize) -> bool {
    level.levels[index].tables().windows(2).all(|pair| pair[0].meta().last < pair[1].meta().first)
}

/// Bounds of tables: any for the first level, ascending for the others.
fn levels() -> impl Strategy<Value = Vec<Vec<Arc<Table>>>> {
    let young = prop::collection::vec((any::<u8>(), any::<u8>(), 1_u64..2000), 0..8);
    let keys = prop::collection::btree_set(any::<u8>(), 0..24);
    let level = (keys, prop::collection::vec(1_u64..3000, 12));
    (young, prop::collection::vec(level, 3)).prop_map(|(young, sorted)| {
        let mut number = 1000;
        let mut next = |first: u8, last: u8, len| {
            number -= 1;
            table(number, first, last, len)
        };
        let young = young.into_iter().map(|(a, b, len)| next(a.min(b), a.max(b), len)).collect();
        let sorted = sorted.into_iter().map(|(keys, lens)| {
            let keys: Vec<_> = keys.into_iter().collect();
            let pairs = keys.chunks_exact(2).zip(lens);
            pairs.map(|(pair, len)| next(pair[0], pair[1], len)).collect()
        });
        [young].into_iter().chain(sorted.collect::<Vec<_>>()).collect()
    })
}

proptest! {
    #[test]
    fn plans_keep_the_order(levels in levels()) {
        for want in [Reclaim::Due, Reclaim::All] {
            let version = version(&levels);
            let (plans, _) = plans(&version, want);
            plans.iter().for_each(|plan| check(&version, plan));
            // Whichever is done first.
            for backward in [false, true] {
                let mut plans = plans.clone();
                if backward {
                    plans.reverse();
                }
                let mut done = version.clone();
                for (number, plan) in (1000..).zip(&plans) {
                    done = carry_out(&done, plan, number);
                    assert!((1..LEVELS).all(|level| sorted(&done, level)), "{plan:?}");
                }
            }
        }
    }

    #[test]
    fn all_comes_to_an_end_in_one_level(levels in levels()) {
        let mut version = version(&levels);
        for number in 1000..3000 {
            let claims = Claims::default();
            let picker =
                Picker { version: &version, claims: &claims, shape: &SHAPE, broken: None };
            let Some(plan) = picker.pick(Reclaim::All) else { break };
            version = carry_out(&version, &plan, number);
        }
        prop_assert!(version.levels.iter().filter(|it| !it.tables().is_empty()).count() <= 1);
    }
}

/// Both processors may compact.
#[test]
fn several_plans_are_carried_out_at_once() {
    let level = |from: u64, len| {
        let tables = (0..8_u8).map(|it| table(from + u64::from(it) * 5, it * 10, it * 10 + 9, len));
        tables.collect::<Vec<_>>()
    };
    let version = version(&[vec![], level(101, 1000), level(201, 1000)]);
    let (plans, mut claims) = plans(&version, Reclaim::Due);
    assert_eq!(plans.len(), 5, "until what stays is less than the level takes");
    assert!(plans.iter().all(|plan| plan.from == 1 && plan.how == How::Merge));
    // One that is dropped is picked again.
    claims.release(2);
    let picker = Picker { version: &version, claims: &claims, shape: &SHAPE, broken: None };
    assert!(picker.pick(Reclaim::Due).is_some());
}

#[test]
fn the_first_level_does_not_wait_for_ever() {
    let wide = |number| table(number, 0, 99, 1000);
    let level = (0..8_u8).map(|it| table(101 + u64::from(it) * 5, it * 10, it * 10 + 9, 1000));
    let mut levels = vec![(0..3).map(|it| wide(906 - it * 5)).collect(), level.collect()];
    levels.push(
        (0..8_u8).map(|it| table(201 + u64::from(it) * 5, it * 10, it * 10 + 9, 1)).collect(),
    );
    let mut claims = Claims::default();
    let before = version(&levels);
    let pick = |version: &Version, claims: &Claims| {
        Picker { version, claims, shape: &SHAPE, broken: None }.pick(Reclaim::Due)
    };
    let one = pick(&before, &claims).unwrap();
    assert_eq!(one.from, 1);
    let one = claims.add(&one);
    // Now the first level is full, and waits for that one: no other of its kind is begun.
    levels[0] = (0..8).map(|it| wide(906 - it * 5)).collect();
    let after = version(&levels);
    assert!(pick(&after, &claims).is_none());
    claims.release(one);
    assert_eq!(pick(&after, &claims).unwrap().from, 0);
}

/// A few bytes above many are merged by themselves, and once only.
#[test]
fn little_above_much_is_merged_by_itself() {
    let young = (0..4).map(|it| table(906 - it * 5, 0, 99, 50)).collect();
    let level = (0..3_u8).map(|it| table(101 + u64::from(it) * 5, it * 30, it * 30 + 29, 1000));
    let before = version(&[young, level.collect()]);
    let (plans, _) = plans(&before, Reclaim::Due);
    assert_eq!(plans.len(), 1);
    assert_eq!((plans[0].from, plans[0].to, plans[0].upper.len()), (0, 0, 4));
    let after = carry_out(&before, &plans[0], 1000);
    assert_eq!(after.levels[0].tables().len(), 1);
    let picker =
        Picker { version: &after, claims: &Claims::default(), shape: &SHAPE, broken: None };
    assert!(picker.pick(Reclaim::Due).is_none());
    assert_eq!(picker.pick(Reclaim::All).unwrap().to, 1);
}

#[test]
fn pressure_grows_with_what_is_behind() {
    let pressure = |tables: u64| {
        let young = (0..tables).map(|it| table(1001 - it * 5, 0, 9, 10)).collect();
        SHAPE.pressure(&version(&[young]))
    };
    assert_eq!((pressure(0), pressure(4), pressure(20), pressure(90)), (0, 0, 1000, 1000));
    assert!((4..20).all(|tables| pressure(tables) < pressure(tables + 1)));
    let pending = |len| SHAPE.pressure(&version(&[vec![], vec![table(1, 0, 9, len)]]));
    assert_eq!((pending(4000), pending(4000 * 9), pending(4000 * 65)), (0, 0, 1000));
    assert!(pending(4000 * 40) > pending(4000 * 30));
}
