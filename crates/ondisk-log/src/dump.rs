//! The log's files as text, for people who look at them.
//!
//! Invariant: reads alone, and never fails on what the bytes say: it says what they are.

use std::fmt::{self, Write};
use std::io;
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{BLOCK, File};

use crate::anchor::{ANCHOR_MAGIC, Anchor, State};
use crate::read::{GroupReader, Link};
use crate::record::{GroupHeader, HEADER_LEN};
use crate::{LogError, Lsn};

/// Bytes of a payload that are shown.
const SHOWN: usize = 48;

/// What a file of the log is, by its first bytes; `None` when it is none of them.
#[must_use]
pub fn kind(first: &[u8]) -> Option<&'static str> {
    if first.starts_with(&ANCHOR_MAGIC) {
        Some("anchor")
    } else if GroupHeader::parse(first).is_some() {
        Some("segment")
    } else {
        None
    }
}

/// Writes an anchor as text.
///
/// # Errors
/// What is wrong with its bytes.
pub fn anchor(bytes: &[u8], path: &Path, out: &mut String) -> Result<(), LogError> {
    let anchor = Anchor::decode(bytes, path)?;
    let state = match anchor.state {
        State::Creating => "creating: there is no log yet".to_owned(),
        State::Open => "open: the end is found by reading".to_owned(),
        State::Closed { end, fresh } => {
            let place = if fresh { "a fresh segment" } else { "the same segment" };
            format!(
                "closed at LSN {}, segment {} offset {}, chain {:08x}; goes on in {place}",
                end.lsn, end.segment, end.offset, end.crc
            )
        }
    };
    let first = anchor.first;
    let (lsn, crc) = (first.lsn, first.crc);
    let lines = [
        format!("anchor of store {}, epoch {}", anchor.store, anchor.epoch),
        format!("  segments {}..={}", first.segment, anchor.newest),
        format!("  the first continues from LSN {lsn}, chain {crc:08x}"),
        format!("  checkpoint LSN {}, durable LSN {}", anchor.checkpoint, anchor.durable),
        format!("  highest LSN given out {}", anchor.highest),
        format!("  {state}"),
    ];
    lines.iter().for_each(|line| line_to(out, format_args!("{line}")));
    Ok(())
}

/// Writes a segment as text: its groups and their records, then what stands behind the chain's
/// end.
///
/// # Errors
/// [`LogError::Io`].
pub fn segment(file: Arc<dyn File>, path: &Path, out: &mut String) -> Result<(), LogError> {
    let mut first = [0; HEADER_LEN];
    match file.read_exact_at(&mut first, 0) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
        other => other.map_err(LogError::io(path, "read the segment"))?,
    }
    let Some(header) = GroupHeader::parse(&first) else {
        line_to(out, format_args!("segment without a first group"));
        return Ok(());
    };
    let mut reader =
        GroupReader::new(file, path.to_owned(), header.store(), header.generation.get())?;
    let (number, size) = (header.generation.get(), reader.size());
    line_to(out, format_args!("segment {number} of store {}, {size} bytes", header.store()));
    let mut link = Link { lsn: header.prev_lsn(), crc: header.prev_crc.get(), epoch: 0 };
    let stop = loop {
        match reader.next_group(&mut link)? {
            Ok(group) => {
                let (at, commits) = (group.offset, group.commits());
                let (first, last) = (group.first_lsn(), group.last_lsn());
                let (epoch, watermark) = (group.epoch(), group.watermark());
                let lsns = if commits == 0 {
                    format!("no commit, after LSN {last}")
                } else {
                    format!("LSN {first}..={last}")
                };
                let crc = link.crc;
                line_to(
                    out,
                    format_args!(
                        "{at:>10}  group {lsns}, epoch {epoch}, durable through {watermark}, \
                         chain {crc:08x}"
                    ),
                );
                for (lsn, payload) in group.records() {
                    record(lsn, &payload, out);
                }
            }
            Err(stop) => break stop,
        }
    };
    line_to(out, format_args!("{:>10}  ends: {}", stop.offset, stop.damage));
    let mut offset = crate::record::align_block(stop.offset);
    while offset < size {
        if let Some(header) = reader.peek(offset)? {
            let (lsn, generation) = (header.first_lsn.get(), header.generation.get());
            let epoch = header.epoch.get();
            line_to(
                out,
                format_args!(
                    "{offset:>10}  left behind: a group from LSN {lsn}, epoch {epoch}, of segment \
                     {generation}"
                ),
            );
        }
        offset += BLOCK as u64;
    }
    Ok(())
}

fn record(lsn: Lsn, payload: &[u8], out: &mut String) {
    let shown = payload.get(..SHOWN).unwrap_or(payload);
    let more = if shown.len() < payload.len() { "…" } else { "" };
    let text = shown.escape_ascii();
    line_to(out, format_args!("            {lsn}: {} bytes \"{text}\"{more}", payload.len()));
}

fn line_to(out: &mut String, line: fmt::Arguments<'_>) {
    out.write_fmt(line).unwrap_or_default(); // a string takes everything
    out.push('\n');
}
