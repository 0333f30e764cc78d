use super::*;

/// A bench whose drive takes one command at a time and has one, far up or at the bottom.
fn busy(scheduler: Scheduler, sabotage: Option<Sabotage>) -> Bench {
    let mut bench = Bench::with(scheduler, |config| {
        (config.block.depth, config.sabotage) = (1, sabotage);
    });
    bench.write(TaskId(9), 1, 1);
    bench.unplug(TaskId(9));
    bench
}

fn order(bench: &mut Bench) -> Vec<(char, u32)> {
    let all = bench.answer_all();
    let letter = |cmd| if cmd == Cmd::Read { 'r' } else { 'w' };
    all.into_iter().skip(1).map(|(cmd, lba, _)| (letter(cmd), lba)).collect()
}

fn writes(bench: &mut Bench, task: TaskId, lbas: impl IntoIterator<Item = u32>) {
    for lba in lbas {
        bench.write(task, lba, 1);
        bench.unplug(task);
    }
}

#[test]
fn deadline_goes_upwards_and_then_begins_with_the_oldest() {
    let mut bench = busy(Scheduler::MqDeadline, None);
    bench.answer(0);
    writes(&mut bench, A, [500]);
    writes(&mut bench, A, [300, 700, 100, 600]);
    let lbas: Vec<u32> = bench.answer_all().into_iter().map(|(_, lba, _)| lba).collect();
    assert_eq!(lbas, [500, 600, 700, 300, 100], "nothing above 700: the oldest, then upwards");
}

#[test]
fn deadline_prefers_reads_unless_writes_waited_two_turns() {
    let mut bench = busy(Scheduler::MqDeadline, None);
    writes(&mut bench, A, [10, 20]);
    for lba in [900, 800, 700, 600] {
        bench.read(B, lba, 1);
    }
    let want = [('w', 10), ('w', 20), ('r', 600), ('r', 700), ('r', 800), ('r', 900)];
    assert_eq!(order(&mut bench), want, "the batch of writes goes on upwards first");

    let mut bench = busy(Scheduler::MqDeadline, None);
    bench.answer(0);
    bench.read(B, 990, 1);
    // Descending: every read begins a batch of its own.
    for lba in [900, 800, 700, 600] {
        bench.read(B, lba, 1);
    }
    writes(&mut bench, A, [10, 20]);
    let want = [('r', 900), ('r', 800), ('w', 10), ('w', 20), ('r', 700), ('r', 600)];
    assert_eq!(order(&mut bench), want, "two turns of reads, then the writes");
}

#[test]
fn a_batch_has_sixteen() {
    let mut bench = busy(Scheduler::MqDeadline, None);
    writes(&mut bench, A, (0..20).map(|n| 100 + 10 * n));
    bench.read(B, 5000, 1);
    let order = order(&mut bench);
    // The one that kept the drive busy was the first of the batch.
    let at = order.iter().position(|(what, _)| *what == 'r').unwrap();
    assert_eq!(at, usize::try_from(deadline::FIFO_BATCH).unwrap() - 1);
    assert_eq!(order.len(), 21);
}

/// The oldest is the lowest, and others come above for ever: where does it stand in the order?
fn place_of_the_expired(sabotage: Option<Sabotage>) -> usize {
    let mut bench = busy(Scheduler::MqDeadline, sabotage);
    bench.answer(0);
    writes(&mut bench, A, [1000]);
    writes(&mut bench, A, [10]);
    bench.wait_until(bench.cx.now + deadline::WRITE_EXPIRE);
    writes(&mut bench, B, (0..40).map(|n| 2000 + 10 * n));
    let lbas: Vec<u32> = bench.answer_all().into_iter().map(|(_, lba, _)| lba).collect();
    lbas.iter().position(|lba| *lba == 10).unwrap()
}

#[test]
fn who_expired_goes_first_in_the_next_batch() {
    // Two of the first batch were with the drive before, one of them before all.
    assert_eq!(place_of_the_expired(None), 15);
    let canary = place_of_the_expired(Some(Sabotage::DeadlineIgnoresExpiry));
    assert_eq!(canary, 41, "the canary lives: it comes last");
}

#[test]
fn reads_expire_sooner_than_writes() {
    let mut bench = busy(Scheduler::MqDeadline, None);
    bench.answer(0);
    bench.read(B, 1000, 1);
    bench.read(B, 10, 1);
    bench.wait_until(bench.cx.now + deadline::READ_EXPIRE);
    for n in 0..20 {
        bench.read(B, 2000 + 10 * n, 1);
    }
    let lbas: Vec<u32> = bench.answer_all().into_iter().map(|(_, lba, _)| lba).collect();
    assert_eq!(lbas.iter().position(|lba| *lba == 10), Some(16));
}

#[test]
fn two_that_become_one_are_as_old_as_the_older() {
    let mut bench = busy(Scheduler::MqDeadline, None);
    writes(&mut bench, A, [2000, 12, 1000, 10]);
    // Fills the gap between 10 and 12: the younger takes in the older.
    writes(&mut bench, A, [11]);
    bench.wait_until(bench.cx.now + deadline::WRITE_EXPIRE);
    writes(&mut bench, B, (0..20).map(|n| 3000 + 10 * n));
    let waiting: Vec<u32> = match &bench.block.order {
        Order::Deadline(deadline) => deadline.waiting().map(|rq| bench.block.rqs[rq].lba).collect(),
        _ => panic!("another scheduler"),
    };
    assert_eq!(waiting[..3], [2000, 10, 1000]);
}

fn bfq() -> Bench {
    busy(Scheduler::Bfq, None)
}

/// Answers and waits until all is done; which commands, in order.
fn drive_all(bench: &mut Bench) -> Vec<u32> {
    let mut lbas = Vec::new();
    while bench.block.pending() > 0 {
        match bench.given.is_empty() {
            true => bench.wait_until(bench.block.next_tick().unwrap()),
            false => lbas.push(bench.answer(0).lba.0),
        }
    }
    lbas
}

#[test]
fn bfq_serves_one_queue_until_it_is_empty() {
    let mut bench = bfq();
    for n in 0..4 {
        writes(&mut bench, A, [1000 + 10 * n]);
        writes(&mut bench, B, [5000 + 10 * n]);
    }
    let lbas = drive_all(&mut bench);
    assert_eq!(lbas, [1, 1000, 1010, 1020, 1030, 5000, 5010, 5020, 5030]);
}

#[test]
fn bfq_waits_a_little_for_who_waits() {
    let mut bench = bfq();
    writes(&mut bench, B, [5000]);
    bench.answer(0);
    assert!(bench.given.is_empty(), "the queue that is served may send more");
    let idle = bench.block.next_tick().unwrap();
    assert_eq!(idle, bench.cx.now + bfq::SLICE_IDLE);
    writes(&mut bench, TaskId(9), [2]);
    assert_eq!(bench.told(), [write(2, 1)], "it did, in time");
    assert_eq!(bench.block.next_tick(), None);
    bench.answer(0);
    bench.wait_until(bench.block.next_tick().unwrap());
    assert_eq!(bench.told(), [write(5000, 1)], "it did not");
}

#[test]
fn bfq_waits_for_nobody_who_does_not_wait() {
    let mut bench = Bench::with(Scheduler::Bfq, |config| config.block.depth = 1);
    let bio = bench.bio(A, BioWhat::Write, 10, 1);
    bench.submit(bio);
    bench.unplug(A);
    writes(&mut bench, B, [20]);
    bench.answer(0);
    assert_eq!(bench.told(), [write(20, 1)]);
}

#[test]
fn a_budget_ends_a_turn() {
    let mut bench = Bench::with(Scheduler::Bfq, |config| {
        (config.block.depth, config.block.largest, config.block.queue) = (1, 512, 64);
    });
    // 512 blocks are 4096 sectors: four of them are a budget.
    for n in 0..6 {
        bench.write(A, 10_000 + 600 * n, 512);
        bench.unplug(A);
    }
    writes(&mut bench, B, [5]);
    let lbas = drive_all(&mut bench);
    let at = lbas.iter().position(|lba| *lba == 5).unwrap();
    assert_eq!(at, usize::try_from(bfq::BUDGET).unwrap() / 4096);
}

#[test]
fn time_ends_a_turn() {
    let mut bench = Bench::with(Scheduler::Bfq, |config| config.block.depth = 1);
    writes(&mut bench, A, (0..10).map(|n| 100 + 10 * n));
    writes(&mut bench, B, [5]);
    bench.answer(0);
    bench.wait_until(bench.cx.now + bfq::TIMEOUT);
    bench.answer(0);
    assert_eq!(bench.told(), [write(5, 1)]);
}

#[test]
fn who_had_little_comes_before_who_had_much() {
    let mut bench = Bench::with(Scheduler::Bfq, |config| {
        (config.block.depth, config.block.largest) = (1, 512);
    });
    // A has a whole budget behind it, B one block.
    for n in 0..5 {
        bench.write(A, 10_000 + 600 * n, 512);
        bench.unplug(A);
    }
    writes(&mut bench, B, [5]);
    (0..4).for_each(|_| drop(bench.answer(0)));
    assert_eq!(bench.told(), [write(5, 1)]);
    // C comes; A's next turn starts a budget later than C's.
    writes(&mut bench, TaskId(3), [7]);
    bench.answer(0);
    bench.wait_until(bench.block.next_tick().unwrap());
    assert_eq!(bench.told(), [write(7, 1)]);
}

#[test]
fn the_oldest_of_a_queue_goes_first_once_a_turn_when_it_expired() {
    let mut bench = bfq();
    writes(&mut bench, A, [5000, 4000, 3000, 8000]);
    bench.wait_until(bench.cx.now + bfq::SYNC_EXPIRE);
    let lbas = drive_all(&mut bench);
    // 5000 expired. 3000, next in age, did too, but once is enough: the nearest from there on,
    // and what lies behind counts twice.
    assert_eq!(lbas, [1, 5000, 4000, 3000, 8000]);
}

#[test]
fn the_same_calls_give_the_same_events() {
    for scheduler in [Scheduler::None, Scheduler::MqDeadline, Scheduler::Bfq] {
        let run = || {
            let mut bench = busy(scheduler, None);
            writes(&mut bench, A, [7, 3, 9, 4, 8]);
            bench.flush(B);
            drive_all(&mut bench);
            bench.events
        };
        assert_eq!(run(), run());
    }
}
