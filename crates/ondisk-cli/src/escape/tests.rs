//! The escape, held against all bytes, and against lines that are wrong.

use proptest::prelude::*;

use super::{LineError, Pair, escape, parse_line, unescape};

fn line_of(key: &[u8], value: &[u8]) -> Vec<u8> {
    format!("{}\t{}", escape(key), escape(value)).into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever bytes a key and a value hold, their line says exactly them.
    #[test]
    fn a_line_gives_back_its_pair(key: Vec<u8>, value: Vec<u8>) {
        let pair = Pair { key: key.clone(), value: value.clone() };
        prop_assert_eq!(parse_line(&line_of(&key, &value), 1), Ok(pair));
    }

    /// An escaped field is one field of one line: no control character is left in it.
    #[test]
    fn an_escaped_field_is_printable(bytes: Vec<u8>) {
        prop_assert!(!escape(&bytes).chars().any(char::is_control));
    }

    /// No line makes the reader panic, and an error points into the line.
    #[test]
    fn any_line_is_read_or_refused(text in proptest::collection::vec(any_odd_byte(), 0..40)) {
        if let Err(LineError::UnknownEscape { column, .. }) = parse_line(&text, 1) {
            prop_assert_eq!(text[column - 1], b'\\');
        }
    }
}

/// Bytes that collide with the escape's own.
fn any_odd_byte() -> impl Strategy<Value = u8> {
    prop_oneof![
        Just(b'\\'),
        Just(b'x'),
        Just(b'\t'),
        Just(b'n'),
        Just(b'4'),
        Just(b'g'),
        any::<u8>()
    ]
}

#[test]
fn every_byte_alone_goes_there_and_back() {
    for byte in 0..=u8::MAX {
        let text = escape(&[byte]);
        assert_eq!(unescape(text.as_bytes()).unwrap().as_ref(), [byte], "{text}");
    }
}

#[test]
fn text_stays_legible() {
    assert_eq!(escape("Grüße, \"日本\"".as_bytes()), "Grüße, \"日本\"");
    assert_eq!(escape(b"a\tb\nc\\d\re\0\x7f\xff"), r"a\tb\nc\\d\re\x00\x7f\xff");
    assert_eq!(escape("\u{85}".as_bytes()), r"\xc2\x85");
}

#[test]
fn wrong_lines_say_where() {
    assert_eq!(parse_line(b"no tab here", 7), Err(LineError::NoTab { line: 7 }));
    let unknown = |column| Err(LineError::UnknownEscape { line: 3, column });
    assert_eq!(parse_line(b"k\\q\tv", 3), unknown(2));
    assert_eq!(parse_line(b"k\tv\\", 3), unknown(4));
    assert_eq!(parse_line(b"k\tv\\x4", 3), unknown(4));
    assert_eq!(parse_line(b"k\tv\\xg0", 3), unknown(4));
    assert_eq!(parse_line(b"k\tv\\x+1", 3), unknown(4));
}

#[test]
fn all_after_the_first_tab_is_the_value() {
    let pair = Pair { key: b"k".to_vec(), value: b"a\tb".to_vec() };
    assert_eq!(parse_line(b"k\ta\tb", 1), Ok(pair));
    assert_eq!(parse_line(b"\t", 1), Ok(Pair { key: Vec::new(), value: Vec::new() }));
}
