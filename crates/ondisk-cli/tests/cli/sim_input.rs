//! What is no script, or cannot be carried out: an error at its file, line and column, exit code 2,
//! never a panic, and soon.

use crate::harness::{Scratch, ondisk, ondisk_reading};

/// A script that is wrong, the place where, and what is said.
const WRONG: [(&str, &str, &str); 22] = [
    (
        "open f create\nwritet f \"A\"",
        "2:1",
        "`writet` is no word of a script: did you mean `write`?",
    ),
    ("open f create; write f", "1:23", "expected"),
    ("fsync", "1:6", "expected"),
    ("rename a", "1:9", "expected"),
    ("rename a b c", "1:12", "expected"),
    ("write f \"A", "1:9", "the string is not closed"),
    ("write f \"A\\q\"", "1:11", "unknown escape"),
    ("ack done", "1:5", "expected what is said, in quotes"),
    ("wait soon", "1:6", "expected a time"),
    ("wait 100000000000s", "1:6", "a wait in seconds is at most"),
    ("repeat 1000000000 { fsync f }", "1:8", "the number of times is at most 1000000"),
    ("open f create\nrepeat 1000000 { write f \"A\" }", "2:1", "repeat less"),
    ("repeat 1000 { repeat 1000 { write f \"A\" } }", "1:1", "repeat less"),
    ("repeat 2 { fsync f", "1:19", "expected"),
    ("}", "1:1", "expected"),
    ("open f sometimes", "1:8", "expected"),
    ("open f create excl excl", "1:20", "given twice"),
    ("fail read f EIO", "1:6", "expected `write`, `fsync` or `fdatasync`"),
    ("open /etc/passwd", "1:6", "path"),
    ("open f create; durable { g = \"A\" }", "1:16", "only at the beginning"),
    ("cut\nopen f create", "2:1", "the machine is dead"),
    ("# all\ndurable { mkdir d; mkdir d }", "2:1", "fails with EEXIST"),
];

#[test]
fn what_is_no_script_is_told_at_its_place() {
    let mut wrong = Vec::new();
    for (script, place, text) in WRONG {
        let said = ondisk_reading(["sim", "-", "--cut", "all"], script.as_bytes());
        let begins = said.err.starts_with(&format!("-:{place}: "));
        if said.code != Some(2) || !begins || !said.err.contains(text) {
            wrong.push(format!("{script:?} at {place}, {text:?}:\n{said:#?}"));
        }
        assert!(said.out.is_empty(), "{said:#?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_is_named_as_it_was_given() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a script.ondisk");
    std::fs::write(&path, "open f create\n  nonsense f\n").unwrap();
    let path = path.to_str().unwrap();
    let said = ondisk(["sim", path]).expect(2, &[]);
    assert!(said.err.starts_with(&format!("{path}:2:3: `nonsense` is no word")), "{said:#?}");
}

#[test]
fn a_file_that_is_missing_or_a_directory_is_said() {
    let scratch = Scratch::new();
    let missing = scratch.path().join("none.ondisk");
    let missing = missing.to_str().unwrap();
    ondisk(["sim", missing]).expect(2, &[missing, ":1:1: ", "cannot be read", "No such file"]);
    let dir = scratch.path().to_str().unwrap();
    ondisk(["sim", dir]).expect(2, &[dir, "cannot be read"]);
}

#[test]
fn lines_of_ten_megabytes_are_refused_at_once() {
    let long = |text: &str, times: usize| text.repeat(times).into_bytes();
    let ten = 10 << 20;
    for input in [
        long("x", ten),
        [b"write f \"".to_vec(), long("A", ten), b"\"".to_vec()].concat(),
        long("#", ten),
        long("é", ten / 2),
        long("\0", ten),
        long("write f \"A\"; ", ten / 13),
    ] {
        let said = ondisk_reading(["sim", "-"], &input).expect(2, &["-:", "over 262144 bytes"]);
        assert!(said.err.len() < 1000, "{}", said.err.len());
    }
}

#[test]
fn bytes_that_are_no_text_are_told_at_their_place() {
    let said = ondisk_reading(["sim", "-"], b"open f create\n# \xc3\xa9t\xe9\n");
    let said = said.expect(2, &["UTF-8"]);
    assert!(said.err.starts_with("-:2:5: "), "{said:#?}");
}

#[test]
fn an_error_never_prints_all_of_what_it_found() {
    let script = format!("{} f", "x".repeat(200_000));
    let said = ondisk_reading(["sim", "-"], script.as_bytes()).expect(2, &["-:1:1: "]);
    assert!(said.err.len() < 1000, "{}", said.err.len());
}

#[test]
fn options_that_say_what_there_is_not_are_refused() {
    let script = b"open f create";
    for (args, text) in [
        (["--model", "ext5"], "no such model"),
        (["--fs", "fat"], "possible values"),
        (["--mount", "fast"], "possible values"),
        (["--cut", "soon"], "expected the number of an event, or `all`"),
        (["--drive", "honest"], "possible values"),
        (["--profile", "java"], "no such buffer"),
        (["--seed", "x"], "--seed"),
    ] {
        let all = ["sim", "-"].iter().chain(&args).copied();
        ondisk_reading(all, script).expect(2, &[text]);
    }
    let two = ["sim", "-", "--cut", "all", "--kill", "all"];
    ondisk_reading(two, script).expect(2, &["cannot be used with"]);
    ondisk(["sim"]).expect(2, &["Usage:"]);
}

#[test]
fn an_empty_script_and_an_acknowledgement_for_nothing_are_fine() {
    for script in ["", "\n\n", "# nothing", "ack \"hello\"", "cut", "ack \"\"; kill"] {
        let said = ondisk_reading(["sim", "-", "--cut", "all"], script.as_bytes());
        assert_eq!(said.code, Some(0), "{script:?}: {said:#?}");
    }
}
