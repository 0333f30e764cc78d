//! Backups: all keyspaces as of one commit, in a directory of their own, and back.
//!
//! ```text
//! DIR/LOCK                      who makes a backup here now
//! DIR/backup                    the list: which backups there are, and their parts
//! DIR/000001-000001.part        a sorted run of one keyspace's entries, of the first backup
//! DIR/000002-000001.part        of the second: only what differs from the first
//! ```
//!
//! Invariant: whatever the list names is durable and was read back before the list is installed, as
//! the last step; so a backup that is cut leaves those before it as they were. A backup knows no
//! engine: it is made of keys and values, read from one snapshot, while writers write.
//!
//! The bytes are specified in `docs/format/backup.md`.

use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{FileSystem, Kind, LockMode, create_dir_durable};
use ondisk_log::{Lsn, StoreId};

use crate::backup::chain::ChainWalk;
use crate::backup::list::{Backup, LIST, List};
use crate::backup::part::{Identity, PartReader, PartRecord, PartWriter, Sums};
use crate::backup::sabotage::BackupRule;
use crate::catalog::Listed;
use crate::db::Db;
use crate::engine::CommitPoint;
use crate::error::Error;
use crate::keyspace::{Generations, Space};
use crate::place::lock_path;
use crate::range::Range;
use crate::reader::Reader;
use crate::sealed::overwrite;
use crate::snapshot::At;

pub(crate) mod chain;
pub(crate) mod dump;
pub(crate) mod list;
pub(crate) mod making;
pub(crate) mod part;
pub(crate) mod restore;
pub(crate) mod sabotage;

/// A part is ended when it holds so much.
const PART_BYTES: u64 = 16 << 20;
/// After so many keys it is told how far it is.
const TELL_EVERY: u64 = 1024;

pub(crate) const TOO_LONG: &str =
    "it holds as many backups as one directory takes; begin a new one, with a whole backup";
const NO_LIST: &str = "no list of backups stands there; name the directory that backups went to";
const OTHERS: &str =
    "other things are in the directory; name one that holds backups, an empty one or a new one";
const OTHER_STORE: &str =
    "the backups in it are of another store, and a restored store is another; name a new directory";
const NO_SUCH: &str = "no backup of that number is in it";

/// What a backup is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupReport {
    /// The backup's number among those of its directory, from 1.
    pub number: u32,
    /// The commit that it is of: it holds all through this one, and none above.
    pub lsn: Lsn,
    /// The commit that the backup before is of, where there is one: this one holds what differs.
    pub since: Option<Lsn>,
    /// Keyspaces, with those that hold nothing.
    pub keyspaces: u64,
    /// Keys that the store has a value for.
    pub keys: u64,
    /// Entries that were written: values that are new or other than before.
    pub written: u64,
    /// Keys that are gone since the backup before.
    pub gone: u64,
    /// Parts that were written, and their bytes.
    pub parts: u64,
    /// Bytes of these parts.
    pub bytes: u64,
}

/// How far a backup or a restore is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupProgress<'a> {
    /// The keyspace that it is at.
    pub keyspace: &'a str,
    /// Keys so far, of all keyspaces.
    pub keys: u64,
    /// Bytes written so far.
    pub bytes: u64,
}

/// What a directory of backups holds, after all of it was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedBackup {
    /// The backup's number, from 1.
    pub number: u32,
    /// The commit that it is of.
    pub lsn: Lsn,
    /// Its keyspaces' names.
    pub keyspaces: Vec<String>,
    /// Its parts.
    pub parts: u64,
    /// Entries in them, those that say that a key is gone included.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Db {
    /// Makes a backup of all keyspaces as of one commit in a directory, while writers write. The
    /// directory is made if it is not there; where it holds backups of this store already, the new
    /// one holds what differs from them. All that was acknowledged before the call is in it, and
    /// nothing that a power cut could take from the store. It was read back, and is durable, when
    /// this returns.
    ///
    /// ```
    /// # fn main() -> Result<(), ondisk::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory to work in");
    /// # let (path, backups, copy) =
    /// #     (dir.path().join("db"), dir.path().join("backups"), dir.path().join("copy"));
    /// use ondisk::Db;
    ///
    /// let db = Db::open(&path)?;
    /// db.put("key", "value")?;
    /// db.backup(&backups)?; // whole
    /// db.put("other", "value")?;
    /// let second = db.backup(&backups)?;
    /// assert_eq!(second.written, 1); // what differs
    ///
    /// Db::restore(&backups, &copy)?;
    /// assert_eq!(Db::open(&copy)?.range(..)?.count(), 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::NotABackup`] where other things stand in the directory; [`Error::Damaged`] where the
    /// store or a backup in it is; [`Error::Locked`], [`Error::Io`], [`Error::Log`],
    /// [`Error::Closed`]. The backups before it are as they were.
    pub fn backup(&self, dir: impl AsRef<Path>) -> Result<BackupReport, Error> {
        self.backup_with(dir, &mut |_| {})
    }

    /// As [`backup`](Self::backup); `told` hears now and then how far it is.
    ///
    /// # Errors
    /// As [`backup`](Self::backup).
    pub fn backup_with(
        &self,
        dir: impl AsRef<Path>,
        told: &mut dyn FnMut(BackupProgress<'_>),
    ) -> Result<BackupReport, Error> {
        let broken = BackupRule::of(self.store().settings.sabotage);
        if !matches!(broken, Some(BackupRule::AheadOfLog | BackupRule::AcknowledgedLeftOut)) {
            self.sync()?; // so that a snapshot of what is durable has all that is acknowledged
        }
        let ahead = broken == Some(BackupRule::AheadOfLog);
        let at = if ahead { At::Acknowledged } else { At::Durable };
        let snapshot = self.snapshot_at(at)?;
        let spaces = snapshot.spaces().iter();
        let store = snapshot.store();
        let source = Source {
            store: store.log.store_id(),
            lsn: snapshot.lsn(),
            spaces: spaces.map(|(space, now)| (&**space, Arc::clone(now))).collect(),
            broken,
        };
        let (fs, _) = store.keyspaces.place();
        take(fs, dir.as_ref(), &source, told)
    }
}

impl Reader {
    /// Makes a backup of all keyspaces in a directory, as [`Db::backup`] does.
    ///
    /// # Errors
    /// As [`Db::backup`].
    pub fn backup(
        &self,
        dir: impl AsRef<Path>,
        told: &mut dyn FnMut(BackupProgress<'_>),
    ) -> Result<BackupReport, Error> {
        self.check_whole()?;
        let spaces = self.spaces().iter().map(|space| (&**space, space.generations()));
        let recovered = self.recovery();
        let (store, lsn) = (recovered.store, recovered.end);
        let source = Source { store, lsn, spaces: spaces.collect(), broken: None };
        take(self.fs(), dir.as_ref(), &source, told)
    }
}

/// Verifies every byte of a directory of backups, and says what it holds.
///
/// # Errors
/// [`Error::NotABackup`]; [`Error::Damaged`] names the file; [`Error::Locked`] while one is made;
/// [`Error::Io`].
pub fn verify_backup(
    fs: Arc<dyn FileSystem>,
    dir: impl AsRef<Path>,
) -> Result<Vec<VerifiedBackup>, Error> {
    let (fs, dir) = (&*fs, dir.as_ref());
    let _held = crate::open::lock_shared(fs, dir)?;
    let list = List::read(fs, dir)?.ok_or_else(|| not_a_backup(dir, NO_LIST))?;
    for backup in &list.backups {
        read_back(fs, dir, list.store, backup)?;
    }
    let verified = list.backups.into_iter().map(|backup| VerifiedBackup {
        number: backup.number,
        lsn: backup.lsn,
        keyspaces: backup.keyspaces.into_iter().map(|it| it.name).collect(),
        parts: backup.parts.len() as u64,
        entries: backup.parts.iter().map(|part| part.entries).sum(),
        bytes: backup.parts.iter().map(|part| part.bytes).sum(),
    });
    Ok(verified.collect())
}

pub(crate) fn not_a_backup(path: &Path, why: &'static str) -> Error {
    Error::NotABackup { path: path.to_owned(), why }
}

/// What a backup is taken of: all keyspaces at one commit.
struct Source<'a> {
    store: StoreId,
    lsn: Lsn,
    spaces: Vec<(&'a Space, Arc<Generations>)>,
    /// The rule that is broken on purpose, if one is.
    broken: Option<BackupRule>,
}

impl Source<'_> {
    fn breaks(&self, rule: BackupRule) -> bool {
        self.broken == Some(rule)
    }

    /// The commit through which entries are read: the one that the backup is of.
    fn through(&self) -> Lsn {
        if self.breaks(BackupRule::BeyondSnapshot) { Lsn(u64::MAX) } else { self.lsn }
    }

    /// Whether the sums of the backups before are compared.
    fn sums(&self) -> Sums {
        if self.breaks(BackupRule::ChainUnverified) { Sums::Ignored } else { Sums::Checked }
    }

    fn listed(&self) -> Vec<Listed> {
        let listed = self.spaces.iter().map(|(space, _)| Listed {
            id: space.id,
            name: space.name.clone(),
            options: space.options,
            // Of engines a backup knows nothing.
            confirmed: CommitPoint::default(),
        });
        listed.collect()
    }
}

/// Makes the next backup of a directory.
fn take(
    fs: &dyn FileSystem,
    dir: &Path,
    source: &Source<'_>,
    told: &mut dyn FnMut(BackupProgress<'_>),
) -> Result<BackupReport, Error> {
    create_dir_durable(fs, dir).map_err(Error::io(dir, "make the directory for backups"))?;
    let held = fs.lock(&lock_path(dir), LockMode::Exclusive).map_err(Error::lock(dir))?;
    let list = List::read(fs, dir)?;
    let mut list = match list {
        Some(list) if list.store == source.store => list,
        Some(list) if source.breaks(BackupRule::OtherStoreAccepted) => {
            List { store: source.store, ..list }
        }
        Some(_) => return Err(not_a_backup(dir, OTHER_STORE)),
        None if holds_others(fs, dir)? => return Err(not_a_backup(dir, OTHERS)),
        None => List::new(source.store),
    };
    if list.backups.len() >= list::LONGEST_CHAIN {
        return Err(not_a_backup(dir, TOO_LONG));
    }
    let last = list.backups.last();
    let (number, since) = (last.map_or(1, |it| it.number + 1), last.map(|it| it.lsn));
    let mut taking = Taking {
        fs,
        dir,
        broken: source.broken,
        identity: Identity {
            store: source.store,
            lsn: source.lsn,
            backup: number,
            part: 0,
            keyspace: 0,
        },
        part: None,
        parts: Vec::new(),
        keys: 0,
        largest: 0,
        large: 0,
        told,
    };
    for (space, generations) in &source.spaces {
        let mut range = crate::snapshot::range(generations, .., source.through());
        let mut before = ChainWalk::new(fs, dir, &list, space.id, source.sums())?;
        taking.keyspace(space, &mut range, &mut before)?;
    }
    let Taking { parts, keys, largest, .. } = taking;
    let backup = Backup { number, lsn: source.lsn, largest, keyspaces: source.listed(), parts };
    if !source.breaks(BackupRule::NamesNotSynced) {
        fs.sync_dir(dir).map_err(Error::io(dir, "sync the directory of backups"))?;
    }
    if !source.breaks(BackupRule::NotReadBack) {
        read_back(fs, dir, source.store, &backup)?;
    }
    let report = report(&backup, since, keys);
    list.backups.push(backup);
    if source.breaks(BackupRule::ListInPlace) {
        overwrite(fs, &dir.join(LIST), &list.encode())?;
    } else {
        list.install(fs, dir)?;
    }
    drop(held);
    Ok(report)
}

fn report(backup: &Backup, since: Option<Lsn>, keys: u64) -> BackupReport {
    let sum = |of: fn(&PartRecord) -> u64| backup.parts.iter().map(of).sum();
    let (entries, gone): (u64, u64) = (sum(|part| part.entries), sum(|part| part.tombstones));
    BackupReport {
        number: backup.number,
        lsn: backup.lsn,
        since,
        keyspaces: backup.keyspaces.len() as u64,
        keys,
        written: entries - gone,
        gone,
        parts: backup.parts.len() as u64,
        bytes: sum(|part| part.bytes),
    }
}

/// Whether something stands in a directory that no backup has made.
fn holds_others(fs: &dyn FileSystem, dir: &Path) -> Result<bool, Error> {
    let entries = fs.list(dir).map_err(Error::io(dir, "list the directory for backups"))?;
    let ours = |name: &str| {
        // Without a list, the parts and the lock are those of a first backup that was cut.
        name == "LOCK" || name == format!("{LIST}.tmp") || name.ends_with(".part")
    };
    Ok(entries.iter().any(|it| it.kind != Kind::File || !it.name.to_str().is_some_and(ours)))
}

/// Reads all of a backup's parts, and compares every sum.
fn read_back(
    fs: &dyn FileSystem,
    dir: &Path,
    store: StoreId,
    backup: &Backup,
) -> Result<(), Error> {
    for part in &backup.parts {
        let mut reader = PartReader::open(fs, dir, backup.identity(store, part), *part)?;
        while reader.advance()? {}
    }
    Ok(())
}

/// A backup that is being made.
struct Taking<'a> {
    fs: &'a dyn FileSystem,
    dir: &'a Path,
    broken: Option<BackupRule>,
    /// Of the part that is being written, or was last.
    identity: Identity,
    part: Option<PartWriter>,
    parts: Vec<PartRecord>,
    keys: u64,
    largest: u64,
    /// Values of the keyspace that are longer stand in files of their own.
    large: u64,
    told: &'a mut dyn FnMut(BackupProgress<'_>),
}

impl Taking<'_> {
    /// Writes what of a keyspace differs from the backups before.
    fn keyspace(
        &mut self,
        space: &Space,
        now: &mut Range,
        before: &mut ChainWalk<'_>,
    ) -> Result<(), Error> {
        self.identity.keyspace = space.id;
        self.large = space.options.large_value.0.into();
        let (mut is, mut was) = (now.advance()?, before.advance()?);
        let mut key = Vec::new();
        while is || was {
            let order = match (is, was) {
                (true, true) => now.key().cmp(before.key()),
                (true, false) => std::cmp::Ordering::Less,
                (false, _) => std::cmp::Ordering::Greater,
            };
            if order.is_gt() {
                if self.broken != Some(BackupRule::GoneLeftIn) {
                    self.push(before.key(), None)?;
                }
            } else {
                key.clear();
                key.extend_from_slice(now.key());
                let value = now.value()?;
                if order.is_lt() || value != before.value() {
                    self.push(&key, Some(value))?;
                }
                self.keys += 1;
                self.tell(space);
            }
            if order.is_le() {
                is = now.advance()?;
            }
            if order.is_ge() {
                was = before.advance()?;
            }
        }
        self.end_part()
    }

    fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), Error> {
        // Larger values stand in files of their own, and not in the log.
        let len = value.map_or(0, <[u8]>::len) as u64;
        let len = if len > self.large { 0 } else { len };
        self.largest = self.largest.max(key.len() as u64 + len);
        if self.part.is_none() {
            let next = self.identity.part.checked_add(1);
            self.identity.part = next.ok_or_else(|| not_a_backup(self.dir, TOO_LONG))?;
            self.part = Some(PartWriter::create(self.fs, self.dir, self.identity)?);
        }
        let Some(part) = &mut self.part else { return Ok(()) };
        part.push(key, value)?;
        if part.bytes() >= PART_BYTES { self.end_part() } else { Ok(()) }
    }

    fn end_part(&mut self) -> Result<(), Error> {
        if let Some(part) = self.part.take() {
            let unsynced = self.broken == Some(BackupRule::PartNotSynced);
            let record = if unsynced { part.finish_unsynced()? } else { part.finish()? };
            self.parts.push(record);
        }
        Ok(())
    }

    fn tell(&mut self, space: &Space) {
        if self.keys.is_multiple_of(TELL_EVERY) {
            let bytes = self.parts.iter().map(|part| part.bytes).sum::<u64>();
            let bytes = bytes + self.part.as_ref().map_or(0, PartWriter::bytes);
            (self.told)(BackupProgress { keyspace: &space.name, keys: self.keys, bytes });
        }
    }
}
