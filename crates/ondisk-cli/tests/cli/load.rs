//! `load`: order, acknowledgements, lines that are none.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use crate::harness::{Scratch, command, ondisk, ondisk_reading};

#[test]
fn lines_are_committed_in_their_order() {
    for mode in ["sync", "batch:3", "none"] {
        let scratch = Scratch::new();
        let db = &scratch.db();
        let lines = "k\t1\nother\tx\nk\t2\nk\t3";
        let told = ondisk_reading(["load", db, "--sync", mode], lines.as_bytes()).fine();
        assert_eq!(told, "k\nother\nk\nk\n", "{mode}");
        assert_eq!(ondisk(["scan", db]).fine(), "k\t3\nother\tx\n", "{mode}");
        ondisk(["check", db]).fine();
    }
}

/// Each key is told at once, though the input goes on: nothing is held back for a full buffer.
#[test]
fn a_key_is_told_while_the_input_is_still_open() {
    let scratch = Scratch::new();
    let db = &scratch.db();
    let mut child = command(["load", db]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
    for key in ["first", "second", "third"] {
        writeln!(input, "{key}\tvalue").unwrap();
        assert_eq!(told.next().unwrap().unwrap(), key);
    }
    drop(input);
    assert!(told.next().is_none());
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_line_that_is_none_ends_the_load_behind_those_before_it() {
    let wrong = [
        ("no tab", "line 3: no tab"),
        ("k\tbad \\escape", "line 3, column 7"),
        ("k\\x4\tv", "line 3, column 2"),
    ];
    for (line, says) in wrong {
        let scratch = Scratch::new();
        let db = &scratch.db();
        let input = format!("a\t1\nb\t2\n{line}\nd\t4\n");
        let said = ondisk_reading(["load", db], input.as_bytes()).expect(2, &[says]);
        assert_eq!(said.out, "a\nb\n");
        assert_eq!(ondisk(["scan", db]).fine(), "a\t1\nb\t2\n");
        ondisk(["check", db]).fine();
    }
}

#[test]
fn an_unknown_mode_is_a_usage_error() {
    let scratch = Scratch::new();
    ondisk(["load", &scratch.db(), "--sync", "always"]).expect(2, &["always", "batch:N"]);
    assert!(!std::path::Path::new(&scratch.db()).exists());
}
