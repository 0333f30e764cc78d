use super::*;

const FLUSH: (Cmd, u32, u32) = (Cmd::Flush, 0, 0);

fn bench(link: Link, cache: DriveCache) -> Bench {
    Bench::with(Scheduler::None, |config| {
        config.drive.link = link;
        config.drive.cache = cache;
    })
}

fn commit(bench: &mut Bench, task: TaskId, lba: u32) -> BioId {
    let bio = bench.bio(task, BioWhat::Write, lba, 1);
    bench.submit(Bio { preflush: true, fua: true, ..bio })
}

#[test]
fn with_fua_a_flush_comes_before_and_the_write_is_durable() {
    let mut bench = bench(Link::Nvme, DriveCache::Volatile);
    let bio = commit(&mut bench, A, 7);
    assert_eq!(bench.told(), [FLUSH]);
    bench.answer(0);
    assert_eq!(bench.told(), [(Cmd::WriteFua, 7, 1)]);
    bench.answer(0);
    assert_eq!(bench.answers, [(bio, Ok(()))]);
    assert!(bench.given.is_empty());
    let flushes =
        |event: &&Event| matches!(event.kind, Kind::FlushStart { .. } | Kind::FlushDone { .. });
    assert_eq!(bench.events.iter().filter(flushes).count(), 2);
}

#[test]
fn the_write_is_due_to_the_flush_before_it() {
    let mut bench = bench(Link::Nvme, DriveCache::Volatile);
    commit(&mut bench, A, 7);
    bench.answer_all();
    let of =
        |wanted: fn(&Kind) -> bool| *bench.events.iter().find(|event| wanted(&event.kind)).unwrap();
    let done = of(|kind| matches!(kind, Kind::FlushDone { .. }));
    let written = of(|kind| matches!(kind, Kind::Dispatched { cmd: Cmd::WriteFua, .. }));
    assert_eq!(written.cause, done.id);
}

#[test]
fn without_fua_a_flush_comes_before_and_another_after() {
    let mut bench = bench(Link::Sata, DriveCache::Volatile);
    let bio = commit(&mut bench, A, 7);
    bench.answer(0);
    assert_eq!(bench.told(), [write(7, 1)]);
    bench.answer(0);
    assert_eq!(bench.told(), [FLUSH]);
    assert!(!bench.is_answered(bio), "not before it is durable");
    bench.answer(0);
    assert!(bench.is_answered(bio));
}

#[test]
fn fua_alone_is_a_bit_or_a_flush_after() {
    for (link, want) in
        [(Link::Nvme, vec![(Cmd::WriteFua, 7, 1)]), (Link::Sata, vec![write(7, 1), FLUSH])]
    {
        let mut bench = bench(link, DriveCache::Volatile);
        let bio = bench.bio(A, BioWhat::Write, 7, 1);
        bench.submit(Bio { fua: true, ..bio });
        assert_eq!(bench.answer_all(), want, "{link:?}, and no plug held it back");
        assert_eq!(bench.answers.len(), 1);
    }
}

#[test]
fn a_drive_without_a_cache_is_not_flushed_and_one_with_capacitors_is() {
    let mut bare = bench(Link::Sata, DriveCache::None);
    let flush = bare.flush(A);
    assert!(bare.is_answered(flush), "at once");
    commit(&mut bare, A, 7);
    bare.unplug(A);
    assert_eq!(bare.answer_all(), [write(7, 1)]);
    let mut capacitor = bench(Link::Nvme, DriveCache::Capacitor);
    capacitor.flush(A);
    assert_eq!(capacitor.told(), [FLUSH]);
}

#[test]
fn a_flush_goes_past_the_scheduler_and_orders_nothing() {
    for scheduler in [Scheduler::None, Scheduler::MqDeadline, Scheduler::Bfq] {
        let mut bench = Bench::with(scheduler, |config| config.block.depth = 2);
        for lba in [10, 20, 30] {
            bench.write(A, lba, 1);
        }
        bench.unplug(A);
        bench.write(B, 40, 1);
        bench.flush(A);
        bench.answer(0);
        assert_eq!(bench.told(), [write(20, 1), FLUSH], "before those that waited");
        bench.answer(1);
        assert_eq!(bench.told(), [write(20, 1), write(30, 1)]);
    }
}

#[test]
fn one_flush_is_on_its_way_and_all_that_wait_share_the_next() {
    let mut bench = bench(Link::Nvme, DriveCache::Volatile);
    let first = bench.flush(A);
    let others = [bench.flush(B), commit(&mut bench, TaskId(3), 5), bench.flush(A)];
    assert_eq!(bench.told(), [FLUSH], "one at a time");
    bench.answer(0);
    assert_eq!(bench.answers, [(first, Ok(()))]);
    assert_eq!(bench.told(), [FLUSH], "one for the three");
    bench.answer(0);
    assert!(bench.is_answered(others[0]) && bench.is_answered(others[2]));
    assert_eq!(bench.told(), [(Cmd::WriteFua, 5, 1)]);
    bench.answer(0);
    assert_eq!(bench.answers.len(), 4);
}

#[test]
fn a_flush_is_held_while_data_of_the_like_are_on_their_way() {
    let mut bench = bench(Link::Sata, DriveCache::Volatile);
    commit(&mut bench, A, 5);
    bench.answer(0);
    assert_eq!(bench.told(), [write(5, 1)]);
    bench.flush(B);
    assert_eq!(bench.told(), [write(5, 1)], "C2: it is held");
    bench.answer(0);
    assert_eq!(bench.told(), [FLUSH], "and shared with the flush after the data");
    bench.answer(0);
    assert_eq!(bench.answers.len(), 2);
}

#[test]
fn a_flush_is_held_for_five_seconds_at_most() {
    let mut bench = bench(Link::Sata, DriveCache::Volatile);
    commit(&mut bench, A, 5);
    bench.answer(0);
    bench.flush(B);
    bench.wait_until(bench.cx.now + Ns::S.times(5));
    assert_eq!(bench.told(), [write(5, 1)], "it is looked at when something happens");
    bench.flush(B);
    assert_eq!(bench.told(), [write(5, 1), FLUSH]);
}

#[test]
fn a_flush_that_fails_fails_all_who_share_it() {
    let mut bench = bench(Link::Nvme, DriveCache::Volatile);
    bench.flush(A);
    let bio = bench.bio(A, BioWhat::Flush, 0, 0);
    let own = bench.submit(Bio { fail: Some(Errno::Io), ..bio });
    let other = commit(&mut bench, B, 7);
    bench.answer(0);
    bench.answer(0);
    assert_eq!(bench.answers[1..], [(own, Err(Errno::Io)), (other, Err(Errno::Io))]);
    assert!(bench.given.is_empty());
    let next = bench.flush(A);
    bench.answer(0);
    assert_eq!(bench.answers[3], (next, Ok(())), "the next is not stuck");
}

#[test]
fn data_that_fail_are_not_flushed_after() {
    let mut bench = bench(Link::Sata, DriveCache::Volatile);
    let bio = bench.bio(A, BioWhat::Write, 7, 1);
    let bio = bench.submit(Bio { preflush: true, fua: true, fail: Some(Errno::Io), ..bio });
    bench.flush(B);
    let order = bench.answer_all();
    assert_eq!(order, [FLUSH, write(7, 1), FLUSH], "the last is of who else asked for one");
    assert_eq!(bench.answers[0], (bio, Err(Errno::Io)));
    assert_eq!(bench.answers[1].1, Ok(()), "the flushes are not struck");
}

/// The property: whoever asked for a flush is answered by one that the drive was given after all
/// that had been answered when it asked; and what was to be durable is, when it is answered.
fn flushes_cover(link: Link, sabotage: Option<Sabotage>) -> bool {
    let mut bench = Bench::with(Scheduler::MqDeadline, |config| {
        (config.drive.link, config.sabotage, config.block.depth) = (link, sabotage, 3);
    });
    let mut chance = crate::machine::choice::Stream::new(5);
    let mut draw = |n| chance.below(Number::Block, n);
    // Per bio: its blocks' place, and how many writes the drive had answered when it came.
    let mut asked = Vec::new();
    let mut drive = Drivelike::default();
    for step in 0..4000_u32 {
        match draw(5) {
            0 => drop(bench.write(TaskId(draw(3)), 2 * step, 1)),
            1 => {
                let task = TaskId(draw(3));
                let mut bio = bench.bio(task, BioWhat::Write, 2 * step, usize::from(draw(2) == 1));
                (bio.preflush, bio.fua) = (true, !bio.cargo.is_empty());
                asked.push((bio.id, 2 * step, bio.fua, drive.answered.len()));
                bench.submit(bio);
            }
            2 => bench.unplug(TaskId(draw(3))),
            _ => drive.answer(&mut bench, draw(3)),
        }
        // Whoever was answered just now had what it asked for.
        for (id, _) in std::mem::take(&mut bench.answers) {
            let Some(at) = asked.iter().position(|(own, ..)| *own == id) else { continue };
            let (_, lba, fua, before) = asked.remove(at);
            let own = !fua || drive.is_durable(lba);
            if !own || drive.durable_up_to < before {
                return false;
            }
        }
    }
    true
}

/// A drive that remembers what its flushes cover.
#[derive(Default)]
struct Drivelike {
    /// Every write that it answered, and whether with FUA.
    answered: Vec<(u32, bool)>,
    /// So many of them were there when a flush that is done was given.
    durable_up_to: usize,
    /// When each flush was given.
    given: Vec<(RqId, usize)>,
}

impl Drivelike {
    fn answer(&mut self, bench: &mut Bench, at: u32) {
        for req in &bench.given {
            if req.cmd == Cmd::Flush && !self.given.iter().any(|(rq, _)| *rq == req.rq) {
                self.given.push((req.rq, self.answered.len()));
            }
        }
        if bench.given.is_empty() {
            return;
        }
        let at = (at as usize).min(bench.given.len() - 1);
        let (rq, cmd, lba) = {
            let req = &bench.given[at];
            (req.rq, req.cmd, req.lba.0)
        };
        match cmd {
            Cmd::Flush => {
                let (_, covers) = self.given.iter().find(|(own, _)| *own == rq).unwrap();
                self.durable_up_to = self.durable_up_to.max(*covers);
            }
            Cmd::Write | Cmd::WriteFua => self.answered.push((lba, cmd == Cmd::WriteFua)),
            Cmd::Read => {}
        }
        bench.answer(at);
    }

    fn is_durable(&self, lba: u32) -> bool {
        let at = self.answered.iter().position(|(own, _)| *own == lba);
        at.is_some_and(|at| at < self.durable_up_to || self.answered[at].1)
    }
}

#[test]
fn a_flush_covers_all_that_was_answered_when_it_was_asked_for() {
    for link in [Link::Nvme, Link::Sata] {
        assert!(flushes_cover(link, None), "{link:?}");
    }
}

#[test]
fn canary_a_flush_that_has_started_covers_nobody_who_comes_later() {
    assert!(!flushes_cover(Link::Nvme, Some(Sabotage::FlushShared)));
}

#[test]
fn canary_fua_is_passed_on() {
    assert!(!flushes_cover(Link::Nvme, Some(Sabotage::FuaDropped)));
}

#[test]
fn canary_without_fua_the_flush_after_is_not_left_out() {
    assert!(!flushes_cover(Link::Sata, Some(Sabotage::PostflushSkipped)));
}
