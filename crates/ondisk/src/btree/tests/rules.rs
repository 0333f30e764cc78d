//! Each rule that is broken on purpose is noticed, and a tree that breaks none is not accused.

use ondisk_sim::Budget;

use super::shrinking::{Values, grown};
use super::*;

/// Some checkpoints that grow, change and shrink a tree; what it must hold after each.
fn grow(
    engine: &Arc<Btree>,
    readers: &Readers,
    range: std::ops::Range<u64>,
    model: &mut Contents,
) -> Result<(), Error> {
    for nth in range {
        let keys = (0..150_u64).map(|n| (n * 13 + nth * 31) % 500);
        let changes: Changes = keys
            .map(|n| {
                let value = format!("checkpoint {nth} key {n} ").repeat(3).into_bytes();
                (format!("key{n:04}").into_bytes(), (!(n + nth).is_multiple_of(3)).then_some(value))
            })
            .collect();
        apply(model, &changes);
        checkpoint(engine, &changes, nth, readers)?;
    }
    Ok(())
}

/// Whether a tree and a map still say the same, key by key and in order.
fn agrees(engine: &Arc<Btree>, model: &Contents) -> bool {
    let view = engine.view();
    let get = |(key, value): (&Vec<u8>, &Vec<u8>)| {
        view.get(key).is_ok_and(|found| found.as_deref() == Some(&value[..]))
    };
    contents(&view).is_ok_and(|found| found == *model) && model.iter().all(get)
}

fn plainly_wrong(broken: Option<BtreeRule>) -> bool {
    let (fs, readers, mut model) = (MemFs::new(), Readers::default(), Contents::new());
    let mut right = true;
    for nth in 1..8 {
        let engine = open(site(&fs, 1024, broken)).unwrap();
        let done = grow(&engine, &readers, nth..nth + 1, &mut model);
        right &= done.is_ok() && agrees(&engine, &model);
        right &= agrees(&open(site(&fs, 1024, broken)).unwrap(), &model);
        right &= findings(&site(&fs, 1024, broken)).is_empty();
    }
    !right
}

fn log_passed(broken: Option<BtreeRule>) -> bool {
    let fs = MemFs::new();
    let engine = open(site(&fs, 1024, broken)).unwrap();
    let changes = Changes::from([(b"key".to_vec(), Some(b"value".to_vec()))]);
    let mut job = Arc::clone(&engine).checkpoint(frozen(&changes, 5));
    let readers = Readers::default();
    let work = Work { bytes: 1000, durable: &|| Lsn(4), pins: &readers };
    let mut passed = false;
    for _ in 0..10 {
        passed |= job.step(&work).unwrap() == Progress::Finished;
    }
    assert_eq!(passed, engine.view().through() == Lsn(5));
    let work = Work { durable: &|| Lsn(5), ..work };
    assert_eq!(job.step(&work).unwrap(), Progress::Finished);
    assert_eq!(engine.view().through(), Lsn(5));
    passed
}

/// Who keeps a view over many checkpoints.
#[derive(Clone, Copy, Debug)]
enum Keeper {
    /// This process.
    Own,
    /// Another one, which has a pin.
    Other,
}

fn view_lost(broken: Option<BtreeRule>, keeper: Keeper) -> bool {
    let (fs, readers, mut model) = (MemFs::new(), Readers::default(), Contents::new());
    let mut engine = open(site(&fs, 1024, broken)).unwrap();
    grow(&engine, &readers, 1..4, &mut model).unwrap();
    let (view, of_view) = match keeper {
        Keeper::Own => (engine.view(), model.clone()),
        Keeper::Other => {
            readers.newest.store(2, Relaxed);
            readers.oldest.store(2, Relaxed);
            let kept = (open(site(&fs, 1024, broken)).unwrap().view(), model.clone());
            grow(&engine, &readers, 4..5, &mut model).unwrap();
            // It outlives the writer, and the next one knows of what is held from the file alone.
            engine = open(site(&fs, 1024, broken)).unwrap();
            kept
        }
    };
    grow(&engine, &readers, 5..12, &mut model).unwrap();
    let kept = contents(&view).is_ok_and(|found| found == of_view);
    let pages = engine.stats().pages.unwrap();
    drop(view);
    readers.oldest.store(0, Relaxed);
    grow(&engine, &readers, 12..16, &mut model).unwrap();
    let after = engine.stats().pages.unwrap();
    if broken.is_none() {
        assert!(after.0 + after.1 <= pages.0 + pages.1, "pages come back: {pages:?} {after:?}");
    }
    !kept
}

/// A view that is kept while its pages move, and while others come to where they were.
fn moved_view_lost(broken: Option<BtreeRule>) -> bool {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 1024, broken)).unwrap();
    let (mut model, lsn) = grown(&engine, &readers, 400, Values::Mixed);
    let (view, of_view) = (engine.view(), model.clone());
    reclaim(&engine, Reclaim::All, &readers).unwrap();
    grow(&engine, &readers, lsn + 1..lsn + 4, &mut model).unwrap();
    !contents(&view).is_ok_and(|found| found == of_view)
}

fn moved_wrong(broken: Option<BtreeRule>) -> bool {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 1024, broken)).unwrap();
    let (model, _) = grown(&engine, &readers, 400, Values::Mixed);
    let done = reclaim(&engine, Reclaim::All, &readers);
    !(done.is_ok() && agrees(&engine, &model) && findings(&site(&fs, 1024, broken)).is_empty())
}

/// Bits that rot, anywhere in the pages in use.
fn rot_served(broken: Option<BtreeRule>) -> bool {
    let (fs, readers, mut model) = (MemFs::new(), Readers::default(), Contents::new());
    let engine = open(site(&fs, 1024, None)).unwrap();
    grow(&engine, &readers, 1..4, &mut model).unwrap();
    let len = fs.read("tree/pages").unwrap().len() as u64;
    let mut served = false;
    for at in (0..len).step_by(487) {
        let fs = fs.fork();
        fs.rot("tree/pages", at, u8::try_from(at % 8).unwrap()).unwrap();
        let Ok(engine) = open(site(&fs, 1024, broken)) else { continue };
        let found = contents(&engine.view());
        served |= found.is_ok_and(|found| found != model);
        if broken.is_none() {
            let reached = contents(&engine.view()).is_err();
            assert!(!reached || !findings(&site(&fs, 1024, None)).is_empty());
        }
    }
    served
}

/// Pages that show their former content, or another page's: a write that was lost, or misplaced.
fn stale_served(broken: Option<BtreeRule>) -> bool {
    let (fs, readers, mut model) = (MemFs::new(), Readers::default(), Contents::new());
    let engine = open(site(&fs, 4096, None)).unwrap();
    grow(&engine, &readers, 1..2, &mut model).unwrap();
    let mut images = vec![];
    for nth in 2..9 {
        grow(&engine, &readers, nth..nth + 1, &mut model).unwrap();
        images.push(fs.read("tree/pages").unwrap());
    }
    let newest = images.pop().unwrap();
    let mut served = false;
    for older in images {
        for at in (8192..older.len().min(newest.len())).step_by(4096) {
            let (now, former) = (&newest[at..at + 4096], &older[at..at + 4096]);
            if now == former {
                continue;
            }
            let fs = fs.fork();
            let file = fs.share().open("tree/pages".as_ref(), Access::ReadWrite).unwrap();
            file.write_all_at(former, at as u64).unwrap();
            let engine = open(site(&fs, 4096, broken)).unwrap();
            served |= contents(&engine.view()).is_ok_and(|found| found != model);
        }
    }
    served
}

fn cut_short(broken: Option<BtreeRule>) -> bool {
    let (fs, readers, mut model) = (MemFs::new(), Readers::default(), Contents::new());
    let engine = open(site(&fs, 1024, None)).unwrap();
    grow(&engine, &readers, 1..4, &mut model).unwrap();
    let file = fs.share().open("tree/pages".as_ref(), Access::ReadWrite).unwrap();
    let pages = engine.stats().pages.unwrap();
    file.set_len((8 + pages.0 + pages.1 - 4) * 1024).unwrap();
    open(site(&fs, 1024, broken)).is_ok()
}

fn noticed(rule: BtreeRule, broken: Option<BtreeRule>) -> bool {
    use BtreeRule as Rule;
    match rule {
        Rule::MetaBeforePages
        | Rule::PagesNotSynced
        | Rule::MetaNotSynced
        | Rule::ReusedBeforeDurable
        | Rule::DoubtIgnored
        | Rule::BlobNotSynced
        | Rule::NameNotSynced
        | Rule::RenewSkipped
        | Rule::CutBeforeMeta => {
            let run =
                std::panic::catch_unwind(|| cuts::explore(broken, Budget::per_cut(30)).is_err());
            run.unwrap_or(true)
        }
        Rule::FreeListStale
        | Rule::HeldForgotten
        | Rule::SeparatorShort
        | Rule::DeleteForgotten
        | Rule::OlderMetaCounts => plainly_wrong(broken),
        Rule::AheadOfLog => log_passed(broken),
        Rule::SnapshotIgnored => view_lost(broken, Keeper::Own),
        Rule::PinsIgnored => view_lost(broken, Keeper::Other),
        Rule::SumsIgnored => rot_served(broken),
        Rule::ReferenceIgnored => stale_served(broken),
        Rule::LengthUnchecked => cut_short(broken),
        Rule::MovedPlaceReused => moved_view_lost(broken),
        Rule::MovedValueForgotten => moved_wrong(broken),
        Rule::TurnIgnored => shrinking::overlapped(broken),
    }
}

#[test]
fn a_file_shrinks_behind_its_last_page() {
    let (fs, readers) = (MemFs::new(), Readers::default());
    let engine = open(site(&fs, 1024, None)).unwrap();
    let keys = (0..3000_u32).map(|n| format!("key{n:05}").into_bytes());
    let put: Changes = keys.clone().map(|key| (key, Some(vec![1; 200]))).collect();
    checkpoint(&engine, &put, 1, &readers).unwrap();
    let large = fs.read("tree/pages").unwrap().len();
    let gone: Changes = keys.map(|key| (key, None)).collect();
    checkpoint(&engine, &gone, 2, &readers).unwrap();
    for nth in 3..6 {
        checkpoint(&engine, &Changes::new(), nth, &readers).unwrap();
    }
    let small = fs.read("tree/pages").unwrap().len();
    assert!(small < large / 3, "{large} bytes, then {small}");
    assert_eq!(findings(&site(&fs, 1024, None)), []);
    assert_eq!(open(site(&fs, 1024, None)).unwrap().stats().keys, Some(0));
}

#[test]
fn each_broken_rule_is_noticed() {
    let mut missed = vec![];
    for rule in BtreeRule::ALL {
        let found = noticed(rule, Some(rule));
        println!("{rule:?}: {}", if found { "noticed" } else { "missed" });
        if !found {
            missed.push(rule);
        }
    }
    assert_eq!(missed, []);
}

#[test]
fn a_tree_that_breaks_no_rule_is_not_accused() {
    assert!(!plainly_wrong(None) && !log_passed(None));
    assert!(!view_lost(None, Keeper::Own) && !view_lost(None, Keeper::Other));
    assert!(!rot_served(None) && !stale_served(None) && !cut_short(None));
    assert!(!moved_view_lost(None) && !moved_wrong(None));
}
