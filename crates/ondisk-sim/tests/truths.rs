//! Thirteen truths about files and power cuts, each with the exact set of what may be there
//! afterwards, for each model. They are the oracle of what the models mean.
//!
//! A value is `-` (absent), `""` (empty), a letter (whole), `0` (full length of zeros), `J`
//! (somebody's former bytes), or a letter with `~` (short, torn or mixed).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{Access, File, FileSystem};
use ondisk_sim::model::{EXT4, POSIX, STRICT};
use ondisk_sim::{
    Budget, Crash, CrashFs, Fault, Image, MemFs, Model, Place, Report, Tally, Target, Where,
};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn create(fs: &MemFs, path: &str, bytes: &[u8]) -> Arc<dyn File> {
    let file = fs.create_new(p(path)).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file
}

fn open(fs: &MemFs, path: &str) -> Arc<dyn File> {
    fs.open(p(path), Access::ReadWrite).unwrap()
}

/// What a file holds, as one of the words above; `letters` are the whole values it may have.
fn value(fs: &CrashFs, path: &str, letters: &[(&str, &[u8])]) -> String {
    let Ok(bytes) = fs.read(path) else { return "-".into() };
    word(&bytes, letters)
}

fn word(bytes: &[u8], letters: &[(&str, &[u8])]) -> String {
    if bytes.is_empty() {
        return "\"\"".into();
    }
    if let Some((name, _)) = letters.iter().find(|(_, whole)| *whole == bytes) {
        return (*name).into();
    }
    let longest = letters.iter().map(|(_, whole)| whole.len()).max().unwrap_or(0);
    if bytes.iter().all(|byte| *byte == 0) && bytes.len() == longest {
        return "0".into();
    }
    if bytes.iter().any(|byte| *byte >= 0x80) {
        return "J".into();
    }
    format!("{}~", letters[0].0)
}

/// All values that `look` may find after a cut at the end.
fn values(
    model: Model,
    fs: &MemFs,
    look: impl Fn(&CrashFs) -> String,
) -> (BTreeSet<String>, Report) {
    let crash = Crash::new(&model, fs.history());
    let mut found = BTreeSet::new();
    let tally = Tally::new();
    let report = crash.explore(Where::AtTheEnd, Budget::per_cut(700), &tally, &mut |fs| {
        found.insert(look(fs));
        Ok(())
    });
    (found, report)
}

/// One truth: what is looked at, and what it may be under posix, ext4 and strict.
fn truth(fs: &MemFs, look: impl Fn(&CrashFs) -> String + Copy, expected: [&str; 3]) {
    for (model, expected) in [POSIX, EXT4, STRICT].into_iter().zip(expected) {
        let (found, report) = values(model, fs, look);
        let expected: BTreeSet<String> = expected.split(' ').map(str::to_owned).collect();
        assert_eq!(found, expected, "{model}: {report}");
    }
}

#[test]
fn t1_a_closed_file_is_not_a_synced_one() {
    let fs = MemFs::new();
    create(&fs, "f", b"A");
    let look = |fs: &CrashFs| value(fs, "f", &[("A", b"A")]);
    truth(&fs, look, ["- \"\" A 0 J", "- \"\" A 0", "- \"\" A"]);
}

#[test]
fn t2_fsync_of_a_new_file_brings_its_name_in_ext4_alone() {
    let fs = MemFs::new();
    create(&fs, "f", b"A").sync_all().unwrap();
    let look = |fs: &CrashFs| value(fs, "f", &[("A", b"A")]);
    truth(&fs, look, ["- A", "A", "A"]);
    fs.sync_dir(p(".")).unwrap();
    truth(&fs, look, ["A", "A", "A"]);
}

#[test]
fn t3_time_makes_nothing_durable() {
    let fs = MemFs::new();
    create(&fs, "f", &[b'A'; 10_000]);
    let look = |fs: &CrashFs| value(fs, "f", &[("A", &[b'A'; 10_000])]);
    truth(&fs, look, ["- \"\" A 0 A~ J", "- \"\" A 0 A~", "- \"\" A A~"]);
}

#[test]
fn t4_a_sync_of_another_file() {
    let fs = MemFs::new();
    create(&fs, "a", b"A");
    create(&fs, "b", b"B").sync_all().unwrap();
    let look = |fs: &CrashFs| value(fs, "a", &[("A", b"A")]);
    truth(&fs, look, ["- \"\" A 0 J", "\"\" A 0", "A"]);
    truth(&fs, |fs| value(fs, "b", &[("B", b"B")]), ["- B", "B", "B"]);
}

fn replaced(sync: bool, other: bool) -> MemFs {
    let fs = MemFs::from_image(&Image::new().file("g", "O"));
    let temp = create(&fs, "t", &vec![b'N'; 1 << 20]);
    if sync {
        temp.sync_all().unwrap();
    }
    fs.rename(p("t"), p("g")).unwrap();
    if other {
        create(&fs, "s", b"").sync_all().unwrap();
    }
    fs
}

fn old_or_new(fs: &CrashFs) -> String {
    value(fs, "g", &[("N", &vec![b'N'; 1 << 20]), ("O", b"O")])
}

#[test]
fn t5_replace_without_a_sync() {
    truth(&replaced(false, true), old_or_new, ["O \"\" N 0 N~ J", "N 0 N~", "N"]);
}

#[test]
fn t6_replace_without_a_sync_of_the_directory() {
    let fs = replaced(true, false);
    truth(&fs, old_or_new, ["O N", "O N", "O N"]);
    fs.sync_dir(p(".")).unwrap();
    truth(&fs, old_or_new, ["N", "N", "N"]);
}

#[test]
fn t7_an_overwrite_of_written_blocks_needs_the_data_alone() {
    let fs = MemFs::from_image(&Image::new().file("w", vec![0; 65_536]));
    let file = open(&fs, "w");
    file.write_all_at(b"R", 0).unwrap();
    file.sync_data().unwrap();
    let mut whole = vec![0; 65_536];
    whole[0] = b'R';
    truth(&fs, |fs| value(fs, "w", &[("R", &whole)]), ["R", "R", "R"]);
}

#[test]
fn t8_a_short_append_may_be_there_as_zeros() {
    let fs = MemFs::from_image(&Image::new().file("l", vec![b'A'; 100]));
    open(&fs, "l").write_all_at(&[b'B'; 100], 100).unwrap();
    create(&fs, "s", b"").sync_all().unwrap();
    let look = |fs: &CrashFs| match fs.read("l").unwrap().split_at(100) {
        (_, []) => "-".to_owned(),
        (old, new) => {
            assert_eq!(old, [b'A'; 100]);
            word(new, &[("B", &[b'B'; 100])])
        }
    };
    truth(&fs, look, ["- 0 B", "0 B", "B"]);
}

#[test]
fn t9_the_second_sync_proves_nothing() {
    let fs = MemFs::from_image(&Image::new().file("p", "a"));
    let file = open(&fs, "p");
    file.write_all_at(b"b", 0).unwrap();
    fs.inject(Fault::next(Target::Only(Place::SyncData), std::io::ErrorKind::Other));
    file.sync_data().unwrap_err();
    open(&fs, "p").sync_data().unwrap();
    assert_eq!(fs.read("p").unwrap(), b"b");
    let look = |fs: &CrashFs| value(fs, "p", &[("a", b"a"), ("b", b"b")]);
    truth(&fs, look, ["a b", "a b", "a b"]);
    // What is written after the failure is covered again.
    let file = open(&fs, "p");
    file.write_all_at(b"b", 0).unwrap();
    file.sync_data().unwrap();
    truth(&fs, look, ["b", "b", "b"]);
}

#[test]
fn t10_a_drive_that_lies() {
    for lies in [false, true] {
        let fs = MemFs::new();
        fs.set_lies(lies);
        create(&fs, "f", b"A").sync_all().unwrap();
        fs.sync_dir(p(".")).unwrap();
        let look = |fs: &CrashFs| value(fs, "f", &[("A", b"A")]);
        let honest = ["A", "A", "A"];
        let lied = ["- \"\" A 0 J", "- \"\" A 0", "- \"\" A"];
        truth(&fs, look, if lies { lied } else { honest });
    }
}

#[test]
fn t11_fdatasync_is_no_sync_of_a_new_name() {
    for (all, ext4) in [(false, "- A"), (true, "A")] {
        for link in [false, true] {
            let fs = MemFs::from_image(&Image::new().file("f", "A"));
            let file = open(&fs, "f");
            if link {
                fs.link("f", "g").unwrap();
            } else {
                fs.rename(p("f"), p("g")).unwrap();
            }
            if all { file.sync_all() } else { file.sync_data() }.unwrap();
            truth(&fs, |fs| value(fs, "g", &[("A", b"A")]), ["- A", ext4, "A"]);
        }
    }
}

#[test]
fn t12_the_sync_of_one_directory_and_the_names_of_another() {
    let fs = MemFs::from_image(&Image::new().dir("d1").dir("d2"));
    create(&fs, "d2/b", b"");
    fs.sync_dir(p("d1")).unwrap();
    truth(&fs, |fs| value(fs, "d2/b", &[]), ["- \"\"", "\"\"", "\"\""]);
}

#[test]
fn t13_a_rename_between_directories() {
    let fs = MemFs::from_image(&Image::new().dir("d2").file("d1/f", "A"));
    fs.rename(p("d1/f"), p("d2/g")).unwrap();
    fs.sync_dir(p("d2")).unwrap();
    let look = |fs: &CrashFs| {
        let names = [("f", "d1/f"), ("g", "d2/g")].into_iter();
        let there = names.filter(|(_, path)| fs.look(path).is_some());
        there.map(|(name, _)| name).collect::<Vec<_>>().join("+")
    };
    truth(&fs, look, ["g f+g", "g", "g"]);
    fs.sync_dir(p("d1")).unwrap();
    truth(&fs, look, ["g", "g", "g"]);
}

#[test]
fn a_durable_write_covers_its_own_range_alone() {
    let fs = MemFs::from_image(&Image::new().file("f", vec![b'o'; 8192]));
    let file = open(&fs, "f");
    file.write_all_at(b"X", 0).unwrap();
    let mut blocks = ondisk_fs::Blocks::zeroed(1);
    blocks.bytes_mut().fill(b'Y');
    file.write_durable(blocks.blocks(0..1), 4096).unwrap();
    let look = |fs: &CrashFs| {
        let bytes = fs.read("f").unwrap();
        assert_eq!(bytes[4096..], [b'Y'; 4096]);
        char::from(bytes[0]).to_string()
    };
    truth(&fs, look, ["X o", "X o", "X"]);
}

#[test]
fn two_overwrites_come_back_in_either_order_and_torn() {
    let fs = MemFs::from_image(&Image::new().file("f", vec![b'o'; 8192]));
    let file = open(&fs, "f");
    file.write_all_at(&[b'1'; 4096], 0).unwrap();
    file.write_all_at(b"2", 4096).unwrap();
    let look = |fs: &CrashFs| {
        let bytes = fs.read("f").unwrap();
        let first = word(&bytes[..4096], &[("1", &[b'1'; 4096]), ("o", &[b'o'; 4096])]);
        format!("{first}{}", char::from(bytes[4096]))
    };
    truth(&fs, look, ["oo o2 1o 12 1~o 1~2", "oo o2 1o 12 1~o 1~2", "oo 1o 12"]);
}
