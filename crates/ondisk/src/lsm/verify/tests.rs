//! Whatever changes in a file of the keyspace is found, and named.

use std::ops::Bound;

use ondisk_fs::FileSystem;

use super::*;
use crate::engine::Reclaim;
use crate::lsm::sabotage::LsmRule;
use crate::lsm::tests::{Contents, Fixture, SMALL, key, site, walk};

pub(crate) fn filled() -> Fixture {
    let mut fixture = Fixture::new(None);
    for round in 0..6_u8 {
        let puts = (0..25).map(|it| (key(it), Some(vec![round; 20])));
        let deletes = (0..5).map(|it| (key(it * 3 + u32::from(round)), None));
        fixture.checkpoint(&[puts.chain(deletes).collect()]);
        fixture.reclaim(Reclaim::Due);
    }
    fixture.checkpoint(&[vec![(key(3), None)]]);
    fixture
}

fn findings(site: &Site) -> Result<Vec<Finding>, Error> {
    let mut found = Vec::new();
    verify(site, &mut |finding| found.push(finding)).map(|()| found)
}

#[test]
fn what_is_whole_is_found_whole() {
    let mut fixture = Fixture::new(None);
    assert_eq!(findings(&site(&fixture.fs, None)).unwrap(), []);
    fixture.checkpoint(&[]);
    assert_eq!(findings(&site(&fixture.fs, None)).unwrap(), []);
    let fixture = filled();
    assert_eq!(findings(&site(&fixture.fs, None)).unwrap(), []);
}

#[test]
fn every_flipped_bit_is_found() {
    let fixture = filled();
    for entry in fixture.fs.list("db/7".as_ref()).unwrap() {
        let path = std::path::Path::new("db/7").join(&entry.name);
        let len = fixture.fs.read(&path).unwrap().len() as u64;
        for offset in 0..len {
            let fs = fixture.fs.fork();
            fs.rot(&path, offset, u8::try_from(offset % 8).unwrap()).unwrap();
            let found = findings(&site(&fs, None));
            let told = match &found {
                Ok(found) => found.iter().any(|finding| finding.path == path),
                Err(Error::Damaged { path: damaged, .. }) => *damaged == path,
                Err(_) => false,
            };
            assert!(told, "{} at {offset}: {found:?}", path.display());
        }
    }
}

#[test]
fn files_that_are_gone_or_another_s_are_found() {
    let fixture = filled();
    let tables: Vec<_> = fixture.lsm.version().tables().map(|it| it.path().to_owned()).collect();
    for path in &tables {
        let fs = fixture.fs.fork();
        fs.remove(path).unwrap();
        assert!(findings(&site(&fs, None)).unwrap().iter().any(|it| it.path == *path));
        let error = crate::lsm::open_shaped(site(&fs, None), SMALL).unwrap_err();
        assert!(matches!(error, Error::Damaged { damage: Damage::Missing, .. }), "{error}");
        for other in tables.iter().filter(|it| *it != path) {
            let fs = fixture.fs.fork();
            fs.remove(path).unwrap();
            fs.rename(other, path).unwrap();
            assert!(findings(&site(&fs, None)).unwrap().iter().any(|it| it.path == *path));
        }
    }
    let fs = fixture.fs.fork();
    fs.remove(&crate::lsm::manifest::manifest_path("db/7".as_ref())).unwrap();
    assert!(findings(&site(&fs, None)).unwrap_err().is_damage());
    assert!(crate::lsm::open_shaped(site(&fs, None), SMALL).unwrap_err().is_damage());
    // A manifest of another keyspace, or of another store.
    for change in [|it: &mut Site| it.keyspace = 8, |it: &mut Site| it.store.0[0] ^= 1] {
        let mut other = site(&fixture.fs, None);
        change(&mut other);
        let error = findings(&other).unwrap_err();
        assert!(matches!(error, Error::Damaged { damage: Damage::Elsewhere(_), .. }), "{error}");
    }
}

/// Bits that rot are never given out as values; where sums are ignored on purpose, some are.
#[test]
fn rot_is_not_served() {
    let served = |broken: Option<LsmRule>| {
        let fixture = filled();
        let path = fixture.lsm.version().tables().last().unwrap().path().to_owned();
        let len = fixture.fs.read(&path).unwrap().len() as u64;
        (0..len).any(|offset| {
            let fs = fixture.fs.fork();
            fs.rot(&path, offset, 0).unwrap();
            let lsm = crate::lsm::open_shaped(site(&fs, broken), SMALL).unwrap();
            let view = crate::engine::Engine::view(&*lsm);
            let got = (0..30).any(|it| {
                let expected = fixture.model.get(&key(it)).map(Vec::as_slice);
                view.get(&key(it)).is_ok_and(|it| it.as_deref() != expected)
            });
            let (lower, upper) = (Bound::Unbounded, Bound::Unbounded);
            let walked = walk(&view, lower, upper, crate::engine::Direction::Forward);
            got || walked.is_ok_and(|it| it.into_iter().collect::<Contents>() != fixture.model)
        })
    };
    assert!(!served(None));
    assert!(served(Some(LsmRule::SumsIgnored)));
}
