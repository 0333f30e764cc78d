use super::super::base64::{decode, encode};
use super::super::cells::{Named, Run, Span};
use super::super::json::{DEPTH, Json, Wrong, number, quote};
use super::*;

#[test]
fn json_is_read_as_it_is_written() {
    for text in ["", "plain", "\"\\/\u{8}\u{c}\n\r\t\u{1}\u{1f}", "ä€🦀", "\u{7f}\u{2028}"] {
        let mut quoted = String::new();
        quote(&mut quoted, text);
        assert_eq!(Json::parse(&quoted).unwrap().text(), Some(text));
    }
    for value in [0, 7, 10, 1 << 53, (1 << 53) + 1, u64::MAX] {
        let mut text = String::new();
        number(&mut text, value);
        assert_eq!(text.starts_with('"'), value > 1 << 53, "{text}");
        assert_eq!(Json::parse(&text).unwrap().number(), Some(value));
    }
}

#[test]
fn json_of_others_is_read_too() {
    let json = r#" { "a" : [ 1 , -2.5e+3, "x\u00e4\ud83e\udd80\/" , {} , [ ] ] ,
        "b":null,"a":0,"c":true } "#;
    let json = Json::parse(json).unwrap();
    let list = json.get("a").unwrap().list().unwrap();
    assert_eq!(list[0].number(), Some(1));
    assert_eq!(list[1], Json::Number("-2.5e+3"));
    assert_eq!(list[1].number(), None);
    assert_eq!(list[2].text(), Some("xä🦀/"));
    assert_eq!(json.get("b"), Some(&Json::Word));
    assert_eq!(json.pairs().unwrap().len(), 4);
}

#[test]
fn what_is_no_json_says_where() {
    let deep = "[".repeat(100_000);
    let cases = [
        ("", 0),
        ("{", 1),
        ("{\"a\"}", 4),
        ("{\"a\":1,}", 7),
        ("{a:1}", 1),
        ("[1 2]", 3),
        ("[1,]", 3),
        ("01", 2),
        ("1.", 2),
        ("-", 1),
        ("1e", 2),
        ("nul", 0),
        ("\"abc", 4),
        ("\"a\u{1}\"", 2),
        ("\"\\x\"", 2),
        ("\"\\u12\"", 3),
        ("\"\\u12ä4\"", 3),
        ("\"\\ud800\"", 7),
        ("\"\\ud800\\u0041\"", 13),
        ("1 1", 2),
        ("{} x", 3),
        (&deep, DEPTH as usize),
    ];
    for (text, place) in cases {
        let Err(Wrong { at, .. }) = Json::parse(text) else { panic!("{text} was taken") };
        assert_eq!(at, place, "{}", &text[..text.len().min(20)]);
    }
}

#[test]
fn bytes_are_text_and_back() {
    // RFC 4648, section 10.
    let cases = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (bytes, text) in cases {
        let mut out = String::new();
        encode(&mut out, bytes.as_bytes());
        assert_eq!(out, text);
        assert_eq!(decode(text).unwrap(), bytes.as_bytes());
    }
    let all: Vec<u8> = (0..=255).collect();
    let mut out = String::new();
    encode(&mut out, &all);
    assert_eq!(decode(&out).unwrap(), all);
    for wrong in ["Z", "Zg=", "Zg==Zg==", "Z===", "Zh==", "Zm9=", "Zm9 ", "====", "Zm9ä"] {
        assert_eq!(decode(wrong), None, "{wrong}");
    }
}

#[test]
fn cells_and_values_are_text_and_back() {
    let named = |text| match Cell::parse(text) {
        Some(Named::Run(cell, len)) => Some((cell, len)),
        _ => None,
    };
    let page = Cell::two(Place::Page, 7, 3);
    assert_eq!(named("page/7/3"), Some((page, 1)));
    assert_eq!(named("page/7/3-9"), Some((page, 7)));
    assert_eq!(named("lba/0-0"), Some((Cell::one(Place::Lba, 0), 1)));
    assert_eq!(page.to_string(), "page/7/3");
    assert!(matches!(Cell::parse("dentry/1/2/x"), Some(Named::Other)), "a newer place");
    let wrong = [
        "page",
        "page/7",
        "page/7/",
        "page/7/9-3",
        "lba/-1",
        "lba/+1",
        "lba/1/2",
        "lba/4294967296",
        "lba/0-4294967295",
        "q/x",
        "",
    ];
    for wrong in wrong {
        assert_eq!(named(wrong), None, "{wrong}");
    }
    for text in ["D17", "D17+", "running", "", "V"] {
        let span = Span::parse(text).unwrap();
        let mut out = String::new();
        span.write(&mut out);
        assert_eq!(out, text);
    }
    for wrong in ["17", "+", "D+", "D0", "ninechars", "D-1", "D1 ", "ä1", "D4294967296"] {
        assert_eq!(Span::parse(wrong), None, "{wrong}");
    }
    assert_eq!(Value::new("D", 17).to_string(), "D17");
}

#[test]
fn cells_that_lie_together_join_while_their_values_are_the_same_or_rise() {
    let page = |n| Cell::two(Place::Page, 7, n);
    let (d, w) = (|ver| Value::new("D", ver), |ver| Value::new("W", ver));
    let mut run = Run::one(page(4), d(10), w(10));
    assert!(run.takes(page(5), d(11), w(11)));
    assert!(run.takes(page(6), d(12), w(12)));
    assert!(!run.takes(page(7), d(14), w(14)), "two more");
    assert!(!run.takes(page(7), d(13), w(12)), "the new one does not rise");
    assert!(!run.takes(page(8), d(13), w(13)), "a gap");
    assert!(!run.takes(Cell::two(Place::Page, 8, 7), d(13), w(13)), "another file");
    assert_eq!(run.len, 3);
    let each: Vec<_> = run.iter().collect();
    assert_eq!(each[2], (page(6), d(12), w(12)));
    let mut run = Run::one(page(4), Value::NONE, d(10));
    assert!(run.takes(page(5), Value::NONE, d(10)));
    assert!(!run.takes(page(6), Value::NONE, d(11)), "it does not rise from the third on");
    assert!(run.takes(page(6), Value::NONE, d(10)));
}
