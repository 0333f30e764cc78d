//! What holds of every story, whoever tells it.

use proptest::prelude::*;

use super::*;
use crate::ops::explore::Budget;
use crate::ops::model::{EXT4, Model, POSIX, STRICT};

/// One step of a small world: three files, two directories, values of one block and a bit.
fn steps() -> impl Strategy<Value = String> {
    let file = || prop::sample::select(vec!["f", "g", "d/h"]);
    let value = || prop::sample::select(vec!["\"a\"", "\"bb\"", "\"c\"*600", "\"e\"*5000"]);
    prop_oneof![
        file().prop_map(|f| format!("open {f} create")),
        file().prop_map(|f| format!("open {f} create trunc")),
        file().prop_map(|f| format!("open {f} append dsync")),
        (file(), value()).prop_map(|(f, v)| format!("write {f} {v}; flush {f}")),
        (file(), value()).prop_map(|(f, v)| format!("write {f} {v}")),
        (file(), value(), 0..700_u32).prop_map(|(f, v, at)| format!("pwrite {f} {v} @{at}")),
        (file(), 0..5000_u32).prop_map(|(f, n)| format!("setlen {f} {n}")),
        (file(), 0..5000_u32).prop_map(|(f, n)| format!("allocate {f} {n}")),
        (file(), file()).prop_map(|(f, g)| format!("rename {f} {g}")),
        (file(), file()).prop_map(|(f, g)| format!("link {f} {g}")),
        file().prop_map(|f| format!("remove {f}")),
        file().prop_map(|f| format!("close {f}")),
        file().prop_map(|f| format!("fsync {f}")),
        file().prop_map(|f| format!("fdatasync {f}")),
        file().prop_map(|f| format!("fail fsync {f} EIO; fsync {f}")),
        prop::sample::select(vec!["fsyncdir .", "fsyncdir d"]).prop_map(str::to_owned),
        prop::sample::select(vec!["sync", "kill", "ack \"x\"", "wait 1s"]).prop_map(str::to_owned),
    ]
}

fn stories() -> impl Strategy<Value = String> {
    prop::collection::vec(steps(), 0..10)
        .prop_map(|steps| format!("durable {{ mkdir d; f = \"old\" }}\n{}\n", steps.join("\n")))
}

fn outcome(story: &str, model: &Model) -> Outcome {
    parse(story).run(Drive::Honest).unwrap().outcome(model, Budget::per_cut(200))
}

/// Whether a file may be in the second outcome all that it may be in the first.
fn within(narrow: &FileOutcome, wide: &FileOutcome) -> bool {
    !wide.exhausted || narrow.may_be.iter().all(|it| wide.may_be.contains(it))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What the page cache showed may be what is left; a stronger model leaves nothing that a
    /// weaker one does not.
    #[test]
    fn a_stronger_model_leaves_less(story in stories()) {
        let alive = outcome(&story, &EXT4);
        let left = [STRICT, EXT4, POSIX].map(|model| outcome(&format!("{story}cut"), &model));
        let chain = std::iter::once(&alive).chain(&left).collect::<Vec<_>>();
        for pair in chain.windows(2) {
            for (narrow, wide) in pair[0].files.iter().zip(&pair[1].files) {
                prop_assert!(within(narrow, wide), "{}: {} but {}", story, narrow, wide);
            }
        }
    }

    /// After a `sync`, a cut takes nothing: where no sync before it has failed and dropped data.
    #[test]
    fn a_cut_after_sync_takes_nothing(story in stories()) {
        let story = ["f", "g", "d/h"]
            .iter()
            .fold(story, |story, f| story.replace(&format!("fail fsync {f} EIO; "), ""));
        let alive = outcome(&format!("{story}sync"), &EXT4);
        for model in [STRICT, EXT4, POSIX] {
            prop_assert_eq!(&outcome(&format!("{story}sync; cut"), &model).files, &alive.files);
        }
    }
}
