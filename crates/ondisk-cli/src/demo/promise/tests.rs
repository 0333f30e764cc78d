//! What counts as lost, and what a row must be.

use super::*;

#[test]
fn what_is_owed_and_not_there_is_lost() {
    let mut row = PowerCuts { at_risk: Some(2), ..PowerCuts::default() };
    for (owed, found) in [(5, Found::Commits(5)), (5, Found::Commits(6)), (5, Found::Commits(3))] {
        row.count(owed, found);
    }
    assert_eq!((row.states, row.acknowledged, row.lost, row.worst), (3, 15, 2, 2));
    assert!(row.is_as_promised());
    row.count(5, Found::Commits(2));
    assert!(!row.is_as_promised(), "three lost, and two may be");
}

#[test]
fn a_store_that_is_none_of_its_own_has_lost_all() {
    let mut row = PowerCuts::default();
    row.count(0, Found::Broken);
    assert!(!row.is_as_promised(), "not even mode none opens damaged");
    let mut control = PowerCuts { control: true, ..PowerCuts::default() };
    assert!(!control.is_as_promised(), "a control that loses nothing shows nothing");
    control.count(3, Found::Broken);
    assert!(control.is_as_promised() && control.lost == 3);
}

/// Recovery on a disk that was never cut finds the whole life, and a seed repeats a row.
#[test]
fn a_row_is_repeated_by_its_seed() {
    let row =
        Row { mode: SyncMode::None, engine: EngineKind::Bitcask, model: STRICT, control: None };
    let pull = |seed| super::pull(row, seed, &mut |_, _| {}).unwrap();
    assert_eq!(pull(3), pull(3));
    assert_ne!(pull(3), pull(4));
}
