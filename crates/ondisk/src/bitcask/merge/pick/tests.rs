//! What is picked is worth its merge, and picking comes to an end.

use proptest::prelude::*;

use super::*;

fn file(len: u64, dead: u64) -> Weight {
    Weight { len, dead, tombstones: 0 }
}

#[test]
fn a_file_that_is_mostly_dead_is_due() {
    let mib = 1 << 20;
    let files = [file(40 * mib, mib), file(40 * mib, 30 * mib), file(40 * mib, 25 * mib)];
    assert_eq!(pick(&files, Reclaim::Due), Some(1..3));
    assert_eq!(pick(&[file(1000, 900)], Reclaim::Due), None, "not for so little");
    assert_eq!(pick(&[file(1000, 900)], Reclaim::All), Some(0..1));
    assert_eq!(pick(&[file(40 * mib, 0), file(1000, 0)], Reclaim::All), None);
}

#[test]
fn many_small_neighbours_are_due() {
    let mut files = vec![file(1000, 0); 7];
    assert_eq!(pick(&files, Reclaim::Due), None);
    files.push(file(1000, 0));
    assert_eq!(pick(&files, Reclaim::Due), Some(0..8));
    files.insert(3, file(1 << 30, 0));
    assert_eq!(pick(&files, Reclaim::Due), None);
    assert_eq!(pick(&files, Reclaim::All), Some(0..3));
}

#[test]
fn tombstones_go_down_to_the_oldest_file() {
    let big = Weight { len: 1 << 30, dead: 0, tombstones: 0 };
    let files = [big, big, Weight { tombstones: 40, ..big }, big];
    assert_eq!(pick(&files, Reclaim::Due), None);
    assert_eq!(pick(&files, Reclaim::All), Some(0..3));
}

#[test]
fn what_is_counted_of_the_oldest_file() {
    let usage = Usage { live: 100, tombstones: 40 };
    assert_eq!(Weight::new(0, 264, usage), file(264, 100));
    assert_eq!(Weight::new(1, 264, usage), Weight { len: 264, dead: 60, tombstones: 40 });
}

fn weights() -> impl Strategy<Value = Vec<Weight>> {
    let weight = (0_u64..100 << 20, 0_u64..100, 0_u64..3).prop_map(|(len, share, tombstones)| {
        let (len, tombstones) = (len + 1000, tombstones * 30);
        Weight { len, dead: (len - 164) / 100 * share, tombstones }
    });
    prop::collection::vec(weight, 0..60)
}

proptest! {
    /// A merge leaves of its run one file without anything dead, or none.
    #[test]
    fn merging_all_that_can_be_won_comes_to_an_end(mut files in weights(), want in prop::sample::select(vec![Reclaim::Due, Reclaim::All])) {
        for _ in 0..files.len() * 2 {
            let Some(run) = pick(&files, want) else { break };
            prop_assert!(run.len() <= MOST_FILES && !run.is_empty());
            let inner = u64::from(run.start > 0);
            let merged = files[run.clone()].iter().fold(Weight::default(), |sum, it| Weight {
                len: sum.len + it.len - it.dead - it.tombstones * (1 - inner),
                dead: 0,
                tombstones: (sum.tombstones + it.tombstones) * inner,
            });
            files.splice(run, (merged.len > 0).then_some(merged));
        }
        prop_assert_eq!(pick(&files, want), None);
        if want == Reclaim::All {
            prop_assert!(files.iter().all(|it| it.dead == 0 && it.tombstones == 0));
        }
    }

    #[test]
    fn pressure_is_bounded(files in weights()) {
        prop_assert!(pressure(&files) <= 900);
    }
}

#[test]
fn pressure_comes_with_dead_bytes_and_with_small_files() {
    assert_eq!(pressure(&[]), 0);
    assert_eq!(pressure(&[file(1 << 40, 1 << 39)]), 0);
    assert_eq!(pressure(&[file(1 << 40, 3 << 38)]), 450);
    assert_eq!(pressure(&vec![file(1000, 0); 128]), 0);
    assert_eq!(pressure(&vec![file(1000, 0); 1128]), 900);
    let pick = pick(&vec![file(1000, 0); 1128], Reclaim::Due);
    assert!(pick.is_some(), "where writers are slowed something can be done");
}
