//! The README's examples at the shell: what it shows is what the binary prints.
#![allow(clippy::disallowed_methods, reason = "reads the README, runs the binary")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::{Command, Stdio};

/// The commands of all `console` blocks, each with the output that follows it.
fn examples(readme: &str) -> Vec<(String, String)> {
    let mut examples: Vec<(String, String)> = Vec::new();
    let mut inside = false;
    for line in readme.lines() {
        match (inside, line.strip_prefix("$ "), examples.last_mut()) {
            _ if line.starts_with("```") => inside = line == "```console",
            (true, Some(command), _) => examples.push((command.to_owned(), String::new())),
            (true, None, Some((_, output))) => {
                output.push_str(line);
                output.push('\n');
            }
            _ => {}
        }
    }
    examples
}

fn run(command: &str, dir: &Path) -> String {
    let bin = Path::new(env!("CARGO_BIN_EXE_ondisk")).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap_or_default());
    let output = Command::new("sh")
        .args(["-c", command])
        .env("PATH", path)
        .current_dir(dir)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_readme_shows_what_the_binary_prints() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let examples = examples(&std::fs::read_to_string(readme).unwrap());
    assert!(examples.len() >= 4, "{examples:?}");
    let dir = tempfile::tempdir().unwrap();
    for (command, output) in examples {
        assert_eq!(run(&command, dir.path()), output, "{command}");
    }
}

#[test]
fn canary_an_example_that_is_wrong_is_noticed() {
    let wrong = "```console\n$ ondisk put notes a b\nbuffered (commit 1)\n```\n";
    let (command, output) = examples(wrong).remove(0);
    let dir = tempfile::tempdir().unwrap();
    assert_ne!(run(&command, dir.path()), output);
}
