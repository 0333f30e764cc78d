//! The page's own tests: those of its parts in Node, and those of the whole in real browsers.
//!
//! Needs `node` (20 or newer), `npm`, `chromium` and `firefox-esr`. Where one is missing, a line
//! says that nothing was checked; where `CI` is set that is a failure.

#![allow(clippy::disallowed_methods, reason = "runs other programs and says how long they took")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use ondisk_player::{Data, Death, Knobs, Moment, Script, page};

/// The oldest Node that runs them.
const NODE: u32 = 20;

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("web")
}

/// Straight to the descriptor: the harness keeps what a passing test prints.
fn say(what: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "suite player: {what}").unwrap();
}

fn answer(program: &str, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// `v20.20.2` is 20.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// What is missing here, in words; `None` where everything is there.
fn missing(node: Option<&str>, there: impl Fn(&str) -> bool) -> Option<String> {
    match node.and_then(major) {
        None => return Some("there is no node".into()),
        Some(older) if older < NODE => return Some(format!("node {older} is older than {NODE}")),
        Some(_) => {}
    }
    let program = ["npm", "chromium", "firefox-esr"].into_iter().find(|name| !there(name))?;
    Some(format!("there is no {program}"))
}

/// Whether the tools that the lock file names were unpacked after it was written.
fn unpacked(web: &Path) -> bool {
    let written = |path: &str| web.join(path).metadata().and_then(|about| about.modified()).ok();
    written("node_modules/.package-lock.json") >= written("package-lock.json")
}

/// A page that opens with a script: markup in its name and in its bytes, and a cut at an event.
fn given() -> PathBuf {
    let script = Script {
        name: "</script><img src=x onerror=document.title=1>",
        text: "open log create\nwrite log \"</script><!--<script>\"\nflush log\n",
        knobs: Knobs::default(),
        moment: Some(Moment { at: 5, death: Some(Death::Cut) }),
    };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("given.html");
    std::fs::write(&file, page(&Data::Script(script))).unwrap();
    file
}

/// The lines of a report that count: Node's `# pass 12` or `ℹ pass 12`, ours `browsers: …`.
fn counts(report: &str) -> String {
    let bare = report.lines().map(|line| line.trim_start_matches(['#', 'ℹ', ' ']));
    let told = ["tests ", "fail ", "skipped ", "browsers: "];
    let kept: Vec<&str> = bare.filter(|line| told.iter().any(|it| line.starts_with(it))).collect();
    kept.join(", ")
}

/// Runs a program beside the page's sources: its counts where it succeeds, all it said where not.
fn run(what: &str, program: &str, arguments: &[&str]) -> bool {
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(arguments).current_dir(web()).stdin(Stdio::null());
    command.env("ONDISK_GIVEN_PAGE", given());
    let output = command.output().unwrap();
    let report = String::from_utf8_lossy(&output.stdout);
    let held = output.status.success();
    if !held {
        say(&format!("{report}\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let verdict = if held { "held" } else { "FAILED" };
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("{what}: {verdict}, {seconds:.1} s ({})", counts(&report)));
    held
}

#[test]
fn the_page_s_own_tests_hold() {
    let version = answer("node", "--version");
    if let Some(why) = missing(version.as_deref(), |name| answer(name, "--version").is_some()) {
        assert!(std::env::var_os("CI").is_none(), "{why}");
        return say(&format!("not checked, {why}"));
    }
    if !unpacked(&web()) {
        assert!(run("tools", "npm", &["ci", "--no-audit", "--no-fund"]), "npm ci");
    }
    let parts = run("parts", "npm", &["test", "--silent"]);
    let whole = run("whole", "node", &["e2e/run.mjs"]);
    assert!(parts && whole, "the lines above say what failed");
}

#[test]
fn canaries_a_machine_that_lacks_something_is_not_taken_for_a_whole_one() {
    assert!(missing(Some("v20.0.0\n"), |_| true).is_none());
    assert!(missing(Some("v24.1.0\n"), |_| true).is_none());
    assert!(missing(None, |_| true).is_some());
    assert!(missing(Some("v18.19.0\n"), |_| true).is_some());
    assert!(missing(Some("nonsense"), |_| true).is_some());
    for program in ["npm", "chromium", "firefox-esr"] {
        assert!(missing(Some("v20.0.0"), |name| name != program).is_some(), "{program}");
    }
}

#[test]
fn what_was_counted_is_told() {
    assert_eq!(counts("ok 1\n# tests 2\n# pass 2\n# fail 0\n"), "tests 2, fail 0");
    assert_eq!(counts("ℹ tests 2\nℹ fail 1\n"), "tests 2, fail 1");
    assert_eq!(counts("ok 7 ms\nbrowsers: 2 held, 0 failed\n"), "browsers: 2 held, 0 failed");
}
