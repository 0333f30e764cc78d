//! What is put into the page stays what it is, and stays where it is.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const OPEN: &str = "<script type=\"application/json\" id=\"ondisk-data\">";

/// What stands in the page's data element, as the tokenizer of a browser finds it: up to the first
/// thing that can end a script or begin a comment in it.
fn element(page: &str) -> &str {
    let (_, rest) = page.split_once(OPEN).expect("the data");
    let end = rest.find('<').expect("an end");
    assert!(rest[end..].starts_with("</script>"), "{}", &rest[end..][..40]);
    &rest[..end]
}

fn parsed(page: &str) -> Value {
    serde_json::from_str(element(page)).expect("JSON")
}

fn title(page: &str) -> &str {
    let (_, rest) = page.split_once("<title>").expect("a title");
    &rest[..rest.find('<').expect("an end")]
}

/// The page without its title and its data: what no data may change.
fn frame(page: &str) -> String {
    let (before, rest) = page.split_once("<title>").expect("a title");
    let (_, rest) = rest.split_once('<').expect("an end");
    let (middle, rest) = rest.split_once(OPEN).or(rest.split_once(PLACE)).expect("the place");
    let rest = rest.split_once("</script>").filter(|_| page.contains(OPEN)).map_or(rest, |it| it.1);
    format!("{before}{middle}{rest}")
}

fn script<'a>(name: &'a str, text: &'a str) -> Script<'a> {
    Script { name, text, knobs: Knobs::default(), moment: None }
}

#[test]
fn the_page_has_one_place_for_each_thing_that_is_put_into_it() {
    let (head, body) = PAGE.split_once("</head>").expect("a head");
    assert_eq!((head.matches("<title>").count(), head.matches("</title>").count()), (1, 1));
    let (before_wasm, _) = body.split_once("id=\"ondisk-wasm\"").unwrap_or((body, ""));
    assert_eq!(before_wasm.matches(PLACE).count(), 1, "before all that is long");
    assert!(!head.contains(PLACE));
}

#[test]
fn without_data_it_is_the_page_as_it_was_built() {
    assert_eq!(page(&Data::Opening), PAGE);
}

#[test]
fn a_script_comes_with_its_machine_and_its_moment() {
    let knobs =
        Knobs { fs: "xfs", mount: "journal,nodelalloc", seed: u64::MAX, ..Knobs::default() };
    let moment = Some(Moment { at: 57, death: Some(Death::Crash) });
    let data = Data::Script(Script { knobs, moment, ..script("a b", "cut\n") });
    let told = json!({
        "kind": "script", "name": "a b", "text": "cut\n",
        "knobs": {
            "fs": "xfs", "mount": "journal,nodelalloc", "scheduler": "none",
            "drive": "volatile", "profile": "rust", "seed": "18446744073709551615",
        },
        "at": 57, "death": "crash",
    });
    assert_eq!(parsed(&page(&data)), told);
    let plain = parsed(&page(&Data::Script(script("a", ""))));
    assert!(plain.get("at").is_none() && plain.get("death").is_none(), "{plain}");
}

#[test]
fn what_would_end_the_element_does_not() {
    let text =
        "</script><script>alert(1)</script><!-- <script \u{2028}\u{2029}\0\r\n\t]]> &lt; \\u003c";
    let page = page(&Data::Timeline { name: text, text });
    let told = json!({ "kind": "timeline", "name": text, "text": text });
    assert_eq!(parsed(&page), told);
    assert!(title(&page).starts_with("&lt;/script>&lt;script>alert(1)"), "{}", title(&page));
    assert!(title(&page).contains("&amp;lt;"), "{}", title(&page));
    assert!(!element(&page).contains(['\u{2028}', '\u{2029}', '\0', '\r', '\n', '\t']));
}

#[test]
fn the_policy_is_the_page_s() {
    assert!(policy().starts_with("default-src 'none'"), "{}", policy());
    assert!(!policy().contains(['&', '<', '\r', '\n']), "it may be a header: {}", policy());
}

/// Texts that mean to get out, and others.
fn hostile() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("</script".to_owned()),
        Just("</SCRIPT >".to_owned()),
        Just("<!--".to_owned()),
        Just("-->".to_owned()),
        Just(PLACE.to_owned()),
        Just("</title>".to_owned()),
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just("\u{2028}\u{2029}\u{feff}".to_owned()),
        Just("&#60;".to_owned()),
        "\\PC{0,4}",
        any::<char>().prop_map(String::from),
        (0_u8..32).prop_map(|c| char::from(c).to_string()),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    /// Whatever is put in comes out again, and the rest of the page is as it was.
    #[test]
    fn whatever_is_put_in_stays_text(name in hostile(), text in hostile(), knob in hostile()) {
        let knobs = Knobs { profile: &knob, ..Knobs::default() };
        let script = Data::Script(Script { knobs, ..script(&name, &text) });
        for data in [script, Data::Timeline { name: &name, text: &text }] {
            let page = page(&data);
            let found = parsed(&page);
            prop_assert_eq!(&found["name"], &Value::from(name.as_str()));
            prop_assert_eq!(&found["text"], &Value::from(text.as_str()));
            if found["kind"] == "script" {
                prop_assert_eq!(&found["knobs"]["profile"], &Value::from(knob.as_str()));
            }
            let odd = element(&page).contains(['\u{2028}', '\u{2029}']);
            prop_assert!(!odd);
            prop_assert_eq!(frame(&page), frame(PAGE));
        }
    }
}
