//! The committed module against a native build: some seeded scripts, every moment of each.
//!
//! Needs `node`. Where it is missing, a line says that nothing was compared; where `CI` is set that
//! is a failure. More scripts: `node crates/ondisk-player/conformance.mjs --seed S --count N`.

#![allow(clippy::disallowed_methods, reason = "runs another program and says how long it took")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Instant;

/// So many scripts are compared here.
const SCRIPTS: &str = "40";

/// Straight to the descriptor: the harness keeps what a passing test prints.
fn say(what: &str) {
    writeln!(std::io::stderr(), "suite conformance: {what}").expect("standard error is open");
}

/// What was compared; `None` where there is no node.
fn compared(more: &[&str]) -> Option<Output> {
    let has_node = Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_node {
        assert!(std::env::var_os("CI").is_none(), "there is no node");
        say("not compared, there is no node");
        return None;
    }
    let test = std::env::current_exe().expect("a test has a path");
    let native = test.ancestors().nth(2).expect("it is deep enough").join("examples/conform");
    let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut node = Command::new("node");
    node.arg("conformance.mjs").arg("--native").arg(native).args(more).current_dir(room);
    Some(node.output().expect("node runs"))
}

#[test]
fn the_module_answers_as_a_native_build_does() {
    let began = Instant::now();
    let Some(output) = compared(&["--seed", "1", "--count", SCRIPTS]) else { return };
    let told = String::from_utf8_lossy(&output.stdout);
    let last = told.lines().last().unwrap_or_default();
    say(&format!("{last}, {:.1} s", began.elapsed().as_secs_f64()));
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(last.starts_with(&format!("{{\"scripts\":{SCRIPTS},")), "{last}");
    assert!(last.ends_with("\"differences\":0}"), "{last}");
}

#[test]
fn canary_one_answer_that_differs_is_noticed() {
    let Some(output) = compared(&["--seed", "3", "--count", "2", "--canary"]) else { return };
    assert_eq!(output.status.code(), Some(1));
}
