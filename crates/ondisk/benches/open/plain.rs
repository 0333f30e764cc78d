//! The plainest reading of a log that is not careless: both sums of every group are checked, and
//! the keys put into a hash map. It follows `docs/format/log.md` and `commit.md`, and shares no
//! code with the log and the store. No chain is followed, nothing is healed, no value is kept.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::Outcome;

const BLOCK: usize = 4096;
const MAGIC: [u8; 4] = [0xD1, b'g', b'r', b'p'];
const HEADER: usize = 80;
const PREFIX: usize = 8;
/// What stands in front of the key of a commit's only operation.
const BEFORE_KEY: usize = 24;
/// Bytes read at once; more than a group takes.
const WINDOW: usize = 4 << 20;

/// The keys of a log, and the LSN of each.
pub(crate) fn read(log: &Path) -> Outcome<HashMap<Vec<u8>, u64>> {
    let mut segments: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(log)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "log") {
            segments.push(path);
        }
    }
    segments.sort();
    let mut keys = HashMap::new();
    for path in segments {
        read_segment(&path, &mut keys)?;
    }
    Ok(keys)
}

fn read_segment(path: &Path, keys: &mut HashMap<Vec<u8>, u64>) -> Outcome<()> {
    let (mut file, mut window, mut filled) = (File::open(path)?, vec![0; WINDOW], 0);
    let mut prefixes = Vec::new();
    loop {
        let read = file.read(&mut window[filled..])?;
        filled += read;
        let mut at = 0;
        while let Some(len) = read_group(&window[at..filled], &mut prefixes, keys) {
            at += len;
        }
        if at == 0 && read == 0 {
            return Ok(());
        }
        window.copy_within(at..filled, 0);
        filled -= at;
        if at == 0 && filled == WINDOW {
            return Ok(()); // no group begins here: the segment was not filled
        }
    }
}

/// The bytes to the next group, if a whole one stands at the start of `bytes`.
fn read_group(
    bytes: &[u8],
    prefixes: &mut Vec<u8>,
    keys: &mut HashMap<Vec<u8>, u64>,
) -> Option<usize> {
    let header = bytes.get(..HEADER)?;
    if header[..4] != MAGIC || word(header, 4) != sum(&header[8..]) {
        return None;
    }
    let (commits, body_len) = (word(header, 12), word(header, 72) as usize);
    let first_lsn = u64::from_le_bytes(header[48..56].try_into().ok()?);
    let body = bytes.get(HEADER..HEADER + body_len)?;
    prefixes.clear();
    let mut rest = body;
    for lsn in (first_lsn..).take(commits as usize) {
        let (prefix, after) = rest.split_at_checked(PREFIX)?;
        let (payload, after) = after.split_at_checked(word(prefix, 0) as usize)?;
        if sum(payload) != word(prefix, 4) {
            return None;
        }
        prefixes.extend_from_slice(prefix);
        let key_len = word(payload.get(..BEFORE_KEY)?, 16) as usize;
        keys.insert(payload.get(BEFORE_KEY..BEFORE_KEY + key_len)?.to_vec(), lsn);
        rest = after;
    }
    let whole = rest.is_empty() && sum(prefixes) == word(header, 76);
    // Every group of this log was synced, so the next begins at a block.
    whole.then(|| (HEADER + body_len).next_multiple_of(BLOCK))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap_or_default())
}

fn sum(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}
