//! Running a transaction until nobody was in its way.
//!
//! Invariant: it is run again only after a conflict, with the commit that was in its way visible:
//! else it would read what it read before, and meet the same conflict. Reads no clock and does
//! not sleep.

use ondisk_log::Lsn;

use crate::db::Db;
use crate::error::Error;
use crate::store::Store;
use crate::transaction::Transaction;

/// How often a transaction is run at most.
const ATTEMPTS: u32 = 100;
/// How often who waits for a commit that another leads lets others go first, before it leads.
const YIELDS: u32 = 100;

impl Db {
    /// Runs a transaction and commits it, in the mode of the keyspaces that it writes; runs it
    /// again when somebody else wrote meanwhile what it had read, a hundred times at most. So what
    /// `body` does beside the transaction, it may do several times.
    ///
    /// ```
    /// # fn main() -> Result<(), ondisk::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory to work in");
    /// # let db = ondisk::Db::open(dir.path())?;
    /// let count = db.transact(|tx| {
    ///     let count = tx.get("count")?.map_or(0, |count| count[0]) + 1;
    ///     tx.put("count", [count])?;
    ///     Ok(count)
    /// })?;
    /// assert_eq!(count, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The first that `body` gives: then nothing is committed. The last [`Error::Conflict`] or
    /// [`Error::TooOld`]; as [`Transaction::commit`].
    pub fn transact<T>(
        &self,
        body: impl FnMut(&mut Transaction) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.try_transact(body)
    }

    /// As [`transact`](Self::transact), for a body with errors of its own: one of them rolls the
    /// transaction back.
    ///
    /// # Errors
    /// As [`transact`](Self::transact).
    pub fn try_transact<T, E: From<Error>>(
        &self,
        mut body: impl FnMut(&mut Transaction) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut attempt = 1;
        loop {
            let mut transaction = self.transaction();
            let answer = body(&mut transaction)?;
            match transaction.commit() {
                Ok(_) => return Ok(answer),
                Err(error) if error.is_conflict() && attempt < ATTEMPTS => {
                    attempt += 1;
                    if let Error::Conflict { lsn, .. } = error {
                        wait_for(self.store(), lsn)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Waits until a commit that has its place is visible. Somebody waits for it as a rule; where
/// nobody does, this caller makes it durable.
fn wait_for(store: &Store, lsn: Lsn) -> Result<(), Error> {
    let mut yields = 0;
    while store.visible() < lsn {
        if yields < YIELDS {
            yields += 1;
            std::thread::yield_now();
        } else {
            store.log.wait_durable(lsn)?;
        }
    }
    Ok(())
}
