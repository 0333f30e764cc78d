//! The grammar: what parses, what does not and what is said then, and that a script prints itself.

mod property;
mod runs;

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

/// A script and its error: in pairs, a line each, for no error is told in two.
#[test]
fn an_error_says_where_what_and_what_to_do() {
    let mut lines = include_str!("tests/errors.txt").lines().filter(|line| !line.starts_with("--"));
    let mut pairs = 0;
    while let (Some(script), Some(message)) = (lines.next(), lines.next()) {
        assert_eq!(error(&script.replace('⏎', "\n")), message, "{script}");
        pairs += 1;
    }
    assert!(pairs >= 29, "only {pairs} pairs read");
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
