use proptest::prelude::*;

use super::*;
use crate::ops::explore::Budget;
use crate::ops::script::{Drive, Script};
use crate::ops::tally::Tally;
use crate::ops::{Model, model};

/// A script carried out, under one model, with its claims.
fn run(script: &str, model: &Model) -> (Crash, Vec<Claim>) {
    let run = Script::parse(script).unwrap().run(Drive::Honest).unwrap();
    (Crash::new(model, run.history()), run.claims().to_vec())
}

fn judged(script: &str, model: &Model) -> Vec<Judgement> {
    let (crash, claims) = run(script, model);
    crash.judge(&claims, Fatal::Cut, Moments::All)
}

fn lost(script: &str, model: &Model) -> Vec<Lost> {
    judged(script, model).iter().map(|it| it.lost).collect()
}

/// The definition, letter by letter: every cut after the claim, every state of it, every file.
fn by_definition(crash: &Crash, claim: &Claim) -> Option<Lost> {
    let (mut lost, mut kept) = (false, false);
    for at in crash.history().cuts_everywhere().into_iter().filter(|at| *at > claim.at) {
        let report = crash.at(at).explore(Budget::per_cut(20_000), &Tally::new(), &mut |fs| {
            let whole = claim.files.iter().all(|file| match &file.held {
                Held::Absent => fs.look(&file.path).is_none(),
                Held::Dir => fs.look(&file.path) == Some(ondisk_fs::Kind::Dir),
                Held::File(bytes) => {
                    fs.read(&file.path).is_ok_and(|found| found.starts_with(bytes))
                }
            });
            (lost, kept) = (lost || !whole, kept || whole);
            Ok(())
        });
        if !report.is_exhausted() {
            return None;
        }
    }
    Some(match (lost, kept) {
        (false, _) => Lost::Never,
        (true, true) => Lost::Sometimes,
        (true, false) => Lost::Always,
    })
}

use Lost::{Always, Never, Sometimes};
use model::{EXT4, POSIX, STRICT};

#[test]
fn what_was_synced_with_its_name_is_never_lost() {
    let script = "open f create; write f \"A\"; flush f; fsync f; fsyncdir .; ack \"A\"";
    for model in Model::ALL {
        assert_eq!(lost(script, &model), [Never], "{model}");
    }
}

#[test]
fn what_was_not_synced_is_lost_sometimes() {
    let script = "open f create; write f \"A\"; flush f; ack \"A\"; fsync f; fsyncdir .";
    for model in Model::ALL {
        let [it] = &judged(script, &model)[..] else { panic!("one claim") };
        assert_eq!((it.lost, it.exact), (Sometimes, true), "{model}");
        assert!(!it.story.is_empty() && it.states > 0, "{it:?}");
        assert_eq!(it.file.as_deref(), Some(Path::new("f")));
    }
}

#[test]
fn what_the_buffer_still_has_is_always_lost_and_a_sync_does_not_help() {
    let script = "open f create; write f \"A\"; fsync f; fsyncdir .; ack \"A\"";
    for model in Model::ALL {
        let [it] = &judged(script, &model)[..] else { panic!("one claim") };
        assert_eq!((it.lost, it.exact), (Always, true), "{model}");
        assert!(it.story.contains("1 byte of it was still in the program's own buffer"), "{it:?}");
    }
    let later = format!("{script}; flush f; fsync f");
    assert_eq!(lost(&later, &STRICT), [Sometimes]);
}

#[test]
fn a_log_that_grows_keeps_what_was_acknowledged() {
    let script = "open f create append; fsyncdir .
        repeat 5 { write f \"record \"; flush f; fsync f; ack \"one more\" }";
    for model in Model::ALL {
        assert_eq!(lost(script, &model), [Never; 5], "{model}");
    }
    let unsynced = script.replace("fsync f; ack", "ack \"too early\"; fsync f; ack");
    let expected: Vec<Lost> = (0..5).flat_map(|_| [Sometimes, Never]).collect();
    assert_eq!(lost(&unsynced, &EXT4), expected);
}

#[test]
fn a_task_speaks_for_its_own_files_unless_it_names_others() {
    let script = "open a create; write a \"A\"; flush a; fsync a; fsyncdir .
        @B open b create; write b \"B\"; flush b
        @A ack \"mine\"; ack \"both\" a b
        @B ack \"mine too\"; fsync b; fsyncdir .; ack \"now\"";
    assert_eq!(lost(script, &POSIX), [Never, Sometimes, Sometimes, Never]);
    assert_eq!(lost(script, &EXT4), [Never, Sometimes, Sometimes, Never]);
}

#[test]
fn a_file_is_spoken_for_under_the_name_that_it_has_by_then() {
    let head = "durable { g = \"O\" }
        open t create; write t \"N\"; flush t; fsync t; rename t g";
    assert_eq!(lost(&format!("{head}; ack \"new\""), &EXT4), [Sometimes]);
    let synced = format!("{head}; fsyncdir .; ack \"new\"");
    let (_, claims) = run(&synced, &EXT4);
    assert_eq!(claims[0].files[0].path, Path::new("g"));
    for model in Model::ALL {
        assert_eq!(lost(&synced, &model), [Never], "{model}");
    }
    // Under its first name it is lost when the program itself renames it: the letter says so.
    let early = "open t create; write t \"N\"; flush t; fsync t; fsyncdir .; ack \"t\"; rename t g";
    assert_eq!(lost(early, &STRICT), [Sometimes]);
}

#[test]
fn a_removal_that_is_acknowledged_must_not_come_back() {
    let head = "durable { f = \"A\" }
        remove f";
    assert_eq!(lost(&format!("{head}; ack \"gone\" f"), &EXT4), [Sometimes]);
    assert_eq!(lost(&format!("{head}; fsyncdir .; ack \"gone\" f"), &EXT4), [Never]);
}

#[test]
fn what_the_program_overwrites_is_lost_and_the_story_says_who_did_it() {
    let script = "durable { f = \"A\" }
        pwrite f \"B\" @0; fsync f; ack \"B\"; pwrite f \"C\" @0; fsync f; ack \"C\"";
    let all = judged(script, &EXT4);
    assert_eq!([all[0].lost, all[1].lost], [Sometimes, Never]);
    assert!(all[0].story.contains("the program itself changed it"), "{}", all[0].story);
}

#[test]
fn a_large_file_is_judged_without_looking_at_all_mixtures() {
    for (sync, expected) in [("", Sometimes), ("fsync f; fsyncdir .;", Never)] {
        let script = format!("open f create; write f \"N\"*1Mi; flush f; {sync} ack \"N\"");
        for model in Model::ALL {
            let [it] = &judged(&script, &model)[..] else { panic!("one claim") };
            assert_eq!((it.lost, it.exact), (expected, true), "{model}: {it:?}");
        }
    }
}

#[test]
fn a_thousand_acknowledgements_are_judged_each() {
    let script = "open f create append; fsyncdir .
        repeat 1000 { write f \"r\"; flush f; fsync f; ack \"r\" }";
    let all = judged(script, &EXT4);
    assert_eq!(all.len(), 1000);
    assert!(all.iter().all(|it| it.lost == Never && it.states > 0));
}

#[test]
fn a_kill_takes_the_buffer_alone() {
    let script = "open f create; write f \"A\"; ack \"buffered\"; flush f; ack \"cached\"";
    let (crash, claims) = run(script, &POSIX);
    let lost = |how| crash.judge(&claims, how, Moments::All).iter().map(|it| it.lost).collect();
    let (killed, cut): (Vec<Lost>, Vec<Lost>) = (lost(Fatal::Kill), lost(Fatal::Cut));
    assert_eq!(killed, [Sometimes, Never]);
    assert_eq!(cut, [Sometimes, Sometimes]);
    let (crash, claims) = run("open f create; write f \"A\"; ack \"A\"", &POSIX);
    assert_eq!(crash.judge(&claims, Fatal::Kill, Moments::All)[0].lost, Always);
}

#[test]
fn one_moment_is_judged_alone() {
    let script = "open f create; write f \"A\"; flush f; ack \"A\"; fsync f; ack \"later\"";
    let (crash, claims) = run(script, &EXT4);
    let at = claims[0].at.next();
    let early = crash.judge(&claims, Fatal::Cut, Moments::At(at));
    assert_eq!(early.iter().map(|it| (it.claim, it.lost)).collect::<Vec<_>>(), [(0, Sometimes)]);
    let end = crash.judge(&claims, Fatal::Cut, Moments::At(crash.history().end));
    assert_eq!(end.iter().map(|it| it.lost).collect::<Vec<_>>(), [Never, Never]);
}

#[test]
fn an_acknowledgement_for_nothing_is_never_lost_and_says_for_what() {
    let (crash, claims) = run("ack \"hello\"", &POSIX);
    let all = crash.judge(&claims, Fatal::Cut, Moments::All);
    assert!(claims[0].files.is_empty());
    assert_eq!((all[0].lost, all[0].states), (Never, 1));
}

#[test]
fn a_failed_sync_retried_makes_nothing_certain() {
    let script = "durable { p = \"a\" }
        pwrite p \"b\" @0; fail fdatasync p EIO; fdatasync p; fdatasync p; ack \"b\"";
    assert_eq!(lost(script, &EXT4), [Sometimes]);
    assert_eq!(lost(script, &STRICT), [Sometimes]);
}

/// Steps over few files, so that they collide.
fn steps() -> impl Strategy<Value = String> {
    let file = prop_oneof![Just("a"), Just("b"), Just("d/c")];
    let value = prop_oneof![Just("\"x\""), Just("\"yy\""), Just("zeros 3")];
    let step = prop_oneof![
        4 => (file.clone(), value.clone())
            .prop_map(|(f, v)| format!("open {f} create append; write {f} {v}; flush {f}")),
        1 => (file.clone(), value).prop_map(|(f, v)| format!("open {f} create; write {f} {v}")),
        1 => file.clone().prop_map(|f| format!("flush {f}")),
        2 => file.clone().prop_map(|f| format!("pwrite {f} \"P\" @1")),
        2 => file.clone().prop_map(|f| format!("fsync {f}")),
        1 => file.clone().prop_map(|f| format!("fail fsync {f} EIO; fsync {f}")),
        1 => file.clone().prop_map(|f| format!("fdatasync {f}")),
        1 => file.clone().prop_map(|f| format!("setlen {f} 1")),
        1 => (file.clone(), file.clone()).prop_map(|(f, g)| format!("rename {f} {g}")),
        1 => file.clone().prop_map(|f| format!("remove {f}")),
        2 => prop_oneof![Just("fsyncdir ."), Just("fsyncdir d")].prop_map(str::to_owned),
        2 => Just("ack \"all\"".to_owned()),
        1 => file.prop_map(|f| format!("ack \"one\" {f}")),
    ];
    prop::collection::vec(step, 1..9).prop_map(|steps| {
        format!("durable {{ mkdir d; a = \"old\" }}\n{}; ack \"last\"", steps.join("; "))
    })
}

/// The verdicts that differ from the definition, over a script under all models.
fn wrong(script: &str, judge: impl Fn(&Crash, &[Claim]) -> Vec<Judgement>) -> Vec<String> {
    let mut wrong = Vec::new();
    for model in Model::ALL {
        let (crash, claims) = run(script, &model);
        for (claim, it) in claims.iter().zip(judge(&crash, &claims)) {
            if let Some(expected) = by_definition(&crash, claim)
                && expected != it.lost
            {
                wrong.push(format!("{model}, claim {}: {expected:?}, not {it:?}", it.claim));
            }
        }
    }
    wrong
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 150,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// The verdict is the definition's, though it looks at few cuts and few states.
    #[test]
    fn the_verdict_is_the_definitions(script in steps()) {
        let all = wrong(&script, |crash, claims| crash.judge(claims, Fatal::Cut, Moments::All));
        prop_assert!(all.is_empty(), "{script}\n{all:#?}");
    }

    /// A loss has a story, and nothing else has one.
    #[test]
    fn a_loss_has_a_story(script in steps()) {
        for it in judged(&script, &EXT4) {
            prop_assert_eq!(it.story.is_empty(), it.lost == Never);
            prop_assert!(it.states > 0);
        }
    }
}

/// What was planted must be seen by the comparison with the definition.
fn is_noticed(script: &str, mistake: impl Fn(&Crash, &[Claim]) -> Vec<Judgement>) {
    let right = wrong(script, |crash, claims| crash.judge(claims, Fatal::Cut, Moments::All));
    assert!(right.is_empty(), "{right:#?}");
    assert!(!wrong(script, mistake).is_empty(), "a mistake was not noticed");
}

#[test]
fn canary_a_claim_judged_at_the_moment_it_is_made_is_noticed() {
    // Not lost then, and lost later: the program overwrites it.
    let script = "durable { f = \"A\" }
        pwrite f \"B\" @0; fsync f; ack \"B\"; pwrite f \"C\" @0; fsync f";
    is_noticed(script, |crash, claims| {
        let at = Moments::At(claims[0].at.next());
        crash.judge(claims, Fatal::Cut, at)
    });
}

#[test]
fn canary_a_claim_judged_at_the_cuts_before_it_is_noticed() {
    let script = "open f create; write f \"A\"; flush f; fsync f; fsyncdir .; ack \"A\"";
    is_noticed(script, |crash, claims| {
        let early: Vec<Claim> =
            claims.iter().map(|claim| Claim { at: At(1), ..claim.clone() }).collect();
        crash.judge(&early, Fatal::Cut, Moments::All)
    });
}

#[test]
fn canary_a_floor_ignored_is_noticed() {
    let script = "open f create; write f \"A\"; flush f; fsync f; fsyncdir .; ack \"A\"";
    is_noticed(script, |crash, claims| {
        let mut history = crash.history().clone();
        for call in &mut history.calls {
            call.honest = false;
        }
        Crash::new(crash.model(), history).judge(claims, Fatal::Cut, Moments::All)
    });
}

#[test]
fn canary_a_buffer_forgotten_is_noticed() {
    let script = "open f create; write f \"A\"; fsync f; fsyncdir .; ack \"A\"";
    is_noticed(script, |crash, claims| {
        let mut claims = claims.to_vec();
        for file in claims.iter_mut().flat_map(|claim| &mut claim.files) {
            file.held = Held::File(Arc::from(&b""[..]));
        }
        crash.judge(&claims, Fatal::Cut, Moments::All)
    });
}
