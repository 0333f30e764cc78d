use super::*;
use crate::sim::config::Config;
use crate::sim::input::Source;
use crate::sim::played::Played;
use crate::sim::wrap::WIDTH;

const SCRIPT: &str = "open f create; write f \"ABC\"; flush f; ack \"early\"; fsync f; ack \"A\"";

#[derive(clap::Parser)]
struct Options {
    #[command(flatten)]
    config: Config,
}

fn played() -> Played {
    let config = <Options as clap::Parser>::parse_from(["sim"]).config;
    let source = Source { name: "-".to_owned(), text: SCRIPT.to_owned() };
    let script = super::super::input::parse(&source).unwrap();
    let stage = config.stage().unwrap();
    Played::of(&source, &script, (&config, &stage), None).unwrap()
}

#[test]
fn keys_are_read_however_their_bytes_come() {
    let all = b"\x1b[C\x1b[D \rbcxq\x1bOC\x1b[1;5~\x1b[Z";
    use Key::{Back, Barrier, Cut, Next, Quit};
    let told = [Next, Back, Next, Next, Barrier, Cut, Quit, Next];
    assert_eq!(Keys::default().take(all), told);
    let mut keys = Keys::default();
    let one_by_one: Vec<Key> = all.iter().flat_map(|byte| keys.take(&[*byte])).collect();
    assert_eq!(one_by_one, told);
}

#[test]
fn what_is_drawn_depends_on_the_place_alone() {
    let played = played();
    let reel = played.reel().unwrap();
    let mut walk = Walk::new(reel).unwrap();
    let mut drawn = vec![picture(reel, &walk.timeline, Paint::plain())];
    while walk.timeline.at() < reel.moved.len() {
        walk.go(Key::Next);
        drawn.push(picture(reel, &walk.timeline, Paint::plain()));
    }
    for picture in drawn.iter().flatten() {
        assert!(picture.chars().count() <= WIDTH, "{picture}");
    }
    for before in drawn.iter().rev().skip(1) {
        walk.go(Key::Back);
        assert_eq!(picture(reel, &walk.timeline, Paint::plain()), *before);
    }
    // A canary: the pictures differ.
    assert!(drawn.windows(2).all(|two| two[0] != two[1]));
}

#[test]
fn the_next_barrier_is_a_flush_or_an_acknowledgement() {
    let played = played();
    let reel = played.reel().unwrap();
    let mut walk = Walk::new(reel).unwrap();
    let mut met = Vec::new();
    while walk.timeline.at() < reel.moved.len() {
        walk.go(Key::Barrier);
        met.push(reel.moved[walk.timeline.at() - 1].0.kind);
    }
    assert!(matches!(met.first(), Some(Kind::Ack { .. })), "{met:?}");
    assert!(matches!(met.last(), Some(Kind::Ack { .. })), "{met:?}");
    assert!(met.iter().any(|kind| matches!(kind, Kind::FlushDone { .. })), "{met:?}");
}

#[test]
fn colour_says_nothing_that_the_text_does_not() {
    let played = played();
    let reel = played.reel().unwrap();
    let mut walk = Walk::new(reel).unwrap();
    walk.go(Key::Barrier);
    let mut text = picture(reel, &walk.timeline, Paint::always()).join("\n");
    for code in ["\x1b[0m", "\x1b[1m", "\x1b[2m"] {
        text = text.replace(code, "");
    }
    assert_eq!(text, picture(reel, &walk.timeline, Paint::plain()).join("\n"));
}
