use super::*;

const GOLDEN: &str = include_str!("golden.jsonl");
const PAGE: &str = include_str!("../../../../../../docs/format/timeline.md");

/// A write of three bytes, its fsync as far as the drive, and a cut.
fn story() -> Events {
    let mut events = Events::new(0);
    let (ino, page, count, lba) = (Ino(12), 0, 1, Lba(2048));
    let (task, rq, bio, tid) = (TaskId(1), RqId(1), BioId(1), Tid(1));
    events.push(Layer::Buffer, Kind::Buffered { task, file: 0, held: 3, len: 3 });
    events.push(Layer::Buffer, Kind::Spilled { task, file: 0, len: 3 });
    events.version(12, 0, b"ABC");
    let kinds = [
        (Layer::PageCache, Kind::Dirtied { ino, page }),
        (Layer::Fs, Kind::Handle { tid, why: HandleFor::Length, ino }),
        (Layer::PageCache, Kind::WbStart { ino, page, count }),
        (Layer::Block, Kind::Plugged { bio, rq, task }),
        (Layer::Block, Kind::Dispatched { rq, cmd: Cmd::Write, slot: 0, lba, count }),
        (Layer::Ssd, Kind::CacheIn { lba }),
        (Layer::Block, Kind::RqDone { rq, ok: true }),
        (Layer::PageCache, Kind::WbDone { ino, page, count }),
        (Layer::Fs, Kind::TxnState { tid, from: Txn::Running, to: Txn::Locked }),
    ];
    kinds.into_iter().for_each(|(layer, kind)| events.push(layer, kind));
    events.version(12, 1, &[b'x'; 2000]);
    events.push(Layer::PageCache, Kind::Dirtied { ino, page: 1 });
    events.ver = PageVer(0);
    events.push(Layer::World, Kind::Cut);
    events
}

fn recorded() -> String {
    let events = story();
    let config = [("fs", "ext4"), ("scheduler", "none")];
    let header = Header {
        seed: 7,
        config: config.map(|(name, value)| (name.into(), value.into())).to_vec(),
        script: "write f \"ABC\"\nfsync f\ncut".into(),
    };
    let mut recorder = Recorder::new(&header);
    for event in &events.all {
        let why = if matches!(event.kind, Kind::TxnState { .. }) { "fsync needs it" } else { "" };
        recorder.event(event, &events.arena, why);
    }
    recorder.finish()
}

#[test]
fn the_bytes_are_those_of_the_format() {
    assert_eq!(recorded(), GOLDEN, "is now:\n{}", recorded());
}

#[test]
fn the_page_of_the_format_shows_them() {
    assert!(PAGE.contains(&format!("```text\n{GOLDEN}```\n")), "the example is another");
    let key = "{\"key\":256,\"cells\":{\"page/7/0-255\":\"D1+\"}}\n";
    assert!(PAGE.contains(key), "the key line is another");
    let mut events = Events::new(0);
    for page in 0..256 {
        events.version(7, page, b"x");
        events.push(Layer::PageCache, Kind::Dirtied { ino: Ino(7), page });
    }
    assert!(events.record().contains(key));
    for place in Place::ALL {
        assert!(PAGE.contains(&format!("`{}/", place.name())), "{}", place.name());
    }
}

#[test]
fn an_old_timeline_is_read() {
    let mut timeline = read(GOLDEN).unwrap();
    assert_eq!(timeline.header().script.lines().count(), 3);
    assert_eq!(timeline.len(), 13);
    assert_eq!(timeline.blob(1).unwrap().bytes, b"ABC");
    let long = timeline.blob(2).unwrap();
    assert_eq!((long.len, long.bytes.len()), (2000, 64));
    timeline.seek(12);
    let page = |n| timeline.get(Cell::two(Place::Page, 12, n)).to_string();
    assert_eq!([page(0), page(1)], ["C1", "D2"]);
    assert_eq!(timeline.get(Cell::one(Place::Lba, 2048)).to_string(), "V1");
    assert_eq!(timeline.get(Cell::one(Place::Jbd, 1)).to_string(), "locked");
    timeline.seek(13);
    assert!(now(&timeline).is_empty(), "the cut took all: nothing was flushed");
}

#[test]
fn writers_of_one_cell_are_told_apart() {
    // A newer version in the drive's cache is not made safe by an older one.
    let mut events = Events::new(0);
    let (lba, ppa) = (Lba(5), Ppa { block: 0, page: 0 });
    let rung = Rung::Durable;
    events.version(7, 0, b"one");
    events.push(Layer::Ssd, Kind::CacheIn { lba });
    events.version(7, 0, b"two");
    events.push(Layer::Ssd, Kind::CacheIn { lba });
    events.ver = PageVer(1);
    events.push(Layer::Ssd, Kind::Mapped { lba, ppa });
    events.push(Layer::Ssd, Kind::Settled { lba, rung });
    events.push(Layer::World, Kind::Cut);
    let mut timeline = read(&events.record()).unwrap();
    timeline.seek(4);
    assert_eq!(timeline.get(Cell::one(Place::Lba, 5)).to_string(), "V2");
    timeline.seek(5);
    assert_eq!(timeline.get(Cell::one(Place::Lba, 5)).to_string(), "S1");
    assert_eq!(timeline.get(Cell::two(Place::Nand, 0, 0)).to_string(), "M1");
}
