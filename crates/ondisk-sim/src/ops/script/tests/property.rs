//! The two properties of the grammar: a script prints itself, and no text brings the reader down.

use proptest::prelude::*;

use super::*;

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
    let ack = (bytes(), prop::collection::vec(names(), 0..3));
    let call = prop::sample::select(vec![Failing::Write, Failing::Fsync, Failing::Fdatasync]);
    let errno = prop::sample::select(vec![Failure::Eio, Failure::Enospc]);
    let expected = prop_oneof![
        values().prop_map(Expected::Is),
        Just(Expected::Absent),
        Just(Expected::Partial),
        Just(Expected::Junk),
    ];
    let expect = (names(), prop::collection::vec(expected, 1..4));
    prop_oneof![
        4 => calls().prop_map(Act::Call),
        1 => ack.prop_map(|(text, files)| Act::Ack { text, files }),
        1 => (0..=86_400_000_000_000_u64).prop_map(|ns| Act::Wait(Duration::from_nanos(ns))),
        1 => (0..=86_400_u64).prop_map(|s| Act::Wait(Duration::from_secs(s))),
        1 => (call, names(), errno).prop_map(|(call, path, errno)| Act::Fail { call, path, errno }),
        1 => prop::sample::select(vec![Death::Kill, Death::Crash, Death::Cut]).prop_map(Act::Die),
        1 => expect.prop_map(|(path, may_be)| Act::Expect { path, may_be }),
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
                let columns = line.map(|line| line.chars().count() + 1);
                prop_assert!(columns.is_some_and(|last| error.place.column as usize <= last));
            }
        }
    }
}
