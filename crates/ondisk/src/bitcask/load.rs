//! Reads the keys of data files into the keydir: from hint files where they can be read, else
//! from the data files themselves.
//!
//! Invariant: what the keydir holds afterwards is what the data files say, oldest file first.

use super::Opened;
use super::data_file::scan::{Depth, Scan};
use super::data_file::{Identity, Sums};
use super::hint::{HintReader, Kind};
use super::keydir::Keydir;
use super::sabotage::BitcaskRule;
use crate::engine::Site;
use crate::error::Error;

/// Where the keys of a file were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Hint,
    /// No hint file is named.
    Data,
    /// A hint file is named, and cannot be read.
    DataForHint,
}

/// Reads the keys of one file; those of all older ones are there.
pub(super) fn load(site: &Site, file: &Opened, keydir: &mut Keydir) -> Result<Source, Error> {
    // A hint that a file system lies about is no reason to make room for it.
    let entries = file.record.entries.min(file.record.len / 28);
    keydir.reserve(usize::try_from(entries).unwrap_or_default());
    if file.record.hint_len == 0 {
        return load_data(file, keydir).map(|()| Source::Data);
    }
    match load_hint(site, file, keydir) {
        Ok(()) => Ok(Source::Hint),
        // What was read of it is read again: each entry puts or takes as it did.
        Err(Error::Damaged { .. } | Error::Io { .. }) => {
            keydir.uncount(file.record.number);
            load_data(file, keydir).map(|()| Source::DataForHint)
        }
        Err(error) => Err(error),
    }
}

fn load_hint(site: &Site, file: &Opened, keydir: &mut Keydir) -> Result<(), Error> {
    let (store, keyspace, number) = (site.store, site.keyspace, file.record.number);
    let identity = Identity { store, keyspace, number };
    let believed = site.breaks(BitcaskRule::HintBelieved.into());
    let sums = if believed { Sums::Ignored } else { Sums::Checked };
    let mut reader = HintReader::open(&*site.fs, &site.dir, identity, file.record, sums)?;
    while let Some(hints) = reader.next_section()? {
        for hint in hints {
            match hint.kind {
                Kind::Put => keydir.put_bytes(hint.key, hint.place),
                Kind::Tombstone => keydir.delete_bytes(hint.key, hint.place),
            }
        }
    }
    Ok(())
}

fn load_data(file: &Opened, keydir: &mut Keydir) -> Result<(), Error> {
    let mut scan = Scan::new(&file.data, file.record, file.span, Depth::Keys);
    while let Some(entry) = scan.next()? {
        if entry.tombstone {
            keydir.delete_bytes(entry.key, entry.place);
        } else {
            keydir.put_bytes(entry.key, entry.place);
        }
    }
    Ok(())
}
