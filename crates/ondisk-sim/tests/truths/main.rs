//! The thirteen truths about files and power cuts, and the litmus tests: scripts, and after each
//! what may be there and what cannot, under each of the nine models. They are the oracle of what
//! the models mean; `docs/truths.md` is made from them.
//!
//! `UPDATE_GOLDENFILES=1` writes the page anew, never a grid.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "the page lies in the repository's own tree")]

mod case;
#[cfg(feature = "machine")]
mod machine;
mod page;
mod rows;

use std::path::Path;

use case::{Case, Found, cases, text_of};
use ondisk_sim::{Budget, Crash, Member, Membership, Model, Tally};

const TRUTHS: &str = include_str!("truths.txt");
const LITMUS: &str = include_str!("litmus.txt");

fn all() -> Vec<Case> {
    cases(TRUTHS).into_iter().chain(cases(LITMUS)).collect()
}

/// What each model leaves.
fn found(case: &Case) -> Vec<Found> {
    let run = case.run();
    Model::ALL.iter().map(|model| case.found(&run, model)).collect()
}

/// What is wrong with a case, of which this was found.
fn judge(case: &Case, found: &[Found]) -> Option<String> {
    let told: Vec<String> = case.run().notes().iter().map(ToString::to_string).collect();
    let grid = case.grid(found);
    (grid != case.rows || told != case.told).then(|| {
        let lines = grid.iter().map(|(marks, outcome)| format!("{marks}  {}\n", text_of(outcome)));
        let told = told.iter().map(|told| format!("> {told}\n"));
        format!("[{}]\n{}---\n{}", case.title, case.script, told.chain(lines).collect::<String>())
    })
}

#[test]
fn a_cut_leaves_what_the_grids_say_and_nothing_else() {
    let wrong: Vec<String> = all().iter().filter_map(|case| judge(case, &found(case))).collect();
    assert!(wrong.is_empty(), "otherwise:\n{}", wrong.join("\n"));
}

#[test]
fn each_model_has_forty_litmus_tests_of_what_may_be_and_what_cannot() {
    let cases = cases(LITMUS);
    for (at, model) in Model::ALL.iter().enumerate() {
        let has = |case: &Case, mark: char| {
            case.rows.iter().any(|(marks, _)| marks.chars().nth(at) == Some(mark))
        };
        // Two blocks that may hold former bytes have more shapes than are looked at.
        let all = |case: &&Case| case.found(&case.run(), model).exhausted;
        let exhausted = cases.iter().filter(all).count();
        assert!(exhausted + 1 >= cases.len(), "{model}: not every state was looked at");
        let both = cases.iter().filter(|case| has(case, '+') && has(case, '.')).count();
        assert!(both >= 40, "{model}: {both} cases of {}", cases.len());
    }
}

#[test]
fn a_wrong_mark_is_noticed() {
    for case in all().iter().skip(3).step_by(7) {
        let found = found(case);
        for (row, at) in [(0, 0), (case.rows.len() - 1, 8)] {
            let mut wrong = case.clone();
            let marks = &mut wrong.rows[row].0;
            let other = if marks.as_bytes()[at] == b'+' { "." } else { "+" };
            marks.replace_range(at..=at, other);
            assert!(judge(&wrong, &found).is_some(), "{}: row {row}, model {at}", case.title);
        }
        let mut fewer = case.clone();
        if fewer.rows.len() > 1 {
            fewer.rows.remove(0);
            assert!(judge(&fewer, &found).is_some(), "{}: a line less", case.title);
        }
    }
}

/// A grid that contradicts the order of the models is wrong whoever agrees with it.
#[test]
fn what_a_model_allows_a_weaker_one_allows() {
    let place = |name: &str| Model::ALL.iter().position(|model| model.name == name).unwrap();
    for case in all() {
        for (marks, outcome) in &case.rows {
            for (strong, weak) in rows::LATTICE {
                let may = |model: &str| marks.as_bytes()[place(model)] == b'+';
                let holds = !may(strong) || may(weak);
                assert!(holds, "{}: {} under {strong}, not {weak}", case.title, text_of(outcome));
            }
        }
    }
}

/// And not only as far as a grid tells: whole states, each asked of the weaker model.
#[test]
fn what_a_model_leaves_is_a_member_of_a_weaker_one() {
    let mut asked = 0;
    for case in all() {
        let history = case.run().history();
        let pairs = rows::LATTICE.into_iter();
        for (strong, weak) in pairs.chain(Model::ALL.map(|model| (model.name, model.name))) {
            let (strong, weak) = (Model::named(strong).unwrap(), Model::named(weak).unwrap());
            let crash = Crash::new(&strong, history.clone());
            let members = Membership::new(&weak, history.clone());
            let (at, tally) = (history.end, Tally::new());
            let report = crash.at(at).explore(Budget::per_cut(40), &tally, &mut |fs| {
                asked += 1;
                match members.at(at).contains(&fs.image()) {
                    Member::Witness(_) => Ok(()),
                    other => Err(format!("{other:?}").into()),
                }
            });
            assert!(report.failure.is_none(), "{}: {strong}, {weak}: {report:?}", case.title);
        }
    }
    println!("{asked} states asked");
    assert!(asked > 5000, "{asked}");
}

#[test]
fn the_page_says_what_the_grids_say() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/truths.md");
    let page = page::page(&cases(TRUTHS), &cases(LITMUS));
    if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == page, "docs/truths.md is another page: UPDATE_GOLDENFILES=1 writes it anew");
}
