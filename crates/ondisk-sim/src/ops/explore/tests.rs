//! Explorations say what they did, count honestly, and tell short stories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use ondisk_fs::{Access, File, FileSystem, replace_atomic};

use crate::model::{EXT4, POSIX, STRICT};
use crate::ops::{
    At, Budget, Check, Crash, CrashFs, Group, Image, MemFs, Newest, Report, Seeded, StateId, Tally,
    Verdict, Where,
};

fn p(path: &str) -> &Path {
    Path::new(path)
}

fn open(fs: &dyn FileSystem, path: &str) -> Arc<dyn File> {
    fs.open(p(path), Access::ReadWrite).unwrap()
}

/// Eight blocks, each written alone and synced every third time.
fn workload(byte: u8) -> MemFs {
    synced_every(3, byte)
}

fn synced_every(times: u8, byte: u8) -> MemFs {
    let fs = MemFs::from_image(&Image::new().file("f", vec![0; 8 * 4096]));
    let file = open(&fs, "f");
    for n in 0..8_u8 {
        fs.label(if n < 4 { "first half" } else { "second half" });
        file.write_all_at(&[byte + n; 700], u64::from(n) * 4096).unwrap();
        if n % times == 0 {
            file.sync_data().unwrap();
            fs.ack([n]);
        }
    }
    fs
}

fn read_all(fs: &CrashFs) -> Verdict {
    fs.read("f")?;
    Ok(())
}

fn explore(fs: &MemFs, budget: Budget, tally: &Tally) -> Report {
    Crash::new(&EXT4, fs.history()).explore(Where::AtSyncs, budget, tally, &mut read_all)
}

#[test]
fn a_report_says_whether_everything_was_looked_at() {
    let fs = workload(1);
    let all = explore(&fs, Budget::default(), &Tally::new());
    assert!(all.is_exhausted());
    assert_eq!(all.to_string(), "explored 4 of 4 cuts, 133 states, exhausted");
    let some = explore(&fs, Budget::per_cut(9), &Tally::new());
    assert_eq!(some.recoveries, 5 + 9 + 9 + 5);
    assert!(!some.is_exhausted() && some.states < all.states);
    assert!(some.to_string().ends_with("states, stopped (2 cuts exhausted)"), "{some}");
    let few = Budget { per_run: 3, ..Budget::default() };
    assert_eq!(explore(&fs, few, &Tally::new()).explored, 3);
}

#[test]
fn states_are_counted_by_what_was_seen_and_not_by_payloads() {
    let ids = |byte: u8| {
        let mut ids = BTreeMap::<StateId, BTreeSet<Vec<u8>>>::new();
        let crash = Crash::new(&EXT4, workload(byte).history());
        crash.explore(Where::Everywhere, Budget::default(), &Tally::new(), &mut |fs| {
            let seen = fs.read("f")?;
            ids.entry(fs.id()).or_default().insert(seen);
            Ok(())
        });
        ids
    };
    let one = ids(1);
    assert!(one.values().all(|seen| seen.len() == 1), "one number, one content");
    let contents: BTreeSet<_> = one.values().flatten().collect();
    assert_eq!(contents.len(), one.len(), "one content, one number, at all cuts");
    assert_eq!(one.keys().collect::<Vec<_>>(), ids(101).keys().collect::<Vec<_>>());
}

#[test]
fn a_number_depends_on_what_was_read_alone() {
    let fs = workload(1);
    let tally = Tally::new();
    let crash = Crash::new(&EXT4, fs.history());
    let report = crash.explore(Where::AtSyncs, Budget::default(), &tally, &mut |fs| {
        open(fs, "f").read_exact_at(&mut [0; 8], 4096)?; // one write: there or not
        Ok(())
    });
    assert_eq!(report.to_string(), "explored 4 of 4 cuts, 2 states, exhausted");
    let report = crash.explore(Where::AtSyncs, Budget::default(), &tally, &mut |fs| {
        open(fs, "f").read_exact_at(&mut [0; 8], 700)?; // behind what was written
        assert!(fs.answers().is_empty(), "what is the same in all states is not asked");
        Ok(())
    });
    assert!(report.failure.is_none());
}

#[test]
fn states_are_counted_once_under_the_label_of_their_cut() {
    let (fs, tally) = (workload(1), Tally::new());
    tally.set_shape("one");
    let crash = Crash::new(&EXT4, fs.history());
    let budget = Budget::per_cut(20);
    let report = crash.explore(Where::AtSyncs, budget, &tally, &mut |fs| {
        fs.read("f")?;
        let file = open(fs, "f");
        file.write_all_at(b"again", 0)?;
        file.sync_data()?;
        let further = Crash::of_life(&EXT4, fs);
        further.explore(Where::AtSyncs, Budget::per_cut(5), &tally, &mut read_all).into_result()?;
        Ok(())
    });
    assert!(report.failure.is_none());
    let groups = tally.groups();
    let first = |(group, states): (&Group, &u64)| (group.lives == 1).then_some(*states);
    assert_eq!(groups.iter().filter_map(first).sum::<u64>(), report.states);
    assert_eq!(groups.values().sum::<u64>(), tally.states());
    assert!(tally.recoveries() > tally.states());
    let group = |label: &str, lives| Group { shape: "one".into(), label: label.into(), lives };
    let expected = [group("first half", 1), group("recovery", 2), group("second half", 1)];
    assert_eq!(groups.keys().collect::<BTreeSet<_>>(), expected.iter().collect());
    explore(&fs, budget, &tally);
    let before = tally.states();
    explore(&fs, budget, &tally);
    assert_eq!(tally.states(), before, "the same states again are no new ones");
}

#[test]
fn what_is_owed_is_what_was_acknowledged_before() {
    let fs = workload(1);
    let crash = Crash::new(&EXT4, fs.history());
    let owed: Vec<usize> =
        crash.places(Where::AtSyncs).iter().map(|at| crash.at(*at).owed().len()).collect();
    assert_eq!(owed, [0, 1, 2, 3]);
    let first = crash.history().acks[0].at;
    assert!(crash.at(first).owed().is_empty(), "not said before it was said");
    assert_eq!(crash.at(At(first.0 + 1)).owed().len(), 1);
    let state = crash.at(fs.history().end).state(Box::new(Newest));
    state.ack("later");
    let further = Crash::of_life(&EXT4, &state);
    let last = further.at(further.history().end).state(Box::new(Newest));
    let lives: Vec<u32> = last.owed().iter().map(|ack| ack.life).collect();
    assert_eq!(lives, [1, 1, 1, 2]);
    assert_eq!(last.life(), 3);
}

/// A replacement that forgets a sync, among other things that do not matter.
fn careless(fs: &MemFs) -> Verdict {
    let other = fs.create_new(p("other"))?;
    for n in 0..5 {
        other.write_all_at(&[b'x'; 5000], n * 5000)?;
    }
    replace_atomic(fs, p("config"), b"v1")?;
    let temp = fs.create_new(p("config.new"))?;
    temp.write_all_at(b"v2", 0)?;
    fs.rename(p("config.new"), p("config"))?;
    other.write_all_at(b"y", 0)?;
    fs.sync_dir(p("."))?;
    fs.ack("v2");
    Ok(())
}

fn is_there(fs: &CrashFs) -> Verdict {
    let owed: Vec<String> = fs.owed_text().collect();
    match fs.read("config") {
        Ok(bytes) if bytes == b"v2" => Ok(()),
        other if owed.is_empty() && !other.as_ref().is_ok_and(|bytes| bytes == &[0, 0]) => Ok(()),
        other => Err(format!("config is {other:?}").into()),
    }
}

#[test]
fn a_failure_is_a_short_story() {
    let failure = Check::new().run(careless, is_there).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "lost `write #13 config.new@0`, kept `rename #14 config.new -> config` (power cut in \
         life 1, before `sync_dir #16 .` returned; model ext4): config is Ok([0, 0])"
    );
    assert_eq!(format!("{failure:?}"), failure.to_string());
    // Whoever believes that all is kept in order never sees it.
    let report = Check::new().model(STRICT).run(careless, is_there).unwrap();
    assert!(report.is_exhausted());
}

#[test]
fn a_tear_is_told_by_its_sectors() {
    let workload = |fs: &MemFs| {
        open(fs, "f").write_all_at(&[b'n'; 1024], 0)?;
        Ok(())
    };
    let whole = |fs: &CrashFs| {
        let bytes = fs.read("f")?;
        if bytes[0] == bytes[512] { Ok(()) } else { Err("half".into()) }
    };
    let start = MemFs::from_image(&Image::new().file("f", vec![b'o'; 4096]));
    let failure = Check::new().model(POSIX).start(&start).run(workload, whole).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "tore `f@0 (new sectors: 1)` (power cut in life 1, at the end, after `write #1 f@0`; \
         model posix): half"
    );
}

#[test]
fn a_panic_and_a_failed_workload_are_failures() {
    let failure = Check::new()
        .run(careless, |fs| {
            assert!(fs.look("config").is_some(), "no config");
            Ok(())
        })
        .unwrap_err();
    assert_eq!(failure.why, "the check panicked: no config");
    let failure = Check::new().run(|fs| Ok(fs.remove(p("x"))?), is_there).unwrap_err();
    assert_eq!(failure.why, "the workload failed: x: no such name");
}

#[test]
fn the_same_seed_finds_the_same_states() {
    let (fs, run) = (synced_every(7, 1), Budget::per_cut(200));
    let states = |seed: u64| {
        let mut ids = Vec::new();
        let crash = Crash::new(&POSIX, fs.history());
        crash.explore(Where::AtSyncs, run.seeded(seed), &Tally::new(), &mut |fs| {
            fs.read("f")?;
            ids.push(fs.id());
            Ok(())
        });
        ids
    };
    assert_eq!(states(7), states(7));
    assert!(states(7) != states(8));
}

#[test]
fn answers_replay_a_state() {
    let crash = Crash::new(&POSIX, workload(1).history());
    let cut = crash.at(crash.history().end);
    for seed in 0..20 {
        let one = cut.state(Box::new(Seeded::new(seed)));
        let bytes = one.read("f").unwrap();
        let again = cut.replay(&one.answers());
        assert_eq!(again.read("f").unwrap(), bytes);
        assert_eq!(again.id(), one.id());
    }
}

/// A log that acknowledges before it syncs, or after, or not at all; in one of three ways wrong.
fn small_log(fs: &MemFs, fault: usize) -> Verdict {
    let file = fs.create_new(p("log"))?;
    if fault != 1 {
        fs.sync_dir(p("."))?;
    }
    for n in 1..4_u8 {
        file.write_all_at(&[n], u64::from(n) - 1)?;
        if fault == 2 {
            fs.ack([n]);
        }
        if fault != 3 || n != 2 {
            file.sync_data()?;
        }
        if fault != 2 {
            fs.ack([n]);
        }
    }
    Ok(())
}

fn has_all(fs: &CrashFs) -> Verdict {
    let bytes = fs.read("log").unwrap_or_default();
    match fs.owed().iter().all(|ack| bytes.contains(&ack.note[0])) {
        true => Ok(()),
        false => Err(format!("{bytes:?} of {}", fs.owed().len()).into()),
    }
}

#[test]
fn cuts_at_syncs_find_all_that_cuts_everywhere_find() {
    for model in [STRICT, EXT4, POSIX] {
        for fault in 0..4 {
            let found = [Where::AtSyncs, Where::Everywhere].map(|places| {
                let check = Check::new().model(model).places(places);
                check.run(|fs| small_log(fs, fault), has_all).is_err()
            });
            assert_eq!(found[0], found[1], "{model}, fault {fault}");
            let seen = match fault {
                0 => false,
                1 => model == POSIX, // the others bring the name with the file
                _ => true,
            };
            assert_eq!(found[0], seen, "{model}, fault {fault}");
        }
    }
}

#[test]
fn a_run_of_a_hundred_calls_is_cut_everywhere() {
    let report = Check::new()
        .models([STRICT, EXT4, POSIX])
        .run(
            |fs| {
                let file = fs.create_new(p("log"))?;
                fs.sync_dir(p("."))?;
                for n in 0..49_u8 {
                    file.write_all_at(&[n; 100], u64::from(n) * 100)?;
                    file.sync_data()?;
                    fs.ack([n]);
                }
                Ok(())
            },
            |fs| {
                let bytes = fs.read("log").unwrap_or_default();
                for (n, ack) in fs.owed().iter().enumerate() {
                    if bytes.get(n * 100..n * 100 + 100) != Some(&[ack.note[0]; 100]) {
                        return Err(format!("record {n} is lost").into());
                    }
                }
                Ok(())
            },
        )
        .unwrap();
    assert_eq!((report.cuts, report.explored), (3 * 51, 3 * 51));
}

#[test]
fn what_was_read_once_is_read_again() {
    let fs = MemFs::new();
    let file = fs.create_new(p("f")).unwrap();
    file.write_all_at(b"late", 600).unwrap();
    file.write_all_at(b"more", 5000).unwrap();
    for offset in [0, 100, 600, 1000, 4096, 5000] {
        let mut said = BTreeSet::new();
        let crash = Crash::new(&POSIX, fs.history());
        let budget = Budget::per_cut(20_000);
        let report = crash.explore(Where::AtTheEnd, budget, &Tally::new(), &mut |fs| {
            let mut part = [0; 4];
            let got = match fs.open(p("f"), Access::Read) {
                Ok(file) => file.read_at(&mut part, offset)?,
                Err(_) => return Ok(()),
            };
            let whole = fs.read("f")?;
            let from = whole.len().min(usize::try_from(offset)?);
            assert_eq!(part[..got], whole[from..from + got]);
            said.insert(part[..got].to_vec());
            Ok(())
        });
        assert!(report.failure.is_none() && said.len() > 1, "{report:?}");
    }
}

#[test]
fn a_read_that_ends_early_tells_where() {
    let fs = MemFs::from_image(&Image::new().file("f", ""));
    let file = open(&fs, "f");
    for len in [5, 10] {
        file.set_len(len).unwrap();
    }
    let crash = Crash::new(&EXT4, fs.history());
    let report = crash.explore(Where::AtTheEnd, Budget::default(), &Tally::new(), &mut |fs| {
        open(fs, "f").read_at(&mut [0; 20], 0)?;
        Ok(())
    });
    assert_eq!(report.to_string(), "explored 1 of 1 cuts, 3 states, exhausted");
}
