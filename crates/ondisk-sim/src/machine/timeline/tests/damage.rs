use super::*;

fn text() -> String {
    Events::some(8, 300).record()
}

#[test]
fn a_timeline_that_was_cut_off_says_so() {
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    let whole = lines[..lines.len() - 1].join("\n") + "\n";
    let error = read(&whole).unwrap_err();
    assert!(matches!(error, TimelineError::Truncated { events: 300 }), "{error}");
    for len in (0..text.len()).step_by(997).chain([text.len() - 1]) {
        let error = read(&text[..len]).unwrap_err();
        assert!(matches!(error, TimelineError::Truncated { .. }), "{len}: {error}");
    }
}

#[test]
fn another_text_and_a_newer_version_are_refused() {
    for other in ["hello\n", "{}\n", "{\"ondisk\":\"recording\",\"v\":1}\n", "\u{0}\n"] {
        assert!(matches!(read(other), Err(TimelineError::Other)), "{other:?}");
    }
    let newer = text().replacen("\"v\":1", "\"v\":2", 1);
    let error = read(&newer).unwrap_err();
    assert!(matches!(error, TimelineError::Newer { version: 2, known: 1 }), "{error}");
}

#[test]
fn unknown_fields_lines_kinds_and_places_are_no_error() {
    let text = concat!(
        "{\"ondisk\":\"timeline\",\"v\":1,\"seed\":\"7\",\"config\":{\"a\":\"b\",\"c\":3},\"new\":[]}\n",
        "{\"snapshot\":1,\"of\":{}}\n",
        "{\"i\":3,\"t\":\"18446744073709551615\",\"l\":9,\"k\":\"Teleported\",\"x\":1,",
        "\"d\":[[\"dentry/2/a\",\"\",\"N\"],[\"q/1\",\"\",\"Q\",\"why\"]]}\n",
    );
    let mut digest = Digest::default();
    for line in text.lines() {
        let Digest(a, b) = crate::ops::digest::bytes_digest(line.as_bytes());
        digest.add(a);
        digest.add(b);
    }
    let end = format!("{{\"end\":1,\"digest\":\"{:016x}{:016x}\"}}\n", digest.0, digest.1);
    let mut timeline = read(&format!("{text}{end}")).unwrap();
    assert_eq!(timeline.header().config, [("a".into(), "b".into())]);
    assert_eq!(timeline.digest(), digest);
    let entry = timeline.step().unwrap();
    assert_eq!((entry.number, entry.kind, entry.layer), (3, "Teleported", 9));
    assert_eq!(entry.at, Ns(u64::MAX));
    assert_eq!(now(&timeline), [(Cell::one(Place::Q, 1), Value::new("Q", 0))]);
    let error = read(&format!("{text}{end}\n")).unwrap_err();
    assert!(matches!(error, TimelineError::Behind { line: 5 }), "{error}");
}

#[test]
fn every_line_that_was_changed_is_noticed() {
    let text = text();
    let lines: Vec<&str> = text.lines().collect();
    let joined = |lines: &[&str]| lines.join("\n") + "\n";
    for at in 1..lines.len() - 1 {
        let mut fewer = lines.clone();
        fewer.remove(at);
        assert!(read(&joined(&fewer)).is_err(), "without {}", lines[at]);
        let mut swapped = lines.clone();
        swapped.swap(at, at - 1);
        assert!(read(&joined(&swapped)).is_err(), "{} too soon", lines[at]);
    }
    let said = text.replacen("page 1 of", "page 9 of", 1);
    assert!(matches!(read(&said), Err(TimelineError::Digest)));
}

#[test]
fn a_change_that_does_not_fit_names_its_line_and_cell() {
    let header = "{\"ondisk\":\"timeline\",\"v\":1,\"seed\":\"7\"}\n";
    let line = "{\"i\":1,\"t\":0,\"k\":\"Queued\",\"d\":[[\"q/1\",\"P\",\"Q\"]]}\n";
    let error = read(&format!("{header}{line}")).unwrap_err();
    assert_eq!(error.to_string(), "line 2: q/1 does not hold what the lines before made of it");
    let key = "{\"key\":0,\"cells\":{\"q/1\":\"Q\"}}\n";
    let error = read(&format!("{header}{key}")).unwrap_err();
    assert!(matches!(error, TimelineError::Misfit { line: 2, .. }), "{error}");
}

#[test]
fn flipped_bytes_are_an_error_and_never_a_panic() {
    let text = text();
    let mut chance = Stream::new(3);
    for _ in 0..500 {
        let mut bytes = text.as_bytes().to_vec();
        let at = chance.below(Layer::World, u32::try_from(bytes.len()).unwrap());
        let bit = chance.below(Layer::World, 8);
        bytes[usize::try_from(at).unwrap()] ^= 1 << bit;
        assert!(Timeline::read(&mut bytes.as_slice()).is_err(), "bit {bit} of byte {at}");
    }
}

/// Hands out the same byte for ever, and counts.
struct Endless(usize);

impl std::io::Read for Endless {
    fn read(&mut self, to: &mut [u8]) -> std::io::Result<usize> {
        to.fill(b' ');
        self.0 += to.len();
        Ok(to.len())
    }
}

#[test]
fn a_line_without_end_is_refused() {
    let mut from = std::io::BufReader::new(Endless(0));
    let error = Timeline::read(&mut from).unwrap_err();
    assert!(matches!(error, TimelineError::Long { line: 1, limit: LINE }), "{error}");
    assert!(from.get_ref().0 < 10_000_000, "it was not read to its end");
}

#[test]
fn few_bytes_that_would_become_many_cells_are_refused() {
    let header = "{\"ondisk\":\"timeline\",\"v\":1,\"seed\":\"7\"}\n";
    let run =
        |cells: &str| format!("{header}{{\"i\":1,\"t\":0,\"k\":\"Cut\",\"d\":[[{cells}]]}}\n");
    let error = read(&run("\"lba/0-4294967294\",\"\",\"V\"")).unwrap_err();
    assert!(matches!(error, TimelineError::Many { line: 2, what: "cells", .. }), "{error}");
    let two = "\"lba/0-999999\",\"\",\"V\"],[\"lba/1000000-1999999\",\"\",\"V\"";
    let error = read(&run(two)).unwrap_err();
    assert!(matches!(error, TimelineError::Many { line: 2, what: "cells", .. }), "{error}");
    let mut lines = String::from(header);
    for n in 1..300 {
        let line = format!("{{\"i\":{n},\"t\":0,\"k\":\"K{n}\"}}\n");
        lines.push_str(&line);
    }
    let error = read(&lines).unwrap_err();
    assert!(matches!(error, TimelineError::Many { line: 258, what: "kinds", .. }), "{error}");
}
