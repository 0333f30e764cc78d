//! Many tasks at once: whatever the order of answers, every call returns, and the tree is one.

use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use super::*;
use crate::machine::message::Kind;

const PATHS: [&str; 12] =
    ["a", "b", "c", "a/a", "a/b", "b/a", "b/b", "a/b/a", "a/b/b", "b/b/a", "c/a", "c/b/a"];

fn requests() -> impl Strategy<Value = Request> {
    let path = || prop::sample::select(&PATHS[..]);
    prop_oneof![
        3 => path().prop_map(mkdir),
        2 => path().prop_map(rmdir),
        3 => path().prop_map(|path| open(path, create())),
        1 => path().prop_map(|path| open(path, Open { trunc: true, ..both() })),
        2 => path().prop_map(unlink),
        4 => (path(), path()).prop_map(|(from, to)| rename(from, to)),
        2 => (path(), path()).prop_map(|(from, to)| exchange(from, to)),
        2 => (path(), path()).prop_map(|(from, to)| link(from, to)),
        1 => path().prop_map(|path| chmod(path, 0o755)),
    ]
}

/// Whether links and parents are what the names say.
fn check_tree(rig: &Rig) -> TestCaseResult {
    let inodes = &rig.vfs.inodes;
    for (ino, inode) in inodes.iter() {
        let names = inodes.iter().flat_map(|(dir, it)| it.entries.values().map(move |i| (*i, dir)));
        let parents: Vec<Ino> = names.filter(|(it, _)| *it == ino).map(|(_, dir)| dir).collect();
        if inode.kind == Kind::Dir {
            let dirs = inode.entries.values().filter(|it| inodes.get(**it).unwrap().is_dir());
            let count = u32::try_from(dirs.count()).unwrap();
            prop_assert_eq!(inode.links, count + 2, "directory {}", ino.0);
            if ino != Ino::ROOT {
                prop_assert_eq!(&parents, &vec![inode.parent], "directory {}", ino.0);
                prop_assert!(inodes.is_above(Ino::ROOT, ino), "{} hangs in the air", ino.0);
            }
        } else {
            prop_assert_eq!(inode.links as usize, parents.len(), "file {}", ino.0);
        }
        prop_assert_eq!(inode.refs, 0);
    }
    Ok(())
}

type Calls = Vec<(Request, usize)>;

fn calls() -> impl Strategy<Value = (Vec<Request>, Calls)> {
    let calls = prop::collection::vec((requests(), 0..8_usize), 1..60);
    (prop::collection::vec(requests(), 0..12), calls)
}

/// Makes calls by six tasks at once, above a file system that answers in any order.
fn run(sabotage: Option<Sabotage>, (start, calls): (Vec<Request>, Calls)) -> TestCaseResult {
    let mut rig = Rig::with(&Config { mount: Mount::Tmpfs, sabotage, ..Config::default() });
    for call in start {
        rig.call(call).ok();
    }
    rig.hold = true;
    let mut running: Vec<Option<OpId>> = vec![None; 6];
    let mut calls = calls.into_iter().peekable();
    loop {
        for (task, slot) in running.iter_mut().enumerate() {
            if slot.is_some_and(|op| rig.rets.contains_key(&op)) {
                *slot = None;
            }
            if slot.is_none()
                && let Some((call, _)) = calls.next()
            {
                let task = TaskId(u32::try_from(task).unwrap() + 1);
                *slot = Some(rig.submit(task, call));
            }
        }
        let turn = calls.peek().map(|(_, turn)| *turn);
        let waits = |op: &Option<OpId>| op.is_some_and(|op| !rig.rets.contains_key(&op));
        match rig.held.len() {
            0 if turn.is_none() || running.iter().all(waits) => break,
            0 => {}
            held => rig.answer(turn.unwrap_or(0) % held),
        }
    }
    let done = |op: &OpId| rig.rets.contains_key(op);
    prop_assert!(running.iter().flatten().all(done), "a call waits for ever");
    prop_assert!(calls.next().is_none());
    for task in 1..=6 {
        rig.submit(TaskId(task), Request::Exit);
    }
    check_tree(&rig)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn every_call_returns_and_the_tree_is_one(calls in calls()) {
        run(None, calls)?;
    }
}

#[test]
fn a_circle_of_locks_is_found() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let mut calls = || calls().new_tree(&mut runner).unwrap().current();
    let found = (0..5000).any(|_| run(Some(Sabotage::DirsLockedAsNamed), calls()).is_err());
    assert!(found, "the canary");
}
