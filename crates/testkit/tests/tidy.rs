//! Rules about the repository, as a test: what a newcomer relies on to find the way.
//!
//! Reads the sources as text. Each rule is a function from a file to what is wrong with it, so that
//! the canaries can show each rule a file that breaks it.

#![allow(clippy::disallowed_methods, reason = "reads the repository, not storage")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the repository: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

type Rule = fn(&Source) -> Option<String>;

const RULES: [(&str, Rule); 6] = [
    ("a module opens with what it holds", opens_with_a_head),
    ("a file is short enough to be read", is_short),
    ("the operations level names no machine", ops_names_no_machine),
    ("unsafe stands where the name says so", unsafe_is_named),
    ("nothing is left to be done", nothing_is_left),
    ("the log and the engines know no simulation", knows_its_place),
];

fn is_rust(source: &Source) -> bool {
    source.path.ends_with(".rs")
}

/// A part of the page's source.
fn is_web(source: &Source) -> bool {
    [".ts", ".mjs"].iter().any(|end| source.path.ends_with(end))
}

fn opens_with_a_head(source: &Source) -> Option<String> {
    let head = source.text.lines().next().unwrap_or_default();
    if is_web(source) && !head.starts_with("// ") {
        return Some("no `//` at the top".into());
    }
    let inner = source.path.contains("/tests/") || source.path.ends_with("/tests.rs");
    (is_rust(source) && !inner && !head.starts_with("//! ")).then(|| "no `//!` at the top".into())
}

fn is_short(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    let limit = if is_web(source) { 400 } else { 600 };
    let counts = is_rust(source) || is_web(source);
    (counts && lines > limit).then(|| format!("{lines} lines; {limit} are the limit"))
}

fn ops_names_no_machine(source: &Source) -> Option<String> {
    let ops = source.path.starts_with("crates/ondisk-sim/src/ops");
    let named = ["crate::machine", "super::machine"].iter().any(|name| source.text.contains(name));
    (ops && named).then(|| "names the machine".into())
}

fn unsafe_is_named(source: &Source) -> Option<String> {
    let allowed = ["/os.rs", "/os/", "/raw.rs"].iter().any(|place| source.path.contains(place));
    let word = concat!("unsafe", " {");
    (is_rust(source) && !allowed && source.text.contains(word)).then(|| "an unsafe block".into())
}

fn nothing_is_left(source: &Source) -> Option<String> {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!("), concat!("XX", "X")];
    let mark = marks.iter().find(|mark| source.text.contains(**mark))?;
    Some(format!("holds {mark}"))
}

fn knows_its_place(source: &Source) -> Option<String> {
    let below = ["ondisk-fs/src", "ondisk-log/src", "ondisk/src"];
    let is_below = below.iter().any(|room| source.path.starts_with(&format!("crates/{room}")));
    let is_test = source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
    (is_below && !is_test && source.text.contains("ondisk_sim"))
        .then(|| "names the simulation".into())
}

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().expect("the repository")
}

/// What is made of the sources, or is somebody else's.
const NOT_OURS: [&str; 3] = ["dist", "node_modules", "target"];

fn sources() -> Vec<Source> {
    let root = root();
    let mut left = vec![root.join("crates"), root.join("docs"), root.join("examples")];
    let mut sources = Vec::new();
    while let Some(path) = left.pop() {
        if NOT_OURS.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(&root).unwrap().display().to_string();
            sources.push(Source { path, text });
        }
    }
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

#[test]
fn the_repository_keeps_its_rules() {
    let sources = sources();
    assert!(sources.len() > 50, "only {} files were found", sources.len());
    let mut broken = Vec::new();
    for source in &sources {
        for (name, rule) in RULES {
            if let Some(what) = rule(source) {
                broken.push(format!("{}: {name}: {what}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_format_has_its_page() {
    let formats =
        ["anchor", "log", "data", "hint", "machine-ext4", "manifest", "lsm-manifest", "table"];
    for format in formats {
        let page = root().join(format!("docs/format/{format}.md"));
        let text = fs::read_to_string(&page).unwrap_or_default();
        assert!(text.contains("ersion"), "{}: missing, or says no version", page.display());
    }
}

#[test]
fn canaries_each_rule_finds_the_file_that_breaks_it() {
    let file = |path: &str, text: &str| Source { path: path.into(), text: text.into() };
    let lines = "//! head\n".repeat(601);
    let marked = format!("//! head\n// {}: later\n", concat!("TO", "DO"));
    let block = format!("//! head\n{} }}\n", concat!("unsafe", " {"));
    let breaking = [
        file("crates/x/src/a.rs", "fn main() {}\n"),
        file("crates/x/src/a.rs", &lines),
        file("crates/ondisk-sim/src/ops/a.rs", "//! head\nuse crate::machine::Sim;\n"),
        file("crates/x/src/a.rs", &block),
        file("crates/x/src/a.rs", &marked),
        file("crates/ondisk-log/src/a.rs", "//! head\nuse ondisk_sim::MemFs;\n"),
    ];
    for ((name, rule), source) in RULES.iter().zip(&breaking) {
        assert!(rule(source).is_some(), "{name} does not notice {}", source.text.len());
    }
    let web = "crates/ondisk-player/web/src/a.ts";
    assert!(opens_with_a_head(&file(web, "export {};\n")).is_some());
    assert!(is_short(&file(web, &"// head\n".repeat(401))).is_some());
    assert!(RULES.iter().all(|(_, rule)| rule(&file(web, "// head\n")).is_none()));
    let good = file("crates/ondisk-log/src/a.rs", "//! head\nfn f() {}\n");
    assert!(RULES.iter().all(|(_, rule)| rule(&good).is_none()));
}
