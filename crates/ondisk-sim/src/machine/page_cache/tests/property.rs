//! Whatever is asked in whatever order: reads show what was written, and a sync brings it down.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Op {
    Write { at: u64, len: usize, sync: bool },
    SetLen(u64),
    Read,
    Fsync,
    Evict,
    Wake,
    Land,
    Reboot,
}

/// Some pages, and bytes near their edges.
fn offsets() -> impl Strategy<Value = u64> {
    (0..5_u64, prop::sample::select(vec![0, 1, 7, 100, 2048, 4090, 4095]))
        .prop_map(|(page, at)| page * 4096 + at)
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let lens = prop::sample::select(vec![1, 5, 96, 4096, 4097, 9000]);
    let op = prop_oneof![
        6 => (offsets(), lens, prop::bool::weighted(0.2))
            .prop_map(|(at, len, sync)| Op::Write { at, len, sync }),
        3 => offsets().prop_map(Op::SetLen),
        2 => Just(Op::Read),
        2 => Just(Op::Fsync),
        1 => Just(Op::Evict),
        1 => Just(Op::Wake),
        3 => Just(Op::Land),
        1 => Just(Op::Reboot),
    ];
    prop::collection::vec(op, 1..40)
}

/// Runs the calls against a plain vector of bytes; what was wrong, if anything was.
fn run(config: &Config, hold: bool, ops: &[Op]) -> Result<(), TestCaseError> {
    let mut rig = Rig::new(config).with(&[9; 5000]);
    rig.hold = hold;
    let mut model = vec![9; 5000];
    for (step, op) in ops.iter().enumerate() {
        let byte = u8::try_from(step + 1).unwrap();
        match op {
            Op::Write { at, len, sync } => {
                let op = rig.write_as(*at, &vec![byte; *len], sync.then_some(Sync::Data));
                rig.finish(op);
                let at = usize::try_from(*at).unwrap();
                model.resize(model.len().max(at + len), 0);
                model[at..at + len].fill(byte);
            }
            Op::SetLen(len) => {
                let op = rig.set_len(*len);
                rig.finish(op);
                model.resize(usize::try_from(*len).unwrap(), 0);
            }
            Op::Read => {}
            Op::Fsync => {
                let op = rig.fsync();
                rig.finish(op);
                prop_assert_eq!(&rig.on_media(model.len()), &model, "after step {}", step);
            }
            Op::Evict => rig.ask(PagesReq::Evict),
            Op::Wake => {
                let at = rig.cx.now + Ns::S.times(31);
                rig.until(at);
            }
            Op::Land if rig.held.is_empty() => {}
            Op::Land => {
                rig.land();
                rig.run();
            }
            Op::Reboot => {
                // What is on the media is all there is.
                rig.land_all();
                let size = rig.len[&F];
                rig.cache = PageCache::new(config);
                rig.cache.accept(&mut rig.cx, PagesReq::Know { ino: F, size });
                let size = usize::try_from(size).unwrap();
                model = rig.on_media(size);
            }
        }
        prop_assert_eq!(&rig.read(0, 1 << 20), &model, "after step {}", step);
    }
    let op = rig.fsync();
    rig.finish(op);
    rig.land_all();
    prop_assert_eq!(rig.cache.load(), (0, 0));
    prop_assert_eq!(rig.on_media(model.len()), model);
    Ok(())
}

impl Rig {
    /// Lets pages land until a call is done.
    fn finish(&mut self, op: OpId) {
        while self.end(op).is_none() {
            self.land();
            self.run();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn reads_show_what_was_written_and_syncs_bring_it_down(hold: bool, ops in ops()) {
        run(&Config::default(), hold, &ops)?;
    }

    #[test]
    fn so_do_they_with_a_journal_for_data(hold: bool, ops in ops()) {
        run(&journal(), hold, &ops)?;
    }
}

/// Some history of calls shows each mistake.
#[test]
fn each_planted_mistake_is_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mistakes =
        [Sabotage::PartialWriteForgetsRead, Sabotage::RewriteForgotten, Sabotage::TailNotZeroed];
    for mistake in mistakes {
        let config = Config { sabotage: Some(mistake), ..Config::default() };
        let mut runner = TestRunner::deterministic();
        let found = (0..2000).any(|_| {
            let ops = ops().new_tree(&mut runner).unwrap().current();
            std::panic::catch_unwind(|| run(&config, true, &ops).is_err()).unwrap_or(true)
        });
        assert!(found, "{mistake:?}");
    }
}
