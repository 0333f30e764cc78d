//! The bytes of format version 1, pinned: files that were committed are read to exact records, the
//! log writes the same files today, byte for byte, and the pages of the format show what is in
//! them.
//!
//! `UPDATE_GOLDENFILES=1` writes the files anew; then read the difference. Files of a version that
//! was released are never rewritten: a change of the format is a new version beside it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "support/bytes.rs"]
mod bytes_of;
#[path = "support/report.rs"]
mod report;

use std::path::{Path, PathBuf};

use ondisk_fs::{Access, FileSystem, OsFs, create_dir_durable, replace_atomic};
use ondisk_log::{Batch, Flow, Log, LogOptions, Lsn, Recovered, Step, StoreId, SyncMode, dump};
use ondisk_sim::MemFs;

use bytes_of::{Anchor, Behind, Group, segment};
use report::Report;

const DIR: &str = "log";
const STORE: [u8; 16] = *b"a golden store..";
const OPTIONS: LogOptions =
    LogOptions { first_segment: 16 << 10, largest_segment: 16 << 10, sabotage: None };
type Make = fn() -> MemFs;
const LOGS: [(&str, Make); 2] = [("closed", closed), ("open", open)];

/// Groups of every mode, one of two commits, one of none; then a close.
fn closed() -> MemFs {
    let fs = MemFs::new();
    let log = create(&fs);
    let batch = SyncMode::Batch(Batch { records: 4, ..Batch::default() });
    log.append(b"in mode sync", SyncMode::Sync).unwrap();
    log.append(b"in mode none", SyncMode::None).unwrap();
    log.append(b"", SyncMode::None).unwrap();
    log.append(b"in mode batch", batch).unwrap();
    log.append(b"the one that syncs", batch).unwrap();
    log.append_batch(&[b"two", b"together"]).unwrap();
    assert_eq!(log.idle_step().unwrap(), Step::Working);
    log.close().unwrap();
    fs
}

/// A life that was killed, and one that goes on in a segment of its own.
fn open() -> MemFs {
    let fs = MemFs::new();
    let log = create(&fs);
    log.append(b"durable", SyncMode::Sync).unwrap();
    log.append(b"cached", SyncMode::None).unwrap();
    drop(log);
    let sink = &mut |_, _| Flow::Continue;
    let (log, _) = Log::recover(fs.share(), Path::new(DIR), OPTIONS, Lsn(0), sink).unwrap();
    log.append(b"after the kill", SyncMode::Sync).unwrap();
    fs
}

fn create(fs: &MemFs) -> Log {
    let new = Log::create(fs.share(), Path::new(DIR), StoreId(STORE), OPTIONS);
    new.unwrap().finish().unwrap()
}

fn golden(log: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/v1").join(log)
}

fn read(path: &Path) -> Vec<u8> {
    let file = OsFs.open(path, Access::Read).unwrap_or_else(|error| {
        panic!("{}: {error}; UPDATE_GOLDENFILES=1 makes the golden files", path.display())
    });
    let mut bytes = vec![0; usize::try_from(file.size().unwrap()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes
}

/// Names and bytes of a log's files.
fn files(fs: &MemFs) -> Vec<(PathBuf, Vec<u8>)> {
    let image = fs.image();
    let name = |path: &Path| path.strip_prefix(DIR).unwrap().to_owned();
    image.files().map(|(path, bytes)| (name(path), bytes.to_vec())).collect()
}

/// Files as text; what is all zeros is left out.
fn text(files: &[(PathBuf, Vec<u8>)]) -> String {
    let mut text = String::new();
    for (name, bytes) in files {
        text += &format!("{}: {} bytes\n", name.display(), bytes.len());
        for (row, line) in bytes.chunks(16).enumerate().filter(|(_, line)| **line != [0; 16]) {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            let shown = |byte: &u8| if byte.is_ascii_graphic() { char::from(*byte) } else { '.' };
            let ascii: String = line.iter().map(shown).collect();
            text += &format!("{:08x}  {:<47}  {ascii}\n", row * 16, hex.join(" "));
        }
    }
    text
}

#[test]
fn the_log_writes_the_bytes_that_it_always_wrote() {
    let update = std::env::var_os("UPDATE_GOLDENFILES").is_some();
    let mut report = Report::begin("golden: files pinned");
    for (log, make) in LOGS {
        let (files, dir) = (files(&make()), golden(log));
        let dump = dir.with_extension("hex");
        if update {
            create_dir_durable(&OsFs, &dir).unwrap();
            for (name, bytes) in &files {
                replace_atomic(&OsFs, &dir.join(name), bytes).unwrap();
            }
            replace_atomic(&OsFs, &dump, text(&files).as_bytes()).unwrap();
        }
        // The text first: its difference can be read.
        let (now, then) = (text(&files), String::from_utf8(read(&dump)).unwrap());
        now.lines().zip(then.lines()).for_each(|(now, then)| assert_eq!(now, then, "{log}"));
        report.count(log, || {
            for (name, bytes) in &files {
                assert!(*bytes == read(&dir.join(name)), "{log}/{}", name.display());
            }
            assert_eq!(OsFs.list(&dir).unwrap().len(), files.len(), "{log}");
            files.len()
        });
    }
    report.end();
}

fn records(log: &str) -> (Recovered, Vec<(u64, String)>) {
    let mut records = Vec::new();
    let recovered = Log::read(&OsFs, &golden(log), Lsn(0), &mut |lsn, payload| {
        records.push((lsn.0, String::from_utf8(payload.to_vec()).unwrap()));
        Flow::Continue
    });
    (recovered.unwrap(), records)
}

#[test]
fn a_closed_log_of_version_1_is_read() {
    let (recovered, records) = records("closed");
    let expected = [
        (1, "in mode sync"),
        (2, "in mode none"),
        (3, ""),
        (4, "in mode batch"),
        (5, "the one that syncs"),
        (6, "two"),
        (7, "together"),
    ];
    assert_eq!(records, expected.map(|(lsn, text)| (lsn, text.to_owned())));
    assert_eq!(recovered.store, StoreId(STORE));
    assert_eq!((recovered.end, recovered.next, recovered.was_closed), (Lsn(7), Lsn(8), true));
    assert_eq!((recovered.epoch, recovered.segments, recovered.torn_tail), (1, 1, None));
}

#[test]
fn a_killed_log_of_version_1_is_read() {
    let (recovered, records) = records("open");
    let expected = [(1, "durable"), (2, "cached"), (3, "after the kill")];
    assert_eq!(records, expected.map(|(lsn, text)| (lsn, text.to_owned())));
    assert_eq!((recovered.end, recovered.next, recovered.was_closed), (Lsn(3), Lsn(4), false));
    assert_eq!((recovered.epoch, recovered.segments, recovered.watermark), (2, 2, Lsn(2)));
    assert!(recovered.above_watermark);
}

/// The pages of the format, written down as code a second time, give the same bytes.
#[test]
fn the_format_as_its_pages_say_it_gives_the_same_bytes() {
    let mut groups: Vec<(Group, Behind)> = Vec::new();
    let mut add = |records: &[&[u8]], watermark, behind| {
        let before = groups.last().map(|(group, _)| (group.last_lsn(), group.encode().1));
        let (prev_lsn, prev_crc) = before.unwrap_or((0, 0));
        let group = Group {
            store: STORE,
            generation: 1,
            prev_lsn,
            prev_crc,
            first_lsn: prev_lsn + 1,
            watermark,
            epoch: 1,
            records: records.iter().map(|record| record.to_vec()).collect(),
        };
        groups.push((group, behind));
    };
    add(&[b"in mode sync"], 0, Behind::Nothing);
    add(&[b"in mode none"], 1, Behind::Sync);
    add(&[b""], 1, Behind::Nothing);
    add(&[b"in mode batch"], 1, Behind::Nothing);
    add(&[b"the one that syncs"], 1, Behind::Nothing);
    add(&[b"two", b"together"], 5, Behind::Sync);
    add(&[], 7, Behind::Sync);
    let (dir, last) = (golden("closed"), groups.last().unwrap().0.clone());
    assert!(segment(16 << 10, &groups) == read(&dir.join("0000000001.log")));
    let anchor = Anchor {
        state: 2,
        durable: 7,
        highest: 7,
        end_segment: 1,
        end_offset: 16 << 10,
        end_lsn: 7,
        end_crc: last.encode().1,
        ..Anchor::open(STORE, 1)
    };
    assert_eq!(anchor.encode(), read(&dir.join("anchor")));
}

/// Every line of hex in a page of the format stands in the file that the page names, at the
/// offset that it names: ` ```hex closed/anchor`, then lines of an offset, bytes and, two spaces
/// off, words.
#[test]
fn the_pages_show_what_is_in_the_files() {
    for (page, at_least) in [("log.md", 300), ("anchor.md", 256)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/format").join(page);
        let text = String::from_utf8(read(&path)).unwrap();
        let (mut file, mut shown) = (None, 0);
        for line in text.lines() {
            if let Some(fence) = line.strip_prefix("```") {
                let name = fence.strip_prefix("hex ");
                file = name.map(|name| read(&golden(name)));
            } else if let Some(file) = &file {
                let (offset, rest) = line.split_once("  ").unwrap();
                let offset = usize::from_str_radix(offset, 16).unwrap();
                let bytes = rest.split("  ").next().unwrap().split(' ');
                let bytes: Vec<u8> =
                    bytes.map(|hex| u8::from_str_radix(hex, 16).unwrap()).collect();
                assert_eq!(file[offset..offset + bytes.len()], bytes, "{page}: {line}");
                shown += bytes.len();
            }
        }
        assert!(shown >= at_least, "{page} shows {shown} bytes");
    }
}

/// A dump of the files as text says what is in them.
#[test]
fn a_dump_of_the_files_names_every_commit() {
    let path = golden("closed").join("0000000001.log");
    let mut text = String::new();
    dump::segment(OsFs.open(&path, Access::Read).unwrap(), &path, &mut text).unwrap();
    for line in ["segment 1 of store", "LSN 6..=7", "no commit, after LSN 7", "\"together\""] {
        assert!(text.contains(line), "{line}:\n{text}");
    }
    let path = golden("closed").join("anchor");
    let mut text = String::new();
    dump::anchor(&read(&path), &path, &mut text).unwrap();
    assert!(text.contains("closed at LSN 7, segment 1 offset 16384"), "{text}");
}
