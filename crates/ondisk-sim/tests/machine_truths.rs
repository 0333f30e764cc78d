//! What the whole machine does, in numbers: how many commits and FLUSHes a sync costs, when the
//! flusher writes, what shares a command, what a death at a stated moment leaves.
//!
//! Each is a sentence about a kernel or a drive that was seen or read; the last test plants
//! mistakes, and each makes one of them false.

#![cfg(feature = "machine")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, catch_unwind};

use ondisk_sim::machine::choice::{Chooser, First, Last, Seeded};
use ondisk_sim::machine::config::{
    DataMode, DriveCache, Ext4Options, FlushIs, Link, Mount, Sabotage, Share,
};
use ondisk_sim::machine::event::{Cmd, JBlock, Txn};
use ondisk_sim::machine::ids::TaskId;
use ondisk_sim::machine::message::{Open, Reply, Request};
use ondisk_sim::machine::play::Stage;
use ondisk_sim::machine::{Config, Death, Event, Kind, Media, Play, Shot, Sim};
use ondisk_sim::ops::script::Script;

/// A machine with a mistake planted, or none.
fn machine(mistake: Option<Sabotage>) -> Config {
    Config { sabotage: mistake, ..Config::default() }
}

fn mounted(mistake: Option<Sabotage>, options: Ext4Options) -> Config {
    Config { mount: Mount::Ext4(options), ..machine(mistake) }
}

/// A script that has ended, and all that moved.
struct Run {
    play: Play,
    events: Vec<Event>,
}

fn run(config: Config, script: &str) -> Run {
    let script = Script::parse(script).unwrap();
    let mut play = Play::new(&script, &Stage { config, ..Stage::default() }).unwrap();
    let events = std::iter::from_fn(|| play.event()).collect();
    Run { play, events }
}

impl Run {
    /// What moved since the last acknowledgement; without one, since the first call.
    fn since(&self) -> &[Event] {
        let ack = self.events.iter().rposition(|event| matches!(event.kind, Kind::Ack { .. }));
        let call = || self.events.iter().position(|event| matches!(event.kind, Kind::Call { .. }));
        &self.events[ack.or_else(call).unwrap()..]
    }

    fn count(&self, is: impl Fn(&Kind) -> bool) -> usize {
        self.since().iter().filter(|event| is(&event.kind)).count()
    }

    fn commits(&self) -> usize {
        self.count(|kind| matches!(kind, Kind::JWrite { what: JBlock::Commit, .. }))
    }

    /// Commands to the drive.
    fn commands(&self, of: Cmd) -> usize {
        self.count(|kind| matches!(kind, Kind::Dispatched { cmd, .. } if *cmd == of))
    }

    /// Bios that write or flush.
    fn bios(&self) -> usize {
        self.count(|kind| matches!(kind, Kind::Bio { cmd, .. } if *cmd != Cmd::Read))
    }

    /// What a power cut now leaves of a file, as little as may be.
    fn least(&self, path: &str) -> Option<Vec<u8>> {
        file(&self.play.cut(Death::Cut, &mut First), path)
    }
}

fn file(media: &Media, path: &str) -> Option<Vec<u8>> {
    media.clone().image().unwrap().bytes(path).map(<[u8]>::to_vec)
}

fn choosers() -> Vec<Box<dyn Chooser>> {
    let mut choosers: Vec<Box<dyn Chooser>> = vec![Box::new(First), Box::new(Last)];
    choosers.extend((0..6).map(|seed| Box::new(Seeded::new(seed)) as Box<dyn Chooser>));
    choosers
}

/// All that a death at a moment is seen to leave of a file.
fn left(shot: &Shot, how: Death, path: &str) -> Vec<Option<Vec<u8>>> {
    let mut all: Vec<_> =
        choosers().iter_mut().map(|chooser| file(&shot.cut(how, &mut **chooser), path)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn is(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}

// Calls and buffers.

fn a_killed_process_loses_its_buffer(mistake: Option<Sabotage>) {
    let write = run(machine(mistake), "open f create; write f \"A\"\nkill");
    assert_eq!(write.play.end().unwrap().bytes("f"), Some(b"".as_slice()));
    let flush = run(machine(mistake), "open f create; write f \"A\"; flush f\nkill");
    assert_eq!(flush.play.end().unwrap().bytes("f"), Some(b"A".as_slice()));
}

// Time.

/// What a cut after a time leaves of three pages that nobody synced.
fn after(config: Config, time: &str) -> Vec<Option<usize>> {
    let script = format!("open f create; write f \"A\"*10000; flush f; wait {time}");
    let end = run(config, &script);
    let mut left = left(&end.play.sim().shot(), Death::Cut, "f");
    for bytes in left.iter().flatten() {
        assert!(bytes.iter().all(|byte| *byte == b'A'), "after {time} there are zeros");
    }
    left.sort_unstable();
    left.iter().map(|bytes| bytes.as_ref().map(Vec::len)).collect()
}

fn time_on_a_warm_device(mistake: Option<Sabotage>) {
    let warm = || machine(mistake);
    assert_eq!(after(warm(), "1s"), [None]);
    assert_eq!(after(warm(), "7s"), [Some(0)]);
    assert_eq!(after(warm(), "29s"), [Some(0)]);
    assert_eq!(after(warm(), "45s"), [Some(10_000)]);
}

fn time_on_a_fresh_device(mistake: Option<Sabotage>) {
    let fresh = || {
        let mut config = machine(mistake);
        config.cache.share = Share::Fresh;
        config
    };
    assert_eq!(after(fresh(), "1s"), [None]);
    assert_eq!(after(fresh(), "7s"), [Some(0)]);
    assert_eq!(after(fresh(), "12s"), [Some(10_000)]);
}

// What a sync costs.

fn an_overwrite_needs_no_commit(mistake: Option<Sabotage>) {
    let script = "durable { w = zeros 64Ki }\npwrite w \"R\" @0; fdatasync w";
    for link in [Link::Nvme, Link::Sata] {
        let mut config = machine(mistake);
        config.drive.link = link;
        let end = run(config, script);
        assert_eq!((end.commits(), end.commands(Cmd::Flush)), (0, 1), "{link:?}");
        assert_eq!((end.commands(Cmd::Write), end.commands(Cmd::WriteFua)), (1, 0), "{link:?}");
        assert_eq!(end.least("w").unwrap()[0], b'R');
    }
}

fn an_append_needs_one(mistake: Option<Sabotage>) {
    let script = "durable { w = \"a\"*4096 }\npwrite w \"R\" @4096; fdatasync w";
    // Journal, FLUSH, commit block; and a FLUSH for that, or FUA in its place.
    for (link, flushes, fua) in [(Link::Sata, 2, 0), (Link::Nvme, 1, 1)] {
        let mut config = machine(mistake);
        config.drive.link = link;
        let end = run(config, script);
        assert_eq!(end.commits(), 1, "{link:?}");
        let commands = (end.commands(Cmd::Flush), end.commands(Cmd::WriteFua));
        assert_eq!(commands, (flushes, fua), "{link:?}");
        assert_eq!(end.least("w").unwrap().last(), Some(&b'R'));
    }
}

fn within_a_tick_an_overwrite_and_its_fsync_make_no_commit(mistake: Option<Sabotage>) {
    let twice = |between: &str| {
        let first = "durable { w = \"a\"*4096 }\npwrite w \"b\" @0; fsync w";
        let script = format!("{first}{between}; ack \"first\"; pwrite w \"c\" @0; fsync w");
        run(machine(mistake), &script)
    };
    let at_once = twice("");
    assert_eq!((at_once.commits(), at_once.commands(Cmd::Flush)), (0, 1));
    assert_eq!(at_once.least("w").unwrap()[0], b'c');
    let later = twice("; wait 8ms");
    assert_eq!(later.commits(), 1, "the mtime moved");
}

fn a_directory_with_nothing_to_commit_sends_nothing(mistake: Option<Sabotage>) {
    let idle = run(machine(mistake), "durable { mkdir d }\nfsyncdir d; fsyncdir .");
    assert_eq!((idle.bios(), idle.commands(Cmd::Flush)), (0, 0));
    let busy = run(machine(mistake), "durable { mkdir d }\nopen f create; fsyncdir d");
    assert_eq!(busy.commits(), 1);
    assert_eq!(busy.least("f"), is(b""), "all names, not those in d alone");
}

fn two_fsyncs_share_one_commit(mistake: Option<Sabotage>) {
    let script = "
durable { a = \"a\"*4096; b = \"b\"*4096 }
@A open a; wait 1s; pwrite a \"A\" @0; fsync a
@B open b; wait 1s; pwrite b \"B\" @0; fsync b";
    let end = run(machine(mistake), script);
    assert_eq!((end.commits(), end.commands(Cmd::Flush)), (1, 1));
    let first = |path| end.least(path).unwrap()[0];
    assert_eq!((first("a"), first("b")), (b'A', b'B'));
}

fn an_o_dsync_write_leaves_the_other_pages_dirty(mistake: Option<Sabotage>) {
    let script = "
durable { f = \"o\" + zeros 4095 + \"p\" }
@A pwrite f \"1\" @0
@B wait 1s; open f dsync; pwrite f \"2\" @4096";
    let end = run(machine(mistake), script);
    let written = end.since().iter().filter_map(|event| match event.kind {
        Kind::WbStart { page, count, .. } => Some((page, count)),
        _ => None,
    });
    assert_eq!(written.collect::<Vec<_>>(), [(1, 1)]);
    let left = end.least("f").unwrap();
    assert_eq!((left[0], left[4096]), (b'o', b'2'));
}

// Errors.

fn a_failed_sync_is_told_once(mistake: Option<Sabotage>) {
    let script = "
durable { p = \"a\" }
pwrite p \"b\" @0
fail fdatasync p EIO; fdatasync p; fdatasync p; read p";
    let end = run(machine(mistake), script);
    let told: Vec<String> = end.play.notes().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["line 4: fdatasync p: EIO", "line 4: read p: \"b\""]);
    assert_eq!(left(&end.play.sim().shot(), Death::Cut, "p"), [is(b"a")]);
    let sim = end.play.sim();
    assert_eq!(read(sim, "p"), b"b");
    sim.call(ONE, Request::Evict).unwrap();
    assert_eq!(read(sim, "p"), b"a");
}

fn each_description_is_told(mistake: Option<Sabotage>) {
    let script = "
durable { p = \"a\" }
@A open p; pwrite p \"b\" @0; fail fdatasync p EIO; fdatasync p; fdatasync p
@B open p; wait 1s; fdatasync p; fdatasync p";
    let end = run(machine(mistake), script);
    let told: Vec<String> = end.play.notes().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["line 3: fdatasync p: EIO", "line 4: fdatasync p: EIO"]);
}

const ONE: TaskId = TaskId(1);

fn read(sim: &Sim, path: &str) -> Vec<u8> {
    let how = Open { read: true, ..Open::default() };
    let open = Request::Open { path: path.as_bytes().into(), how, mode: 0 };
    let Ok(Reply::Fd(fd)) = sim.call(ONE, open) else { panic!("{path} is opened") };
    let Ok(Reply::Bytes(bytes)) = sim.call(ONE, Request::Read { fd, at: Some(0), len: 100 }) else {
        panic!("{path} is read")
    };
    bytes
}

// The drive.

fn a_drive_that_lies(mistake: Option<Sabotage>) {
    let script = "open f create; write f \"A\"; flush f; fsync f; fsyncdir .";
    let end = |cache, flush| {
        let mut config = machine(mistake);
        (config.drive.cache, config.drive.flush) = (cache, flush);
        run(config, script).play.sim().shot()
    };
    let honest = end(DriveCache::Volatile, FlushIs::Honest);
    assert_eq!(left(&honest, Death::Cut, "f"), [is(b"A")]);
    for flush in [FlushIs::Honest, FlushIs::Lies] {
        let capacitor = end(DriveCache::Capacitor, flush);
        assert_eq!(left(&capacitor, Death::Cut, "f"), [is(b"A")], "{flush:?}");
    }
    let lies = end(DriveCache::Volatile, FlushIs::Lies);
    assert_eq!(left(&lies, Death::Crash, "f"), [is(b"A")]);
    assert_eq!(left(&lies, Death::Cut, "f"), [None, is(b"A")]);
}

fn adjacent_pages_are_one_request(mistake: Option<Sabotage>) {
    let script = "durable { f = zeros 64Ki }\npwrite f \"x\"*64Ki @0; fdatasync f";
    let end = run(machine(mistake), script);
    let writes = end.since().iter().filter_map(|event| match event.kind {
        Kind::Dispatched { cmd: Cmd::Write, count, .. } => Some(count),
        _ => None,
    });
    assert_eq!(writes.collect::<Vec<_>>(), [16]);
}

fn a_flush_covers_what_was_completed(mistake: Option<Sabotage>) {
    let script = "
durable { a = \"o\"*1Mi; b = \"o\"*4096 }
@A wait 10ms; pwrite a \"n\"*1Mi @0; fdatasync a
@B wait 10150us; pwrite b \"n\"*4096 @0; fdatasync b";
    let script = Script::parse(script).unwrap();
    let stage = Stage { config: machine(mistake), ..Stage::default() };
    let mut play = Play::new(&script, &stage).unwrap();
    let (mut sent, mut done) = (0, 0);
    let mut before = (0, 0);
    loop {
        match play.event().unwrap().kind {
            Kind::Dispatched { cmd: Cmd::Write, .. } => sent += 1,
            Kind::RqDone { .. } => done += 1,
            Kind::FlushStart { .. } => before = (sent, done),
            Kind::FlushDone { .. } => break,
            _ => {}
        }
    }
    assert!(before.0 > before.1 && before.1 > 0, "one is done, one in flight: {before:?}");
    let shot = play.sim().shot();
    let news = |chooser: &mut dyn Chooser| {
        let media = shot.cut(Death::Cut, chooser);
        let count = |path| file(&media, path).unwrap().iter().filter(|byte| **byte == b'n').count();
        (count("a"), count("b"))
    };
    let (least, most) = (news(&mut First), news(&mut Last));
    assert!(least.0 < 1 << 20, "what was in flight may be lost: {least:?}");
    assert!(most.0 > least.0, "and may be there: {least:?}, {most:?}");
    assert_eq!((least.1, most.1), (4096, 4096), "what was completed is there");
}

fn garbage_collection_moves_data_and_loses_none(mistake: Option<Sabotage>) {
    let mut config = machine(mistake);
    let options = Ext4Options { blocks: 2048, journal: 256, inodes: 64, ..Ext4Options::default() };
    config.mount = Mount::Ext4(options);
    config.drive.blocks = 2048;
    // Pages are written over in several rhythms: so each erase block keeps live ones.
    const RHYTHMS: [usize; 5] = [3, 5, 7, 11, 13];
    let pages = RHYTHMS.into_iter().flat_map(|every| (0..1600).step_by(every));
    let all: String = pages.map(|page| format!("pwrite f \"x\" @{}; ", page * 4096)).collect();
    let script = format!("durable {{ f = \"c\"*6400Ki }}\nrepeat 4 {{ {all} fdatasync f }}");
    let end = run(config, &script);
    let copied = end.count(|kind| matches!(kind, Kind::GcCopy { .. }));
    assert!(copied > 200, "{copied} pages were copied");
    assert!(end.count(|kind| matches!(kind, Kind::Erased { .. })) > 10);
    let left = end.least("f").unwrap();
    let wrong = left.chunks(4096).enumerate().filter(|(page, bytes)| {
        let is_written = RHYTHMS.iter().any(|every| page % every == 0);
        let first = if is_written { b'x' } else { b'c' };
        bytes[0] != first || bytes[1..].iter().any(|byte| *byte != b'c')
    });
    assert_eq!((left.len(), wrong.count()), (1600 * 4096, 0));
}

// Recovery.

fn a_cut_while_recovery_replays(mistake: Option<Sabotage>) {
    let script = "
durable { mkdir d; a = \"a\"*5000 }
open b create; write b \"b\"*9000; flush b; fsync b
rename a d/a; remove b; open c create; write c \"c\"; flush c; fsync c";
    let end = run(machine(mistake), script);
    let media = end.play.cut(Death::Cut, &mut First);
    let there = media.clone().image().unwrap();
    assert_eq!(there.bytes("d/a").map(<[u8]>::len), Some(5000));
    assert_eq!((there.bytes("b"), there.bytes("c")), (None, Some(b"c".as_slice())));
    let sim = media.boot(2).unwrap();
    let (mut replayed, mut moments) = (0, vec![sim.shot()]);
    sim.keep_shots(1);
    while let Some(event) = sim.step() {
        moments.extend(sim.shots());
        match event.kind {
            Kind::Replayed { .. } => replayed += 1,
            Kind::Mounted => break,
            _ => {}
        }
    }
    assert!(replayed > 3 && moments.len() > 10, "{replayed} blocks, {} cuts", moments.len());
    for moment in &moments {
        for mut chooser in choosers() {
            let again = moment.cut(Death::Cut, &mut *chooser).image().unwrap();
            assert_eq!(again, there, "a cut at {:?}", moment.now());
        }
    }
}

fn freed_metadata_is_not_replayed_over_data(mistake: Option<Sabotage>) {
    // The block of a directory becomes a block of a file; an older transaction still has it.
    let options = Ext4Options { blocks: 512, journal: 64, inodes: 64, ..Ext4Options::default() };
    let script = "
mkdir d; open d/x create; close d/x; fsyncdir .
remove d/x; rmdir d; fsyncdir .
open f create; write f \"f\"*1Mi; flush f; fsync f";
    let end = run(mounted(mistake, options), script);
    let end = end.least("f").unwrap();
    assert!(end.len() == 1 << 20 && end.iter().all(|byte| *byte == b'f'));
}

// data=journal.

fn with_data_in_the_journal(mistake: Option<Sabotage>) {
    let options = Ext4Options { data: DataMode::Journal, ..Ext4Options::default() };
    let journal = |script| run(mounted(mistake, options), script);
    let append =
        journal("durable { l = \"A\"*100 }\npwrite l \"B\"*100 @100; open s create; fsync s");
    assert_eq!(append.least("l"), is(&[[b'A'; 100], [b'B'; 100]].concat()));
    assert_eq!(append.commits(), 1);
    assert_eq!(append.count(|kind| matches!(kind, Kind::WbStart { .. })), 0);
    let other = journal("durable { f = \"A\"; b = \"x\" }\npwrite f \"B\" @0; fsync b");
    assert_eq!((other.bios(), other.least("f")), (0, is(b"A")), "b has nothing to commit");
}

/// The states of a transaction come in their order, and the commit block is durable before the
/// last.
fn a_commit_goes_through_its_states(mistake: Option<Sabotage>) {
    let end = run(machine(mistake), "open f create; write f \"A\"; flush f; fsync f");
    let states = end.since().iter().filter_map(|event| match event.kind {
        Kind::TxnState { to, .. } => Some(to),
        _ => None,
    });
    let states = states.collect::<Vec<_>>();
    let expected = [Txn::Locked, Txn::Flush, Txn::Commit, Txn::Record, Txn::Finished];
    assert!(states.ends_with(&expected), "{states:?}");
    let at = |is: &dyn Fn(&Kind) -> bool| end.since().iter().position(|event| is(&event.kind));
    let copied = at(&|kind| matches!(kind, Kind::JWrite { what: JBlock::Copy, .. })).unwrap();
    let ended = at(&|kind| matches!(kind, Kind::JWrite { what: JBlock::Commit, .. })).unwrap();
    let flushed = at(&|kind| matches!(kind, Kind::FlushDone { .. })).unwrap();
    let fua = at(&|kind| matches!(kind, Kind::Dispatched { cmd: Cmd::WriteFua, .. })).unwrap();
    assert!(copied < ended && ended < flushed && flushed < fua, "{copied} {ended} {flushed} {fua}");
}

type Truth = (&'static str, fn(Option<Sabotage>));

macro_rules! truths {
    ($($truth:ident)*) => {
        const TRUTHS: &[Truth] = &[$((stringify!($truth), $truth)),*];

        mod on_the_machine {
            $(#[test] fn $truth() { super::$truth(None); })*
        }
    };
}

truths! {
    a_killed_process_loses_its_buffer
    time_on_a_warm_device
    time_on_a_fresh_device
    an_overwrite_needs_no_commit
    an_append_needs_one
    within_a_tick_an_overwrite_and_its_fsync_make_no_commit
    a_directory_with_nothing_to_commit_sends_nothing
    two_fsyncs_share_one_commit
    an_o_dsync_write_leaves_the_other_pages_dirty
    a_failed_sync_is_told_once
    each_description_is_told
    a_drive_that_lies
    adjacent_pages_are_one_request
    a_flush_covers_what_was_completed
    garbage_collection_moves_data_and_loses_none
    a_cut_while_recovery_replays
    freed_metadata_is_not_replayed_over_data
    with_data_in_the_journal
    a_commit_goes_through_its_states
}

#[test]
fn each_planted_mistake_makes_a_truth_false() {
    for (mistake, truth) in [
        (Sabotage::FsyncWithoutCommit, "an_append_needs_one"),
        (Sabotage::NoFlushBeforeCommit, "a_commit_goes_through_its_states"),
        (Sabotage::PostflushSkipped, "an_append_needs_one"),
        (Sabotage::FuaDropped, "an_append_needs_one"),
        (Sabotage::FlushForgetsCache, "a_flush_covers_what_was_completed"),
        (Sabotage::CapacitorEmpty, "a_drive_that_lies"),
        (Sabotage::DsyncSyncsNothing, "an_o_dsync_write_leaves_the_other_pages_dirty"),
        (Sabotage::ErrorNotTold, "each_description_is_told"),
        (Sabotage::WritebackErrorKept, "a_failed_sync_is_told_once"),
        (Sabotage::GcLosesPage, "garbage_collection_moves_data_and_loses_none"),
        (Sabotage::ReplayIgnoresRevoke, "freed_metadata_is_not_replayed_over_data"),
        (Sabotage::RevokeForgotten, "freed_metadata_is_not_replayed_over_data"),
    ] {
        let (_, holds) = TRUTHS.iter().find(|(name, _)| *name == truth).unwrap();
        let held = catch_unwind(AssertUnwindSafe(|| holds(Some(mistake))));
        assert!(held.is_err(), "{truth} holds with {mistake:?}");
    }
}
