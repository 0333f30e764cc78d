//! The grammar: what parses, what does not and what is said then, and that a script prints itself.

use proptest::prelude::*;

use super::*;

fn parse(text: &str) -> Script {
    Script::parse(text).unwrap()
}

fn error(text: &str) -> String {
    Script::parse(text).unwrap_err().to_string()
}

fn path(name: &str) -> RelPath {
    RelPath::new(name.as_bytes()).unwrap()
}

fn text(unit: &str, times: u64) -> Value {
    Value(vec![Piece::Text { unit: unit.into(), times }])
}

/// The script with every place forgotten: what a print cannot keep.
fn nowhere(mut script: Script) -> Script {
    fn forget(steps: &mut [Step]) {
        for step in steps {
            step.place = Place::default();
            if let Act::Repeat { steps, .. } = &mut step.act {
                forget(steps);
            }
        }
    }
    forget(&mut script.steps);
    script
}

/// Every word of the language with every form of its arguments.
const ALL_WORDS: &str = r#"durable { f = "A"*100 + zeros 64Ki; mkdir d1; allocate f 1Mi; link f d1/g }
open f
open f read
open f write create excl trunc append dsync sync
write f "ab"
write f zeros 4096 @64Ki
pwrite "odd name" "\x00\n\"\\"*3 @0
flush f
close f
read f
setlen f 0
allocate f 2Mi
remove f
link a b
symlink a b
rename a b
exchange a b
mkdir d1
rmdir d1
chmod f 0644
fsync f
fdatasync f
fsyncdir .
sync
ack "ok"
@B ack "ok" f d1/g
wait 6s
wait 1500us
wait 7ns
fail write f EIO
fail fsync f ENOSPC
fail fdatasync f EIO
@long_name_1 repeat 3 {
    write f "x"
    @A flush f
    repeat 2 {
        fsync f
    }
}
expect f = "" | absent | "ab"*2 + "c" | zeros 7 | partial | junk
kill
crash
cut
"#;

#[test]
fn every_word_prints_as_it_was_written() {
    let once = parse(ALL_WORDS).to_string();
    assert_eq!(once, ALL_WORDS.replace("\\x00", "\\0"));
    assert_eq!(nowhere(parse(&once)), nowhere(parse(ALL_WORDS)));
}

#[test]
fn the_example_of_the_house_style() {
    let script = parse(
        "durable { config = \"v1\" }\n\
         open config.new create; write config.new \"v2\"; flush config.new\n\
         rename config.new config        # no sync before the rename: the classic\n\
         cut\n",
    );
    assert_eq!(script.durable, [Setup::File { path: path("config"), value: text("v1", 1) }]);
    let places: Vec<(u32, u32)> =
        script.steps.iter().map(|step| (step.place.line, step.place.column)).collect();
    assert_eq!(places, [(2, 1), (2, 25), (2, 48), (3, 1), (4, 1)]);
    let rename = Call::Rename(path("config.new"), path("config"));
    assert_eq!(script.steps[3].act, Act::Call(rename));
    assert_eq!(script.steps[4].act, Act::Die(Death::Cut));
}

/// `@T` holds to the end of its line, and in the block that opens there.
#[test]
fn a_task_holds_for_its_line() {
    let script = parse(
        "sync\n@B sync; sync; @C sync\nsync\n\
         @B repeat 2 { sync; @C sync\n sync }; sync\n sync",
    );
    let tasks: Vec<&str> = script.steps.iter().map(|step| step.task.as_str()).collect();
    assert_eq!(tasks, ["A", "B", "B", "C", "A", "B", "B", "A"]);
    let Act::Repeat { steps, .. } = &script.steps[5].act else { panic!("no block") };
    let tasks: Vec<&str> = steps.iter().map(|step| step.task.as_str()).collect();
    assert_eq!(tasks, ["B", "C", "B"]);
}

/// A word means something only where it is expected: any name may be a file's.
#[test]
fn no_name_is_taken() {
    let script =
        parse("open create create; write zeros zeros 1; ack \"x\" kill cut; expect 0 = \"\"");
    assert_eq!(script.steps.len(), 4);
    let open = &script.steps[0].act;
    let how = OpenHow { access: OpenAccess::ReadWrite, flags: vec![OpenFlag::Create] };
    assert_eq!(*open, Act::Call(Call::Open { path: path("create"), how }));
}

#[test]
fn empty_lines_comments_and_line_ends_are_nothing() {
    assert_eq!(parse(""), Script::default());
    assert_eq!(parse("\n ; # a comment; sync\n\r\n"), Script::default());
    assert_eq!(parse("durable { # nothing\n }\n"), Script::default());
    assert_eq!(parse("# first\n\ndurable { f = \"\" }; sync\r\nsync#").steps.len(), 2);
}

#[test]
fn numbers_and_bytes() {
    let script = parse(r#"write f "\x41\0é"*2 + zeros 1Ki + "" @1Mi"#);
    let Act::Call(Call::Write { value, at, .. }) = &script.steps[0].act else { panic!("no write") };
    assert_eq!((value.len(), *at), (8 + 1024, Some(1 << 20)));
    assert!(value.bytes().starts_with(b"A\0\xc3\xa9A\0\xc3\xa9\0\0"));
    assert_eq!(value.bytes().len() as u64, value.len());
    assert_eq!(Value::of(&value.bytes()).bytes(), value.bytes());
    assert_eq!(Value::of(b"ab\0\0AAAAAAAAAb").to_string(), r#""ab" + zeros 2 + "A"*9 + "b""#);
    assert_eq!(Value::of(b"").to_string(), "\"\"");
}

#[test]
fn a_run_is_measured_before_it_begins() {
    let script = parse("repeat 10 { write f \"ab\"; repeat 3 { pwrite f \"abc\" @0 } }; sync");
    assert_eq!((script.run_len(), script.run_bytes()), (41, 110));
    let nested = "repeat 1000000 { ".repeat(8) + "write f zeros 1Mi" + &" }".repeat(8);
    let script = parse(&nested);
    assert_eq!((script.run_len(), script.run_bytes()), (u64::MAX, u64::MAX));
}

#[test]
fn an_error_says_where_what_and_what_to_do() {
    let cases = [
        (
            "sync\n  wrtie f \"a\"",
            "line 2, column 3: `wrtie` is no word of a script: did you mean `write`?",
        ),
        ("frobnicate", "line 1, column 1: `frobnicate` is no word of a script"),
        (
            "write f",
            "line 1, column 8: expected a value (`\"ab\"`, `\"ab\"*n` or `zeros n`), found the end of the script",
        ),
        (
            "write f 12",
            "line 1, column 9: expected a value (`\"ab\"`, `\"ab\"*n` or `zeros n`), found `12`",
        ),
        (
            "pwrite f \"a\"\n",
            "line 1, column 13: expected an offset (`@0`, `@64Ki`), found the end of the step",
        ),
        (
            "write f \"a\" \"b\"",
            "line 1, column 13: expected the end of the step (a new line or `;`), found a string",
        ),
        (
            "write f \"a\ncut",
            "line 1, column 9: the string is not closed on its line: end it with `\"`, write a newline as `\\n`",
        ),
        (
            "write f \"é\\q\"",
            "line 1, column 11: unknown escape: there are `\\n`, `\\r`, `\\t`, `\\0`, `\\\"`, `\\\\` and `\\xNN` with two hexadecimal digits",
        ),
        ("open $f", "line 1, column 6: `$` cannot stand here: put an odd name into quotes"),
        (
            "open ../f",
            "line 1, column 6: this is no path of a script: a component is empty, `.` or `..`: name the file from the root down",
        ),
        (
            "open /f",
            "line 1, column 6: this is no path of a script: it is absolute: leave the first `/` away",
        ),
        (
            "open \"\"",
            "line 1, column 6: this is no path of a script: it is empty: `.` is the root",
        ),
        ("open f excl", "line 1, column 8: `excl` means nothing without `create`"),
        ("open f create create", "line 1, column 15: this flag is given twice"),
        (
            "open f create read",
            "line 1, column 15: expected `create`, `excl`, `trunc`, `append`, `dsync`, `sync` or the end of the step (`read` or `write` comes first), found `read`",
        ),
        (
            "@ sync",
            "line 1, column 1: a task's name is 1 to 32 letters, digits and `_`, as in `@B`",
        ),
        (
            "repeat 2 { sync",
            "line 1, column 16: expected `}`, which closes the block, found the end of the script",
        ),
        ("sync }", "line 1, column 6: expected a step, as `write f \"ab\"`, found `}`"),
        (
            "sync\ndurable { }",
            "line 2, column 1: `durable` says what is there before the story: it stands only at the beginning",
        ),
        (
            "durable { fsync f }",
            "line 1, column 11: `fsync` cannot stand in `durable`: there stand `f = value` and calls that need no open file, as `mkdir d`, `link a b` and `allocate f n`",
        ),
        (
            "setlen f 2048Mi",
            "line 1, column 10: the length of a file in bytes is at most 1073741824",
        ),
        (
            "write f zeros 99999999999999999999999",
            "line 1, column 15: a number of zeros is at most 67108864",
        ),
        (
            "write f \"ab\"*64Mi",
            "line 1, column 9: the length of a value in bytes is at most 67108864",
        ),
        ("wait 2d", "line 1, column 6: expected a time (`6s`, `500ms`, `10us`, `1ns`), found `2d`"),
        ("wait 86401s", "line 1, column 6: a wait in seconds is at most 86400"),
        ("chmod f 999", "line 1, column 9: expected an octal mode (`0644`), found `999`"),
        ("fail fsync f EBADF", "line 1, column 14: expected `EIO` or `ENOSPC`, found `EBADF`"),
        ("expect f \"\"", "line 1, column 10: expected `=`, found a string"),
        (
            "expect f = gone",
            "line 1, column 12: expected a value, `absent`, `partial` or `junk`, found `gone`",
        ),
    ];
    for (script, message) in cases {
        assert_eq!(error(script), message, "{script}");
    }
}

#[test]
fn what_is_too_much_is_refused() {
    let deep = |depth| "repeat 2 { ".repeat(depth) + "sync" + &" }".repeat(depth);
    assert!(Script::parse(&deep(Script::DEPTH_LIMIT)).is_ok());
    assert_eq!(
        error(&deep(100_000)),
        "line 1, column 1: the script is over 262144 bytes: say it with `repeat`"
    );
    assert_eq!(error(&deep(9)), "line 1, column 98: blocks stand in blocks at most 8 deep");
    let long = format!("open \"{}\"", "n".repeat(256));
    assert!(error(&long).contains("a name in it over 255"));
    assert!(error(r#"open "a\0b""#).contains("NUL"));
}

fn names() -> impl Strategy<Value = RelPath> {
    prop_oneof![
        prop::sample::select(vec!["f", "g", "d1/f", ".", "zeros", "config.new", "a b", "é", "0"])
            .prop_map(path),
        prop::collection::vec(any::<u8>(), 1..12)
            .prop_filter_map("no path", |bytes| RelPath::new(&bytes).ok()),
    ]
}

fn sizes(limit: u64) -> impl Strategy<Value = u64> {
    prop_oneof![
        0..=limit,
        (0..=(limit >> 10)).prop_map(|n| n << 10),
        (0..=(limit >> 20)).prop_map(|n| n << 20)
    ]
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..8)
}

fn values() -> impl Strategy<Value = Value> {
    let piece = prop_oneof![
        sizes(1 << 20).prop_map(Piece::Zeros),
        (bytes(), sizes(1 << 20)).prop_map(|(unit, times)| Piece::Text { unit, times }),
    ];
    prop::collection::vec(piece, 1..4).prop_map(Value)
}

fn open_hows() -> impl Strategy<Value = OpenHow> {
    let access =
        prop::sample::select(vec![OpenAccess::ReadWrite, OpenAccess::Read, OpenAccess::Write]);
    let flags = prop::sample::subsequence(OpenFlag::ALL.to_vec(), 0..=6).prop_shuffle();
    (access, flags).prop_map(|(access, mut flags)| {
        if !flags.contains(&OpenFlag::Create) {
            flags.retain(|flag| *flag != OpenFlag::Excl);
        }
        OpenHow { access, flags }
    })
}

/// Calls that may stand in `durable`.
fn path_calls() -> impl Strategy<Value = Call> {
    let two = (names(), names(), 0..4_u8).prop_map(|(a, b, which)| match which {
        0 => Call::Link(a, b),
        1 => Call::Symlink(a, b),
        2 => Call::Rename(a, b),
        _ => Call::Exchange(a, b),
    });
    let one = (names(), 0..3_u8).prop_map(|(path, which)| match which {
        0 => Call::Remove(path),
        1 => Call::Mkdir(path),
        _ => Call::Rmdir(path),
    });
    prop_oneof![
        (names(), values(), sizes(1 << 30)).prop_map(|(path, value, at)| Call::Pwrite {
            path,
            value,
            at
        }),
        (names(), sizes(1 << 30), any::<bool>()).prop_map(|(path, n, cut)| if cut {
            Call::SetLen(path, n)
        } else {
            Call::Allocate(path, n)
        }),
        (names(), 0..=0o7777_u16).prop_map(|(path, mode)| Call::Chmod(path, mode)),
        two,
        one,
    ]
}

fn calls() -> impl Strategy<Value = Call> {
    let one = (names(), 0..6_u8).prop_map(|(path, which)| match which {
        0 => Call::Flush(path),
        1 => Call::Close(path),
        2 => Call::Read(path),
        3 => Call::Fsync(path),
        4 => Call::Fdatasync(path),
        _ => Call::FsyncDir(path),
    });
    prop_oneof![
        path_calls(),
        one,
        Just(Call::Sync),
        (names(), open_hows()).prop_map(|(path, how)| Call::Open { path, how }),
        (names(), values(), prop::option::of(sizes(1 << 30)))
            .prop_map(|(path, value, at)| Call::Write { path, value, at }),
    ]
}

fn acts() -> impl Strategy<Value = Act> {
    let call = prop::sample::select(vec![Failing::Write, Failing::Fsync, Failing::Fdatasync]);
    let errno = prop::sample::select(vec![Failure::Eio, Failure::Enospc]);
    let expected = prop_oneof![
        values().prop_map(Expected::Is),
        Just(Expected::Absent),
        Just(Expected::Partial),
        Just(Expected::Junk),
    ];
    prop_oneof![
        4 => calls().prop_map(Act::Call),
        1 => (bytes(), prop::collection::vec(names(), 0..3)).prop_map(|(text, files)| Act::Ack { text, files }),
        1 => (0..=86_400_000_000_000_u64).prop_map(|ns| Act::Wait(Duration::from_nanos(ns))),
        1 => (0..=86_400_u64).prop_map(|s| Act::Wait(Duration::from_secs(s))),
        1 => (call, names(), errno).prop_map(|(call, path, errno)| Act::Fail { call, path, errno }),
        1 => prop::sample::select(vec![Death::Kill, Death::Crash, Death::Cut]).prop_map(Act::Die),
        1 => (names(), prop::collection::vec(expected, 1..4)).prop_map(|(path, may_be)| Act::Expect { path, may_be }),
    ]
}

fn step_of(act: impl Strategy<Value = Act>) -> impl Strategy<Value = Step> {
    let task = prop::sample::select(vec!["A", "B", "writer_2"]);
    (task, act).prop_map(|(task, act)| Step {
        place: Place::default(),
        task: TaskName::new(task).unwrap(),
        act,
    })
}

fn scripts() -> impl Strategy<Value = Script> {
    let steps = step_of(acts()).prop_recursive(3, 24, 4, |inner| {
        let block = (0..=Script::REPEAT_LIMIT, prop::collection::vec(inner, 0..4))
            .prop_map(|(times, steps)| Act::Repeat { times, steps });
        step_of(block)
    });
    let setup = prop_oneof![
        (names(), values()).prop_map(|(path, value)| Setup::File { path, value }),
        path_calls().prop_map(Setup::Call),
    ];
    (prop::collection::vec(setup, 0..3), prop::collection::vec(steps, 0..12))
        .prop_map(|(durable, steps)| Script { durable, steps })
}

/// Text of the language's own tokens in any order: gets past the lexer and deep into the parser.
fn token_soup() -> impl Strategy<Value = String> {
    let tokens = ALL_WORDS
        .split_whitespace()
        .chain([";", "\n", "{", "}", "=", "|", "*", "+", "@", "#", "\"", "\\"]);
    prop::collection::vec(prop::sample::select(tokens.collect::<Vec<_>>()), 0..40)
        .prop_map(|tokens| tokens.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever script there is, its text parses to it.
    #[test]
    fn a_script_parses_from_its_own_text(script in scripts()) {
        let text = script.to_string();
        match Script::parse(&text) {
            Ok(again) => prop_assert_eq!(nowhere(again), script, "{}", text),
            Err(error) => return Err(TestCaseError::fail(format!("{error} in:\n{text}"))),
        }
    }

    /// Whatever text there is, it is a script that prints itself, or an error at one of its places.
    #[test]
    fn any_text_is_a_script_or_an_error(text in prop_oneof![any::<String>(), token_soup()]) {
        match Script::parse(&text) {
            Ok(script) => prop_assert_eq!(nowhere(parse(&script.to_string())), nowhere(script)),
            Err(error) => {
                let lines: Vec<&str> = text.split('\n').collect();
                let line = lines.get(error.place.line as usize - 1);
                prop_assert!(line.is_some_and(|line| error.place.column as usize <= line.chars().count() + 1));
            }
        }
    }
}
