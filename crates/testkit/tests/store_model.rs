//! The store against a map: whatever is done to it, by whichever engine. Harness and stories:
//! `testkit::store`.

use ondisk::EngineKind;
use testkit::store::generate::{For, story};
use testkit::store::shapes::by_turns;
use testkit::store::shrink::shrink;
use testkit::store::story::SMALL;
use testkit::store::world::told;

/// Stories of each engine.
const STORIES: u64 = 200;

fn a_store_is_a_map(engine: EngineKind) {
    let clock = testkit::clock();
    let mut events = 0;
    for seed in 0..STORIES {
        let story = story(engine, seed, 50, For::Model, SMALL);
        events += story.events.len();
        if let Err(why) = told(&story, None) {
            let small = shrink(&story, &mut |story| told(story, None).is_err());
            let says = told(&small, None).err().unwrap_or_default();
            panic!("{why}\nmade small: {says}\n{small}");
        }
    }
    let turns = by_turns(engine);
    for story in &turns {
        events += story.events.len();
        told(story, None).unwrap_or_else(|why| panic!("{}: {why}", story.name));
    }
    let stories = STORIES + turns.len() as u64;
    testkit::summary(&format!(
        "suite store_model {engine}: {stories} stories, {events} events, 0 violations, in {:.1} s",
        clock()
    ));
}

#[test]
fn bitcask() {
    a_store_is_a_map(EngineKind::Bitcask);
}

#[test]
fn lsm() {
    a_store_is_a_map(EngineKind::Lsm);
}

#[test]
fn btree() {
    a_store_is_a_map(EngineKind::Btree);
}
