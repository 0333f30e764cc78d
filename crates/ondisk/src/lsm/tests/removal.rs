//! Obsolete tables stay while somebody may read them, and go when nobody may.

use std::io::ErrorKind;

use ondisk_sim::{Fault, Place, Target};

use super::*;

fn filled(sabotage: Option<LsmRule>) -> Fixture {
    let mut fixture = Fixture::new(sabotage);
    for round in 0..3 {
        let ops = (0..KEYS).map(|it| (key(it), Some(vec![round; 20])));
        fixture.checkpoint(&[ops.collect()]);
    }
    fixture
}

#[test]
fn a_table_that_a_view_needs_stays() {
    let fixture = filled(None);
    let before = fixture.tables();
    let (view, model) = (fixture.lsm.view(), fixture.model.clone());
    let mut walk = Arc::clone(&view).walk(Bound::Unbounded, Bound::Unbounded, Direction::Forward);
    assert!(walk.advance().unwrap());
    fixture.reclaim(Reclaim::All);
    let stats = fixture.lsm.stats();
    assert_eq!(stats.obsolete_files, before as u64, "{stats:?}");
    check_view(&view, &model);
    drop(view);
    // The walk goes on with the tables alone.
    fixture.reclaim(Reclaim::All);
    assert_eq!(fixture.lsm.stats().obsolete_files, before as u64);
    while walk.advance().unwrap() {}
    drop(walk);
    fixture.reclaim(Reclaim::Due);
    assert_eq!(fixture.lsm.stats().obsolete_files, 0);
    assert_eq!(fixture.tables(), fixture.lsm.version().tables().count());
}

#[test]
fn a_table_that_a_reader_elsewhere_may_need_stays() {
    let mut fixture = filled(None);
    (fixture.readers.oldest, fixture.readers.newest) = (5.into(), 6.into());
    fixture.reclaim(Reclaim::All);
    let kept = fixture.lsm.stats().obsolete_files;
    assert!(kept > 0);
    // No job is made for what cannot be done, but each that is made tries again.
    assert!(Arc::clone(&fixture.lsm).reclaim(Reclaim::All).is_none());
    fixture.readers.oldest = 6.into();
    fixture.checkpoint(&[]);
    fixture.checkpoint(&[vec![]]);
    assert_eq!(fixture.lsm.stats().obsolete_files, kept);
    // The one who came when the manifest was new already is none of them.
    fixture.readers.oldest = 7.into();
    fixture.checkpoint(&[vec![]]);
    assert_eq!(fixture.lsm.stats().obsolete_files, 0);
}

#[test]
fn rules_of_removal_that_are_broken_are_found_out() {
    let broken = |rule| {
        let mut fixture = filled(Some(rule));
        fixture.readers = Readers { newest: 5.into(), oldest: 0.into() };
        let (view, before) = (fixture.lsm.view(), fixture.tables());
        if rule == LsmRule::PinsIgnored {
            fixture.readers.oldest = 5.into();
        }
        let view = (rule == LsmRule::ViewsIgnored).then_some(view);
        fixture.reclaim(Reclaim::All);
        let kept = fixture.tables() > before;
        drop(view);
        kept
    };
    assert!(!broken(LsmRule::ViewsIgnored));
    assert!(!broken(LsmRule::PinsIgnored));
}

#[test]
fn what_cannot_be_removed_is_tried_again_but_not_in_a_circle() {
    let fixture = filled(None);
    let (target, kind) = (Target::Only(Place::Remove), ErrorKind::PermissionDenied);
    fixture.fs.inject(Fault::next(target, kind).on("db/7/0000000001.table").forever());
    fixture.reclaim(Reclaim::All); // comes to an end
    let kept = fixture.lsm.stats().obsolete_files;
    assert!(kept > 0);
    fixture.fs.clear_faults();
    assert!(Arc::clone(&fixture.lsm).reclaim(Reclaim::All).is_none());
    let mut fixture = fixture;
    fixture.checkpoint(&[vec![]]);
    assert_eq!(fixture.lsm.stats().obsolete_files, 0);
    assert_eq!(fixture.tables(), fixture.lsm.version().tables().count());
}
