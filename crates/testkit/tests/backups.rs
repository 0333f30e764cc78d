//! Backups and restores through cuts, damage and commits; and every rule of them that can be
//! broken on purpose is, and one of the suites must notice. Harness: `testkit::backups`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ondisk::sabotage::{BackupRule, Sabotage};
use ondisk_sim::Tally;
use testkit::backups::SUITES;

#[test]
fn a_backup_is_whole_or_not_there_and_so_is_a_restore() {
    for (name, suite) in SUITES {
        let (clock, tally) = (testkit::clock(), Tally::new());
        suite(None, &tally).unwrap_or_else(|why| panic!("{name}: {why}"));
        let (states, seconds) = (tally.states(), clock());
        testkit::summary(&format!(
            "suite backups {name:12}{states:>6} states, 0 violations, in {seconds:.1} s"
        ));
        assert!(states > 50 || !name.ends_with("cut"), "{name}: {states} states");
    }
}

/// Who notices, and what is said.
fn caught(rule: BackupRule) -> Option<(&'static str, String)> {
    SUITES.into_iter().find_map(|(name, suite)| {
        let tally = Tally::new();
        let broken = Some(Sabotage::Backup(rule));
        match catch_unwind(AssertUnwindSafe(|| suite(broken, &tally))) {
            Ok(Ok(())) => None,
            Ok(Err(why)) => Some((name, why.to_string())),
            Err(_) => Some((name, "a panic".to_owned())),
        }
    })
}

#[test]
fn canaries_each_broken_rule_is_noticed() {
    let clock = testkit::clock();
    let mut missed = Vec::new();
    for rule in BackupRule::ALL {
        let before = clock();
        let (by, why) = caught(rule).unwrap_or_else(|| {
            missed.push(rule);
            ("NOBODY", String::new())
        });
        let why = why.rsplit(": ").next().unwrap_or_default();
        let why: String = why.chars().take(90).collect();
        let (name, seconds) = (format!("{rule:?}"), clock() - before);
        testkit::summary(&format!("  canary {name:22} {by:12} {seconds:>5.1} s  {why}"));
    }
    let all = BackupRule::ALL.len();
    testkit::summary(&format!("suite backup_canaries: {all} rules, in {:.1} s", clock()));
    assert!(missed.is_empty(), "nobody notices: {missed:?}");
}
