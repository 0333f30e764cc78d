//! Backups and restores: cut everywhere, damaged, overtaken by commits, and asked for what they
//! must refuse.
//!
//! Invariant: a suite judges by what was committed alone, and looks at copies that were restored.
//! Nothing here asks how a backup is made.

pub mod cuts;

use std::collections::BTreeMap;
use std::error::Error as StdError;

use ondisk::sabotage::Sabotage;
use ondisk::{
    Background, Batch, Builder, Create, Db, EngineKind, Error, KeyspaceOptions, StoreId, SyncMode,
    Which, verify_backup,
};
use ondisk_fs::FileSystem as _;
use ondisk_sim::{MemFs, Tally};

/// Keyspace, key → value.
pub type Contents = BTreeMap<(String, Vec<u8>), Vec<u8>>;
/// Any error, in words.
pub type Wrong = Box<dyn StdError + Send + Sync>;
/// A suite, with the rule that is broken; what it found wrong.
pub type Suite = fn(Option<Sabotage>, &Tally) -> Result<(), Wrong>;

/// Every suite, the quickest first.
pub const SUITES: [(&str, Suite); 5] = [
    ("refusals", refusals),
    ("commits", commits_meanwhile),
    ("damage", damage),
    ("backup cut", cuts::backups),
    ("restore cut", cuts::restores),
];

/// The store, its backups, and a store that is restored.
const DB: &str = "db";
const BACKUPS: &str = "backups";
const COPY: &str = "copy";
/// Where a restore makes its store.
const MAKING: &str = "copy.restoring";

fn builder(fs: &MemFs, broken: Option<Sabotage>) -> Builder {
    Db::builder()
        .file_system(fs.share())
        .background(Background::Manual)
        .first_segment(64 << 10)
        .largest_segment(256 << 10)
        .sabotage(broken)
}

fn opened(fs: &MemFs, broken: Option<Sabotage>) -> Result<Db, Error> {
    builder(fs, broken).store_id(StoreId([1; 16])).open(DB)
}

/// A store with a keyspace of each engine beside the default one.
fn with_engines(fs: &MemFs, broken: Option<Sabotage>) -> Result<Db, Error> {
    let db = opened(fs, broken)?;
    for engine in EngineKind::ALL {
        let mode = SyncMode::Batch(ondisk::BatchLimits { records: 5, bytes: None, delay: None });
        db.keyspace(engine.name(), KeyspaceOptions::new(engine).sync(mode))?;
    }
    Ok(db)
}

fn contents(db: &Db) -> Result<Contents, Error> {
    let mut contents = Contents::new();
    for keyspace in db.keyspaces()? {
        for entry in keyspace.range(..)? {
            let (key, value) = entry?;
            contents.insert((keyspace.name().to_owned(), key.to_vec()), value.to_vec());
        }
    }
    Ok(contents)
}

fn restore(fs: &MemFs, path: &str, which: Which, broken: Option<Sabotage>) -> Result<(), Error> {
    let builder = builder(fs, broken).store_id(StoreId([2; 16]));
    builder.restore(BACKUPS, path, which, &mut |_| {}).map(drop)
}

/// What a backup holds: what stands in a store that is restored from it.
fn held(fs: &MemFs, path: &str, which: Which, broken: Option<Sabotage>) -> Result<Contents, Wrong> {
    restore(fs, path, which, broken)?;
    let fs = &fs.fork(); // as another process finds it
    let check = ondisk::check(fs.share(), path)?;
    if !check.findings.is_empty() || !check.was_closed {
        return Err(format!("a check of what was restored: {check:?}").into());
    }
    let db = builder(fs, broken).create(Create::Never).open(path)?;
    let found = contents(&db)?;
    db.close()?;
    Ok(found)
}

fn ensure(holds: bool, otherwise: &str) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// What stands in the way stays, and what is another's is not mixed with.
///
/// # Errors
/// In words, what was not refused.
pub fn refusals(broken: Option<Sabotage>, _: &Tally) -> Result<(), Wrong> {
    let fs = MemFs::new();
    let db = opened(&fs, broken)?;
    db.put("key", "value")?;
    db.backup(BACKUPS)?;
    let other = builder(&fs, broken).store_id(StoreId([3; 16])).open("other")?;
    other.put("precious", "value")?;
    let refused = matches!(other.backup(BACKUPS), Err(Error::NotABackup { .. }));
    ensure(refused, "a backup goes to where those of another store are")?;
    let precious = contents(&other)?;
    other.close()?;
    let refused = matches!(db.backup("other"), Err(Error::NotABackup { .. }));
    ensure(refused, "a backup goes into a store")?;

    let over = restore(&fs, "other", Which::Newest, broken);
    ensure(matches!(over, Err(Error::InTheWay { .. })), "a restore goes over a store")?;
    let other = builder(&fs, broken).create(Create::Never).open("other")?;
    ensure(contents(&other)? == precious, "a restore changed the store in its way")?;

    fs.create_dir(MAKING.as_ref())?;
    fs.create_dir(format!("{MAKING}/precious").as_ref())?;
    let over = restore(&fs, COPY, Which::Newest, broken);
    ensure(matches!(over, Err(Error::InTheWay { .. })), "a restore goes over what others made")?;
    let stays = fs.look(format!("{MAKING}/precious")).is_some();
    ensure(stays, "a restore removed what others made")?;
    fs.create_dir("empty".as_ref())?;
    ensure(held(&fs, "empty", Which::Newest, broken)? == contents(&db)?, "another store")
}

/// Commits while a backup is made are not in it, in no keyspace.
///
/// # Errors
/// In words, what the backup holds.
pub fn commits_meanwhile(broken: Option<Sabotage>, _: &Tally) -> Result<(), Wrong> {
    let fs = MemFs::new();
    let db = opened(&fs, broken)?;
    let late = db.keyspace("late", KeyspaceOptions::new(EngineKind::Lsm))?;
    for round in 0..2 {
        let keys = (0..1500).map(|n| format!("key{n:5}"));
        let batch = keys.fold(Batch::new(), |batch, key| batch.put(key, format!("{round}")));
        db.batch(batch.put_in(&late, "key", format!("{round}")))?;
        let before = contents(&db)?;
        let mut failed = None;
        let mut told = |_: ondisk::BackupProgress<'_>| {
            let batch = Batch::new().put("key 1499", "late").put_in(&late, "late", "late");
            failed = db.batch(batch).and_then(|_| db.checkpoint()).err();
        };
        let report = db.backup_with(BACKUPS, &mut told)?;
        failed.map_or(Ok(()), Err)?;
        ensure(contents(&db)? != before, "nothing was committed meanwhile")?;
        let path = format!("{COPY}{round}");
        let found = held(&fs, &path, Which::Number(report.number), broken)?;
        ensure(found == before, "a backup holds what was committed later")?;
    }
    Ok(())
}

/// Damage to a chain of backups is noticed by whoever uses it, and builds nothing.
///
/// # Errors
/// In words, what went on over damage.
pub fn damage(broken: Option<Sabotage>, _: &Tally) -> Result<(), Wrong> {
    let fs = MemFs::new();
    let db = opened(&fs, broken)?;
    for n in 0..8 {
        db.put(format!("{n}"), "value")?;
    }
    db.backup(BACKUPS)?;
    db.put("1", "other")?;
    db.backup(BACKUPS)?;
    db.put("2", "other")?;
    db.close()?;
    for name in ["backup", "000001-000001.part", "000002-000001.part"] {
        let path = format!("{BACKUPS}/{name}");
        for at in 0..fs.read(&path)?.len() as u64 {
            let fs = fs.fork();
            fs.rot(&path, at, (at % 8) as u8)?;
            let what = format!("{name}, byte {at}");
            noticed(&fs, broken).map_err(|why| format!("{what}: {why}"))?;
        }
    }
    damage_meanwhile(broken)
}

fn noticed(fs: &MemFs, broken: Option<Sabotage>) -> Result<(), Wrong> {
    ensure(verify_backup(fs.share(), BACKUPS).is_err(), "it is verified")?;
    ensure(restore(fs, COPY, Which::Newest, broken).is_err(), "it is restored")?;
    ensure(fs.look(COPY).is_none(), "half a store has the name")?;
    let before = fs.read(format!("{BACKUPS}/backup"))?;
    let db = opened(fs, broken)?;
    ensure(db.backup(BACKUPS).is_err(), "another is made on top")?;
    ensure(fs.read(format!("{BACKUPS}/backup"))? == before, "the list is another one")
}

/// A part that rots while the backup is made never comes to be listed.
fn damage_meanwhile(broken: Option<Sabotage>) -> Result<(), Wrong> {
    let fs = MemFs::new();
    let db = opened(&fs, broken)?;
    for hundred in 0..15 {
        let keys = (0..100).map(|n| format!("key{hundred:2}{n:2}"));
        db.batch(keys.fold(Batch::new(), |batch, key| batch.put(key, [7; 100])))?;
    }
    let mut rotten = Ok(());
    let mut told = |_: ondisk::BackupProgress<'_>| {
        rotten = fs.rot(format!("{BACKUPS}/000001-000001.part"), 5000, 3);
    };
    let made = db.backup_with(BACKUPS, &mut told);
    rotten?;
    ensure(matches!(made, Err(Error::Damaged { .. })), "a part that rots is listed")?;
    let none = matches!(verify_backup(fs.share(), BACKUPS), Err(Error::NotABackup { .. }));
    ensure(none, "a backup that failed is listed")
}
