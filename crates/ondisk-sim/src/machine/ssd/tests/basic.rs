//! One command after the other.

use super::super::super::choice::{Choice, Chooser, First, Last};
use super::super::super::digest::Digest;
use super::*;
use crate::machine::Death;
use ondisk_fs::Rung;

#[test]
fn a_write_goes_through_cache_and_flash() {
    let mut host = Host::new(&DriveConfig::default());
    let rq = host.write(Cmd::Write, 5, &[1, 2]);
    assert_eq!(host.wait(rq), Ns(12_000));
    host.idle();
    assert_eq!(host.cx.now, Ns(612_000));
    let (five, six) = (Lba(5), Lba(6));
    let (first, second) = (Ppa::default(), Ppa { block: 0, page: 1 });
    let device = |lba| Kind::Settled { lba, rung: Rung::Device };
    let durable = |lba| Kind::Settled { lba, rung: Rung::Durable };
    let expected = [
        Kind::CacheIn { lba: five },
        device(five),
        Kind::CacheIn { lba: six },
        device(six),
        Kind::Programmed { lba: five, ppa: first },
        Kind::Mapped { lba: five, ppa: first },
        durable(five),
        Kind::Programmed { lba: six, ppa: second },
        Kind::Mapped { lba: six, ppa: second },
        durable(six),
    ];
    assert_eq!(host.kinds(), expected);
    let vers: Vec<u32> = host.cx.events.iter().map(|event| event.ver.0).collect();
    assert_eq!(vers, [1, 1, 2, 2, 1, 1, 1, 2, 2, 2]);
    let causes: Vec<u32> = host.cx.events.iter().map(|event| event.cause.0).collect();
    assert_eq!(causes, [0, 1, 0, 3, 1, 5, 6, 3, 8, 9]);
}

#[test]
fn a_flush_waits_for_what_was_there_and_drains() {
    let mut host = Host::new(&DriveConfig::default());
    let rq = host.write(Cmd::Write, 0, &[1, 2, 3, 4, 5]);
    host.wait(rq);
    let flush = host.flush();
    let later = host.write(Cmd::Write, 9, &[6]);
    host.wait(later);
    assert!(!host.is_done(flush));
    // Five pages on four channels take two turns.
    assert_eq!(host.wait(flush), Ns(15_000 + 1_200_000 + 50_000));
    let empty = host.flush();
    assert!(host.wait(empty) >= Ns(50_000));
}

#[test]
fn fua_is_answered_from_flash_and_goes_first() {
    let config = DriveConfig { channels: 1, ..DriveConfig::default() };
    let mut host = Host::new(&config);
    let rq = host.write(Cmd::Write, 0, &[1, 2, 3]);
    host.wait(rq);
    let fua = host.write(Cmd::WriteFua, 9, &[9]);
    assert_eq!(host.wait(fua), Ns(13_000 + 1_200_000));
    assert_ne!(host.ssd.peek(Lba(9)), BlockId::ZERO);
    assert_eq!(host.ssd.peek(Lba(2)), BlockId::ZERO);
}

#[test]
fn a_rewritten_block_is_programmed_once() {
    let config = DriveConfig { channels: 1, ..DriveConfig::default() };
    let mut host = Host::new(&config);
    let rq = host.write(Cmd::Write, 0, &[1, 2]);
    host.wait(rq);
    let again = host.write(Cmd::Write, 0, &[3, 4]);
    host.wait(again);
    host.idle();
    // The first was being programmed; the second was replaced.
    assert_eq!(host.ssd.counters().programmed, 3);
    assert_eq!(host.ssd.counters().replaced, 1);
    assert_eq!(value(&host.cx.arena, host.ssd.peek(Lba(0))), 3);
    assert_eq!(value(&host.cx.arena, host.ssd.peek(Lba(1))), 4);
}

#[test]
fn a_read_gives_the_newest_from_cache_or_flash() {
    let mut host = Host::new(&DriveConfig::default());
    let rq = host.write(Cmd::Write, 0, &[1, 2]);
    host.wait(rq);
    host.idle();
    let rq = host.write(Cmd::Write, 1, &[7]);
    let started = host.wait(rq);
    let rq = host.send(Cmd::Read, 0, vec![Cargo::default(); 3]);
    let took = host.wait(rq);
    assert_eq!(took, Ns(started.0 + 13_000 + 60_000));
    let read = host.done.last().unwrap().cargo.clone();
    let values: Vec<u64> = read.iter().map(|c| value(&host.cx.arena, c.content)).collect();
    assert_eq!(values, [1, 7, 0]);
}

#[test]
fn a_full_cache_holds_writes_back() {
    let config = DriveConfig { cache_blocks: 2, channels: 1, ..DriveConfig::default() };
    let mut host = Host::new(&config);
    let rq = host.write(Cmd::Write, 0, &[1, 2, 3, 4]);
    // Two are in at once; one more each time one is programmed.
    assert_eq!(host.wait(rq), Ns(14_000 + 1_200_000));
    host.idle();
    assert_eq!(value(&host.cx.arena, host.ssd.peek(Lba(3))), 4);
}

#[test]
fn commands_beyond_the_end_and_ordered_failures_fail() {
    let mut host = Host::new(&small());
    let rq = host.write(Cmd::Write, 23, &[1, 2]);
    host.wait(rq);
    assert_eq!(host.done[0].result, Err(crate::machine::Errno::Io));
    host.idle();
    assert!(host.cx.events.is_empty());
    let content = host.content(3);
    let req = SsdReq {
        rq: RqId(9),
        slot: 0,
        op: OpId(1),
        cmd: Cmd::Write,
        lba: Lba(0),
        cargo: vec![Cargo { content, ver: PageVer(0) }],
        fail: Some(crate::machine::Errno::Nospc),
    };
    host.ssd.accept(&mut host.cx, req);
    host.wait(RqId(9));
    assert_eq!(host.done[1].result, Err(crate::machine::Errno::Nospc));
    assert_eq!(host.ssd.peek(Lba(0)), BlockId::ZERO);
}

#[test]
fn more_commands_than_slots_are_all_answered() {
    let mut host = Host::new(&DriveConfig::default());
    let rqs: Vec<RqId> = (0..200).map(|lba| host.write(Cmd::Write, lba, &[1])).collect();
    host.idle();
    assert!(rqs.iter().all(|rq| host.is_done(*rq)));
}

/// What a power cut right after the answers to a write, a FLUSH and another write leaves.
fn after_cut(config: &DriveConfig, last: bool) -> (u64, u64) {
    let mut host = Host::new(config);
    let rq = host.write(Cmd::Write, 0, &[1]);
    host.wait(rq);
    let rq = host.flush();
    host.wait(rq);
    let rq = host.write(Cmd::Write, 1, &[2]);
    host.wait(rq);
    let Host { mut cx, mut ssd, .. } = host;
    match last {
        true => ssd.power_cut(Death::Cut, &mut cx.arena, &mut Last),
        false => ssd.power_cut(Death::Cut, &mut cx.arena, &mut First),
    }
    (value(&cx.arena, ssd.peek(Lba(0))), value(&cx.arena, ssd.peek(Lba(1))))
}

#[test]
fn each_kind_of_cache_keeps_what_it_promises() {
    let with = |cache, flush| DriveConfig { cache, flush, ..DriveConfig::default() };
    let volatile = with(DriveCache::Volatile, FlushIs::Honest);
    assert_eq!((after_cut(&volatile, false), after_cut(&volatile, true)), ((1, 0), (1, 2)));
    let lies = with(DriveCache::Volatile, FlushIs::Lies);
    assert_eq!((after_cut(&lies, false), after_cut(&lies, true)), ((0, 0), (1, 2)));
    let capacitor = with(DriveCache::Capacitor, FlushIs::Honest);
    assert_eq!(after_cut(&capacitor, false), (1, 2));
    let none = with(DriveCache::None, FlushIs::Honest);
    assert_eq!(after_cut(&none, false), (1, 2));
}

#[test]
fn a_drive_is_formatted_with_blocks() {
    let config = DriveConfig::default();
    let mut arena = Arena::new();
    let content = arena.put(&[7; ondisk_fs::BLOCK]);
    let blocks: Vec<_> = (0..100).map(|lba| (Lba(3 * lba), content)).collect();
    let flash = Flash::format(&config, &blocks);
    let ssd = Ssd::new(&config, flash.clone());
    for lba in 0..300 {
        let expected = if lba % 3 == 0 { content } else { BlockId::ZERO };
        assert_eq!(flash.peek(Lba(lba)), expected);
        assert_eq!(ssd.peek(Lba(lba)), expected);
    }
    assert_eq!(flash.peek(Lba(u32::MAX)), BlockId::ZERO);
}

/// Asked whether a block is torn, it says where.
struct Tears(u32);

impl Chooser for Tears {
    fn pick(&mut self, at: Choice, answers: u32) -> u32 {
        assert_eq!((at, answers), (Choice::Torn(Lba(0)), 9));
        self.0
    }
}

#[test]
fn a_block_that_was_being_written_is_torn_at_a_sector() {
    let config = DriveConfig { torn: true, ..DriveConfig::default() };
    let mut host = Host::new(&config);
    let rq = host.write(Cmd::WriteFua, 0, &[1]);
    host.wait(rq);
    let rq = host.write(Cmd::Write, 0, &[2]);
    host.wait(rq);
    for sectors in 0..=8 {
        let mut arena = host.cx.arena.clone();
        let flash = host.ssd.left_by(Death::Cut, &mut arena, &mut Tears(sectors));
        let bytes = arena.bytes(Ssd::new(&config, flash).peek(Lba(0)));
        let new = bytes.chunks_exact(8).filter(|chunk| chunk[0] == 2).count();
        assert_eq!(new, sectors as usize * 64);
        assert!(bytes.chunks_exact(8).is_sorted_by_key(|chunk| chunk[0] == 1));
    }
}

#[test]
fn damage_is_put_where_a_read_finds_it() {
    let config = DriveConfig::default();
    let mut arena = Arena::new();
    let [good, bad] = [1, 2].map(|byte| arena.put(&[byte; ondisk_fs::BLOCK]));
    let mut flash = Flash::format(&config, &[(Lba(3), good)]);
    for lba in [Lba(3), Lba(4)] {
        flash.poke(lba, bad);
        assert_eq!((flash.peek(lba), Ssd::new(&config, flash.clone()).peek(lba)), (bad, bad));
    }
    flash.poke(Lba(config.blocks), bad);
    assert_eq!(flash.peek(Lba(config.blocks)), BlockId::ZERO);
}

/// Two machines that went the same way agree, and one that wrote something else does not.
#[test]
fn a_digest_tells_drives_apart() {
    let digest = |value| {
        let mut host = Host::new(&small());
        let rq = host.write(Cmd::Write, 0, &[value, 5]);
        host.wait(rq);
        let mut digest = Digest::default();
        host.ssd.digest(&host.cx.arena, &mut digest);
        digest
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn a_flush_is_answered_though_what_it_waits_for_is_replaced() {
    let config = DriveConfig { channels: 1, ..DriveConfig::default() };
    let mut host = Host::new(&config);
    let rq = host.write(Cmd::Write, 0, &[1, 2]);
    host.wait(rq);
    let flush = host.flush();
    let again = host.write(Cmd::Write, 1, &[3]);
    host.wait(again);
    assert!(!host.is_done(flush));
    host.wait(flush);
    assert_eq!(value(&host.cx.arena, host.ssd.peek(Lba(1))), 3);
}
