use super::*;

/// What the cells hold before the first event and behind each.
fn states(events: &Events) -> Vec<Vec<(Cell, Value)>> {
    let (mut derived, mut changes) = (Derived::default(), Vec::new());
    let mut states = vec![Vec::new()];
    for event in &events.all {
        derived.event(event, &mut changes);
        states.push(derived.cells.iter().collect());
    }
    states
}

/// The property: at every event, however one comes there, the cells hold what the events made.
fn holds_everywhere(timeline: &mut Timeline, events: &Events, seed: u64) -> bool {
    let states = states(events);
    let len = states.len() - 1;
    let mut chance = Stream::new(seed);
    let mut below = |n: usize| {
        let n = u32::try_from(n).unwrap();
        usize::try_from(chance.below(Layer::World, n)).unwrap()
    };
    for _ in 0..300 {
        let at = below(len + 1);
        timeline.seek(at);
        if now(timeline) != states[at] {
            return false;
        }
        for _ in 0..below(20) {
            if below(2) == 0 {
                timeline.step();
            } else {
                timeline.back();
            }
            if now(timeline) != states[timeline.at()] {
                return false;
            }
        }
    }
    true
}

#[test]
fn seeking_anywhere_is_replaying_from_the_start_and_back_inverts() {
    for seed in 0..4 {
        let events = Events::some(seed, 3000);
        let mut timeline = read(&events.record()).unwrap();
        assert_eq!(timeline.len(), 3000);
        assert!(timeline.keys.len() > 5, "{} key lines", timeline.keys.len());
        assert!(holds_everywhere(&mut timeline, &events, seed));
    }
}

#[test]
fn all_the_way_on_and_all_the_way_back() {
    let events = Events::some(9, 2000);
    let states = states(&events);
    let mut timeline = read(&events.record()).unwrap();
    while timeline.step().is_some() {
        assert_eq!(now(&timeline), states[timeline.at()]);
    }
    assert_eq!(timeline.at(), 2000);
    while timeline.back().is_some() {
        assert_eq!(now(&timeline), states[timeline.at()]);
    }
    assert_eq!((timeline.at(), now(&timeline).len()), (0, 0));
    timeline.seek(usize::MAX);
    assert_eq!(timeline.at(), 2000, "no farther than the last");
}

#[test]
fn canaries_a_wrong_key_and_a_change_that_does_not_invert_are_noticed() {
    let events = Events::some(1, 3000);
    let text = events.record();
    let mut timeline = read(&text).unwrap();
    timeline.keys[2].runs.pop();
    assert!(!holds_everywhere(&mut timeline, &events, 1), "a key line without a cell");
    let mut timeline = read(&text).unwrap();
    timeline.keys[2].after -= 150;
    assert!(!holds_everywhere(&mut timeline, &events, 1), "a key line at another event");
    let mut timeline = read(&text).unwrap();
    for run in &mut timeline.runs {
        run.old = run.new;
    }
    assert!(!holds_everywhere(&mut timeline, &events, 1), "changes without what was before");
}

#[test]
fn an_event_is_as_it_was() {
    let events = Events::some(3, 500);
    let timeline = read(&events.record()).unwrap();
    for (at, event) in events.all.iter().enumerate() {
        let entry = timeline.entry(at).unwrap();
        assert_eq!(entry.number, u64::from(event.id.0));
        assert_eq!((entry.at, entry.cause), (event.at, u64::from(event.cause.0)));
        assert_eq!((entry.op, entry.ver), (event.op.0, event.ver.0));
        assert_eq!((entry.layer, entry.kind), (event.layer as u8, name(&event.kind)));
        let mut said = String::new();
        words(&event.kind, &mut said).unwrap();
        assert_eq!(entry.words, said);
        assert_eq!(timeline.find(entry.number), Some(at));
        if event.ver != PageVer(0) {
            assert_eq!(timeline.blob(event.ver.0).unwrap().bytes.len(), 5);
        }
    }
    assert_eq!((timeline.entry(500), timeline.find(501)), (None, None));
    assert_eq!(timeline.header().seed, u64::MAX);
}

#[test]
fn the_numbers_of_another_life_go_on() {
    let events = Events::some(4, 50);
    let mut recorder = Recorder::new(&Header::default());
    for _ in 0..3 {
        events.all.iter().for_each(|event| recorder.event(event, &events.arena, "again"));
    }
    let timeline = read(&recorder.finish()).unwrap();
    let last = timeline.entry(149).unwrap();
    assert_eq!((last.number, last.cause, last.words), (150, 149, "again"));
}

#[test]
fn what_was_drained_and_the_rest_are_the_whole() {
    let events = Events::some(5, 700);
    let mut recorder = Recorder::new(&Header { seed: u64::MAX, ..Header::default() });
    let mut text = Vec::new();
    for (at, event) in events.all.iter().enumerate() {
        recorder.event(event, &events.arena, "");
        if at % 100 == 0 {
            recorder.drain(&mut text).unwrap();
        }
    }
    assert_eq!(recorder.events(), 700);
    text.extend(recorder.finish().bytes());
    assert_eq!(String::from_utf8(text).unwrap(), events.record());
}

/// However many cells there are, key lines cost no more than what changed.
#[test]
fn key_lines_are_no_larger_than_what_happened() {
    let mut events = Events::new(6);
    events.version(7, 0, b"one");
    events.version(7, 0, b"two");
    for n in 0..20_000 {
        // Every other page, so that nothing joins; then one of them again and again.
        let page = if n < 10_000 { 2 * n } else { 0 };
        events.push(Layer::PageCache, Kind::Dirtied { ino: Ino(7), page });
        events.ver = PageVer(1 + n % 2);
    }
    let text = events.record();
    let of = |begin: &str| {
        text.lines().filter(|line| line.starts_with(begin)).map(str::len).sum::<usize>()
    };
    let (keys, lines) = (of("{\"key\""), of("{\"i\""));
    assert!(keys > 0 && keys < lines, "{keys} bytes of key lines, {lines} of events");
    read(&text).unwrap();
}
