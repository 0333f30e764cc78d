//! Transactions of the store, held against the checker of histories: thousands of histories by
//! turns and on threads, none of which may show an anomaly; each rule that is broken on purpose
//! must show one.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use ondisk::sabotage::{Sabotage, TransactionRule};
use ondisk::{
    Background, Db, EngineKind, Keyspace, KeyspaceOptions, SyncMode, Transaction, TransactionRange,
};
use ondisk_sim::MemFs;
use testkit::history::drive::{Entries, Placed, Refusal, Session, Subject, by_turns, on_threads};
use testkit::history::plan::{Ask, Plan, SHAPES};
use testkit::history::{Anomaly, History, Item, Order, Way, check};

/// Histories by turns, and as many on threads.
const HISTORIES: u64 = 2600;
/// Each mistake shows within so many.
const BUDGET: u64 = 2600;

/// A store with three keyspaces, on a simulated file system.
struct Store {
    db: Db,
    spaces: Vec<Keyspace>,
}

impl Store {
    fn new(seed: u64, background: Background, rule: Option<TransactionRule>) -> Self {
        let mode = [SyncMode::Sync, SyncMode::None, "batch:3".parse().unwrap()];
        // Small, so that maps are frozen and taken over while transactions are open; and now and
        // then so small that the past is not kept, or reads are kept less exactly.
        let young_budget = [20_000, 200_000, 6_000][index(seed / 3, 3)];
        let read_budget = [4 << 20, 4 << 20, 500][index(seed / 9, 3)];
        let db = Db::builder()
            .file_system(MemFs::new().share())
            .background(background)
            .sync(mode[index(seed, 3)])
            .first_segment(16 << 10)
            .largest_segment(64 << 10)
            .young_budget(young_budget)
            .read_budget(read_budget)
            .sabotage(rule.map(Sabotage::Transaction))
            .open("db")
            .unwrap();
        let mut spaces = vec![db.default_keyspace().unwrap()];
        for (name, engine) in [("one", EngineKind::Lsm), ("two", EngineKind::Btree)] {
            spaces.push(db.keyspace(name, KeyspaceOptions::new(engine)).unwrap());
        }
        Self { db, spaces }
    }
}

fn index(n: u64, of: u64) -> usize {
    usize::try_from(n % of).unwrap()
}

struct Open<'s> {
    store: &'s Store,
    transaction: Transaction,
}

impl Subject for Store {
    type Session<'s> = Open<'s>;

    fn begin(&self) -> Result<Open<'_>, String> {
        Ok(Open { store: self, transaction: self.db.transaction() })
    }

    fn background(&self, number: u64) -> Result<(), String> {
        let done = match number % 6 {
            0 => self.db.checkpoint(),
            1 => self.db.idle_step().map(drop),
            2 => self.db.compact(),
            _ => {
                let mut steps = (0..number % 7).map(|_| self.db.step());
                steps.try_for_each(|step| step.map(drop))
            }
        };
        done.map_err(|error| error.to_string())
    }
}

fn refused(error: ondisk::Error) -> Refusal {
    if error.is_conflict() { Refusal::Conflict } else { Refusal::Broken(error.to_string()) }
}

fn collect(range: TransactionRange<'_>, way: Way, limit: usize) -> Result<Entries, ondisk::Error> {
    let keep = |it: Result<(ondisk::Key, ondisk::Value), _>| {
        it.map(|(key, value)| (key.to_vec(), value.to_vec()))
    };
    match way {
        Way::Up => range.map(keep).take(limit).collect(),
        Way::Down => range.rev().map(keep).take(limit).collect(),
    }
}

impl Open<'_> {
    fn space(&self, item: &Item) -> &Keyspace {
        &self.store.spaces[item.space as usize]
    }
}

impl<'s> Session<'s> for Open<'s> {
    fn snapshot(&self) -> Option<u64> {
        self.transaction.lsn().map(|lsn| lsn.0)
    }

    fn get(&mut self, items: &[Item]) -> Result<Vec<Option<Vec<u8>>>, Refusal> {
        let get = |item: &Item| self.transaction.get_in(self.space(item), &item.key);
        let values = items.iter().map(|item| Ok(get(item)?.map(|value| value.to_vec())));
        values.collect::<Result<_, _>>().map_err(refused)
    }

    fn scan(&mut self, ask: &Ask) -> Result<Entries, Refusal> {
        let space = &self.store.spaces[ask.space as usize];
        let bounds = (ask.lower.as_ref().map(Vec::as_slice), ask.upper.as_ref().map(Vec::as_slice));
        let range = self.transaction.range_in(space, bounds).map_err(refused)?;
        collect(range, ask.way, ask.limit.unwrap_or(usize::MAX)).map_err(refused)
    }

    fn write(&mut self, item: &Item, value: Option<&[u8]>) -> Result<(), Refusal> {
        let space = &self.store.spaces[item.space as usize];
        match value {
            Some(value) => self.transaction.put_in(space, &item.key, value),
            None => self.transaction.delete_in(space, &item.key),
        }
        .map_err(refused)
    }

    fn place(self) -> Result<Placed<'s>, Refusal> {
        let pending = self.transaction.begin_commit().map_err(refused)?;
        let lsn = Some(pending.lsn().0);
        let wait = move || pending.wait().map(drop).map_err(|error| error.to_string());
        Ok(Placed { lsn, wait: Box::new(wait) })
    }

    fn roll_back(self) {
        self.transaction.rollback();
    }
}

fn plan(seed: u64) -> Plan {
    Plan::new(SHAPES[index(seed, SHAPES.len() as u64)], seed)
}

fn run(plan: &Plan, rule: Option<TransactionRule>) -> History {
    by_turns(&Store::new(plan.seed, Background::Manual, rule), plan).unwrap()
}

#[test]
fn histories_are_serial() {
    let clock = testkit::clock();
    let (mut edges, mut ends, mut checkpoints) = (0, [0; 3], 0);
    for seed in 0..HISTORIES {
        let plan = plan(seed);
        let turns = Store::new(seed, Background::Manual, None);
        let threads = Store::new(seed, Background::Thread, None);
        for history in [by_turns(&turns, &plan), on_threads(&threads, &plan, 4)] {
            let history = history.unwrap();
            match check(&history, Order::Log) {
                Ok(checked) => edges += checked.edges,
                Err(anomaly) => panic!("seed {seed}: {anomaly}\n{history}"),
            }
            let (committed, rolled_back, unknown) = history.ends();
            ends = [ends[0] + committed, ends[1] + rolled_back, ends[2] + unknown];
        }
        checkpoints += turns.db.stats().checkpoints + threads.db.stats().checkpoints;
    }
    testkit::summary(&format!(
        "histories: {} of {} transactions, {} committed, {} rolled back, {edges} edges, \
         {checkpoints} checkpoints, 0 anomalies, {:.1} s",
        2 * HISTORIES,
        ends.iter().sum::<usize>(),
        ends[0],
        ends[1],
        clock()
    ));
    assert!(ends[1] * 10 > ends[0] && ends[2] == 0 && checkpoints > HISTORIES, "{ends:?}");
}

/// The first seed whose history, by turns, shows a mistake; then, on threads.
fn first(rule: TransactionRule, order: Order) -> Option<(u64, Anomaly, &'static str)> {
    let found = |history: &History| check(history, order).err();
    // Nobody comes between where there are no threads.
    let by_turns = if rule == TransactionRule::ValidatedOutside { 0 } else { BUDGET };
    let turns = (0..by_turns)
        .find_map(|seed| Some((seed, found(&run(&plan(seed), Some(rule)))?, "by turns")));
    turns.or_else(|| {
        (0..BUDGET).find_map(|seed| {
            let store = Store::new(seed, Background::Thread, Some(rule));
            let history = on_threads(&store, &plan(seed), 4).unwrap();
            Some((seed, found(&history)?, "on threads"))
        })
    })
}

/// Each shows as a cycle, or another anomaly, whatever order is claimed; and sooner where the
/// order is to be that of the log.
#[test]
fn canaries_each_rule_is_missed() {
    let mut unseen = Vec::new();
    for rule in TransactionRule::ALL {
        for order in [Order::RealTime, Order::Log] {
            match first(rule, order) {
                Some((seed, anomaly, how)) => testkit::summary(&format!(
                    "canary {rule:?} ({order:?}): seed {seed} {how}, {}",
                    anomaly.kind
                )),
                None => unseen.push((rule, order)),
            }
        }
    }
    assert_eq!(unseen, []);
}
