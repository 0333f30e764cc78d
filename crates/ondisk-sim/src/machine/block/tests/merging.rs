use super::*;

#[test]
fn what_lies_behind_or_before_the_last_plugged_joins_it() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    bench.write(A, 10, 2);
    bench.write(A, 12, 1);
    bench.write(A, 8, 2);
    bench.unplug(A);
    assert_eq!(bench.told(), [write(8, 5)]);
    assert_eq!(bench.merges(), [(2, 1, Join::Back), (3, 1, Join::Front)]);
    let bytes = |cargo: &Cargo| bench.cx.arena.bytes(cargo.content)[4];
    let order: Vec<u8> = bench.given[0].cargo.iter().map(bytes).collect();
    assert_eq!(order, [3, 3, 1, 1, 2], "each block is at its place");
}

#[test]
fn in_a_plug_the_last_request_alone_is_looked_at() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    for lba in [10, 50, 11] {
        bench.write(A, lba, 1);
    }
    bench.unplug(A);
    assert_eq!(bench.told(), [write(10, 1), write(50, 1), write(11, 1)]);
}

#[test]
fn nobody_joins_the_plug_of_another_task() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    bench.write(A, 10, 1);
    bench.write(B, 11, 1);
    bench.unplug(B);
    bench.unplug(A);
    assert_eq!(bench.told(), [write(11, 1), write(10, 1)]);
}

#[test]
fn a_plug_holds_32_requests() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    for n in 0..32 {
        bench.write(A, n * 10, 1);
    }
    assert!(bench.given.is_empty());
    bench.write(A, 1000, 1);
    assert_eq!(bench.given.len(), 32, "the 33rd drains it, and stays");
    bench.write(A, 1001, 1);
    bench.answer_all();
    bench.unplug(A);
    assert_eq!(bench.told(), [write(1000, 2)]);
}

#[test]
fn a_large_request_is_the_last_of_its_plug() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    bench.write(A, 0, 31);
    bench.write(A, 500, 1);
    assert!(bench.given.is_empty(), "124 KiB are not large");
    bench.write(A, 501, 31);
    bench.write(A, 532, 8);
    assert!(bench.given.is_empty(), "what joins it drains nothing");
    bench.write(A, 900, 1);
    assert_eq!(bench.told(), [write(0, 31), write(500, 40)]);
}

#[test]
fn a_request_is_no_larger_than_the_drive_takes() {
    let mut bench = Bench::with(Scheduler::MqDeadline, |config| config.block.largest = 4);
    bench.write(A, 0, 3);
    bench.write(A, 3, 1);
    bench.write(A, 4, 1);
    bench.unplug(A);
    assert_eq!(bench.told(), [write(0, 4), write(4, 1)]);
}

/// A scheduler whose drive is busy, so that what comes waits.
fn busy(scheduler: Scheduler) -> Bench {
    let mut bench = Bench::with(scheduler, |config| config.block.depth = 1);
    bench.write(A, 5000, 1);
    bench.unplug(A);
    bench
}

#[test]
fn what_waits_in_the_scheduler_is_joined_from_both_sides() {
    for scheduler in [Scheduler::MqDeadline, Scheduler::Bfq] {
        let mut bench = busy(scheduler);
        for lba in [20, 10] {
            bench.write(A, lba, 2);
            bench.unplug(A);
        }
        bench.write(A, 12, 7);
        assert_eq!(bench.merges(), [(4, 3, Join::Back)]);
        bench.write(A, 19, 1);
        // It fills the gap: the request behind goes over, bio by bio.
        let rest = [(5, 3, Join::Back), (2, 3, Join::Back)];
        assert_eq!(bench.merges()[1..], rest, "{scheduler:?}");
        bench.answer(0);
        assert_eq!(bench.told(), [write(10, 12)]);
        bench.answer(0);
        assert_eq!(bench.answers.len(), 5);
        assert_eq!(bench.block.pending(), 0);
    }
}

#[test]
fn a_front_merge_moves_the_request_and_may_close_a_gap() {
    let mut bench = busy(Scheduler::MqDeadline);
    bench.write(A, 10, 2);
    bench.unplug(A);
    bench.write(A, 20, 2);
    bench.unplug(A);
    bench.write(A, 13, 7);
    assert_eq!(bench.merges(), [(4, 3, Join::Front)]);
    bench.write(A, 12, 1);
    bench.answer(0);
    assert_eq!(bench.told(), [write(10, 12)]);
}

#[test]
fn a_plugged_request_joins_one_that_is_queued_when_it_leaves() {
    let mut bench = busy(Scheduler::MqDeadline);
    bench.write(B, 11, 1);
    bench.write(A, 10, 1);
    bench.unplug(A);
    bench.unplug(B);
    assert_eq!(bench.merges(), [(2, 3, Join::Back)]);
    bench.answer(0);
    assert_eq!(bench.told(), [write(10, 2)]);
}

#[test]
fn under_none_nothing_merges_outside_the_plug() {
    let mut bench = busy(Scheduler::None);
    for lba in [10, 11] {
        bench.write(A, lba, 1);
        bench.unplug(A);
    }
    assert!(bench.merges().is_empty());
    bench.answer(0);
    bench.answer(0);
    assert_eq!(bench.told(), [write(11, 1)]);
}

#[test]
fn reads_and_writes_do_not_mix() {
    let mut bench = busy(Scheduler::MqDeadline);
    bench.write(A, 10, 1);
    bench.unplug(A);
    bench.read(A, 11, 1);
    assert!(bench.merges().is_empty());
}

#[test]
fn under_bfq_tasks_do_not_mix() {
    let mut bench = busy(Scheduler::Bfq);
    for (task, lba) in [(A, 10), (B, 11)] {
        bench.write(task, lba, 1);
        bench.unplug(task);
    }
    assert!(bench.merges().is_empty());
    let mut bench = busy(Scheduler::MqDeadline);
    for (task, lba) in [(A, 10), (B, 11)] {
        bench.write(task, lba, 1);
        bench.unplug(task);
    }
    assert_eq!(bench.merges().len(), 1, "mq-deadline does not care");
}

#[test]
fn a_read_is_not_held_back_and_takes_what_is_plugged_along() {
    let mut bench = Bench::with(Scheduler::None, |_| {});
    bench.write(A, 10, 1);
    bench.read(A, 90, 1);
    assert_eq!(bench.told(), [write(10, 1), (Cmd::Read, 90, 1)]);
}

/// Whether a commit block that flushes and is durable stays alone, beside its journal.
fn commit_block_stays_alone(sabotage: Option<Sabotage>) -> bool {
    [Scheduler::None, Scheduler::MqDeadline].into_iter().all(|scheduler| {
        let mut bench = Bench::with(scheduler, |config| config.sabotage = sabotage);
        bench.write(A, 10, 3);
        let bio = bench.bio(A, BioWhat::Write, 13, 1);
        bench.submit(Bio { preflush: true, fua: true, ..bio });
        bench.write(A, 14, 1);
        bench.unplug(A);
        let order = bench.answer_all();
        bench.merges().is_empty() && order.contains(&(Cmd::WriteFua, 13, 1))
    })
}

#[test]
fn nothing_joins_what_flushes_and_it_joins_nothing() {
    assert!(commit_block_stays_alone(None));
    assert!(!commit_block_stays_alone(Some(Sabotage::MergeIntoFlush)), "the canary lives");
}

#[test]
fn splits_and_merges_keep_every_block_at_its_place() {
    for scheduler in [Scheduler::None, Scheduler::MqDeadline, Scheduler::Bfq] {
        let mut bench = Bench::with(scheduler, |config| {
            (config.block.depth, config.block.queue, config.block.largest) = (3, 9, 7);
        });
        let mut chance = crate::machine::choice::Stream::new(scheduler as u64);
        let mut draw = |n| chance.below(Number::Block, n);
        let mut wanted = 0;
        for _ in 0..3000 {
            match draw(4) {
                0 | 1 => {
                    let (lba, count) = (draw(60), 1 + draw(12));
                    bench.write(TaskId(draw(3)), lba, usize::try_from(count).unwrap());
                    wanted += u64::from(count);
                }
                2 => bench.unplug(TaskId(draw(3))),
                _ => wanted -= answer_checked(&mut bench, &mut draw),
            }
        }
        (0..3).for_each(|task| bench.unplug(TaskId(task)));
        while bench.block.pending() > 0 {
            let idle = bench.given.is_empty();
            wanted -= answer_checked(&mut bench, &mut draw);
            assert!(!idle || !bench.given.is_empty(), "{scheduler:?} is stuck");
        }
        assert_eq!(wanted, 0, "{scheduler:?}: every block was written once");
        assert_eq!(bench.answers.len(), bench.bios as usize);
    }
}

/// The drive answers one of its commands, if it has one; how many blocks that were.
fn answer_checked(bench: &mut Bench, draw: &mut impl FnMut(u32) -> u32) -> u64 {
    if bench.given.is_empty() {
        bench.wait_until(bench.cx.now + bfq::SLICE_IDLE);
        return 0;
    }
    let at = draw(u32::try_from(bench.given.len()).unwrap());
    let req = bench.answer(usize::try_from(at).unwrap());
    for (n, cargo) in (0..).zip(&req.cargo) {
        let bytes = bench.cx.arena.bytes(cargo.content);
        let word = u64::from_le_bytes(bytes[..8].try_into().unwrap());
        let bio = u32::try_from(word >> 32).unwrap();
        let own = u32::try_from(word & 0xFFFF_FFFF).unwrap();
        let submitted = bench.events.iter().find_map(|event| match event.kind {
            Kind::Bio { bio: id, lba, .. } if id.0 == bio => Some(lba.0),
            _ => None,
        });
        assert_eq!(submitted.unwrap() + own, req.lba.0 + n);
    }
    req.cargo.len() as u64
}
