//! Bad input: each is an error that says what, where and what to do; and the store is left as it
//! was.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;

use crate::harness::{Said, Scratch, command, files, ondisk, ondisk_reading};

/// Every command on a store, with arguments that would be right.
fn every_command(db: &str) -> Vec<Vec<&str>> {
    let mut commands = readers(db);
    commands.extend([vec!["put", db, "k", "v"], vec!["delete", db, "k"], vec!["load", db]]);
    commands
}

fn readers(db: &str) -> Vec<Vec<&str>> {
    vec![vec!["get", db, "a"], vec!["scan", db], vec!["check", db], vec!["stats", db]]
}

#[test]
fn a_directory_that_is_no_store_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    std::fs::write(scratch.path().join("holiday.jpg"), b"not ours").unwrap();
    let dir = scratch.path().to_str().unwrap();
    for args in every_command(dir) {
        ondisk(args).expect(2, &[dir, "not a store"]);
    }
    assert_eq!(files(scratch.path()).len(), 1);
}

#[test]
fn a_file_in_place_of_a_store_is_refused_and_left_alone() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    std::fs::write(db, b"a file").unwrap();
    for args in every_command(db) {
        ondisk(args).expect(2, &[db]);
    }
    assert_eq!(std::fs::read(db).unwrap(), b"a file");
}

#[test]
fn only_put_and_load_make_a_store() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    for make_it_empty in [false, true] {
        if make_it_empty {
            std::fs::create_dir(db).unwrap();
        }
        for args in readers(db).into_iter().chain([vec!["delete", db, "k"]]) {
            ondisk(args).expect(2, &[db, "not a store"]);
        }
        assert_eq!(Path::new(db).exists(), make_it_empty);
        assert_eq!(files(scratch.path()).len(), 0);
    }
}

#[test]
fn a_missing_parent_is_said() {
    let scratch = Scratch::new();
    let db = scratch.path().join("no/such/parent");
    ondisk(["put", db.to_str().unwrap(), "k", "v"]).expect(2, &["no/such"]);
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let (scratch, db) = Scratch::with_store();
    let anchor = Path::new(&db).join("log/anchor");
    let mut bytes = std::fs::read(&anchor).unwrap();
    // docs/format/anchor.md: version at 12, and the sum at 8 covers all from 12 on.
    bytes[12..16].copy_from_slice(&99_u32.to_le_bytes());
    let sum = crc32c(&bytes[12..]);
    bytes[8..12].copy_from_slice(&sum.to_le_bytes());
    std::fs::write(&anchor, bytes).unwrap();
    let before = files(scratch.path());
    for args in every_command(&db) {
        ondisk(args).expect(2, &["anchor", "version 99", "newer version"]);
    }
    assert!(before == files(scratch.path()), "a refused store was changed");
}

/// CRC-32C, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 * (crc & 1)))
    })
}

#[test]
fn a_locked_store_names_the_process_that_holds_it() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let mut writer = command(["load", db]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = writer.stdin.take().unwrap();
    writeln!(input, "a\t1").unwrap();
    let mut told = BufReader::new(writer.stdout.take().unwrap()).lines();
    assert_eq!(told.next().unwrap().unwrap(), "a"); // now it holds the lock
    let pid = format!("process {}", writer.id());
    for args in [vec!["put", db, "k", "v"], vec!["delete", db, "k"], vec!["check", db]] {
        ondisk(args).expect(2, &[db, "locked", &pid]);
    }
    // Beside a writer a reader sees what the log says is durable.
    let scan = ondisk(["scan", db]).fine();
    assert!(["", "a\t1\n"].contains(&scan.as_str()), "{scan}");
    drop(input);
    assert!(writer.wait().unwrap().success());
    assert_eq!(ondisk(["scan", db]).fine(), "a\t1\n");
}

#[test]
fn a_read_only_directory_is_read_and_not_written() {
    let (scratch, db) = Scratch::with_store();
    let before = files(scratch.path());
    set_writable(scratch.path(), false);
    for args in readers(&db) {
        unprivileged(&scratch, &args).expect(0, &[]);
    }
    for args in [vec!["put", &db, "k", "v"], vec!["delete", &db, "k"], vec!["load", &db]] {
        unprivileged(&scratch, &args).expect(2, &[&db, "ermission denied"]);
    }
    let new = scratch.path().join("new.db");
    unprivileged(&scratch, &["put", new.to_str().unwrap(), "k", "v"])
        .expect(2, &["ermission denied"]);
    assert!(before == files(scratch.path()), "something was written");
    set_writable(scratch.path(), true);
}

fn set_writable(root: &Path, writable: bool) {
    let mode = |dir: bool| match (dir, writable) {
        (true, true) => 0o755,
        (true, false) => 0o555,
        (false, true) => 0o644,
        (false, false) => 0o444,
    };
    for path in files(root).keys() {
        for place in path.ancestors().take_while(|place| place.starts_with(root)) {
            let permissions = std::fs::Permissions::from_mode(mode(place.is_dir()));
            std::fs::set_permissions(place, permissions).unwrap();
        }
    }
}

/// Runs the binary as somebody whom permissions hold back: for root there are none. The files are
/// ours, so their owner says who we are.
fn unprivileged(scratch: &Scratch, args: &[&str]) -> Said {
    const NOBODY: u32 = 65534;
    let mut command = command(args);
    if std::fs::metadata(scratch.path()).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    command.output().unwrap().into()
}

#[test]
fn keys_and_values_over_the_limit_are_refused_with_the_limit() {
    let (_scratch, db) = Scratch::with_store();
    let key = "k".repeat((64 << 10) + 1);
    ondisk(["put", &db, &key, "v"]).expect(2, &["a key of 65537 bytes", "65536"]);
    let mut line = b"d\t4\nbig\t".to_vec();
    line.resize(line.len() + (17 << 20), b'v');
    line.extend_from_slice(format!("\n{key}\tv").as_bytes());
    let said = ondisk_reading(["load", &db], &line).expect(2, &["line 3: ", "65537 bytes"]);
    // A value that no commit holds has a file of its own.
    assert_eq!(said.out, "d\nbig\n");
    assert_eq!(ondisk(["get", &db, "big", "--raw"]).fine().len(), 17 << 20);
    assert_eq!(ondisk(["get", &db, "d"]).fine(), "4\n");
}

/// Whatever one file of a closed store is cut to or scrambled into, `check` finds it, no command
/// panics, and no reader shows another content than the right one without saying so.
#[test]
fn a_truncated_or_scrambled_file_is_found() {
    let (scratch, db) = Scratch::with_store();
    let whole = ondisk(["scan", &db]).fine();
    for (path, bytes) in files(scratch.path()) {
        if path.ends_with("LOCK") || path.ends_with("reserve") {
            continue; // holds nothing of worth
        }
        let written = bytes.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        let truncated = bytes[..written / 2].to_vec();
        let scrambled: Vec<u8> = bytes.iter().map(|byte| byte.wrapping_add(91)).collect();
        for broken in [truncated, scrambled, Vec::new()] {
            std::fs::write(&path, &broken).unwrap();
            let check = ondisk(["check", &db]);
            assert_eq!(check.code, Some(1), "{}: {check:#?}", path.display());
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(check.out.contains(name) || check.err.contains(name), "{check:#?}");
            for args in readers(&db) {
                let said = ondisk(&args);
                assert!(matches!(said.code, Some(0..=2)), "{args:?}: {said:#?}");
                if args[0] == "scan" && said.code == Some(0) {
                    assert_eq!(said.out, whole, "{}", path.display());
                }
            }
            assert_eq!(std::fs::read(&path).unwrap(), broken, "a reader mended a file");
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    ondisk(["check", &db]).fine();
}

#[test]
fn dump_refuses_what_is_not_ours() {
    let scratch = Scratch::new();
    let file = scratch.path().join("notes.txt");
    std::fs::write(&file, b"milk, bread").unwrap();
    ondisk(["dump", file.to_str().unwrap()]).expect(2, &["notes.txt"]);
    ondisk(["dump", "/no/such/file"]).expect(2, &["/no/such/file"]);
}
