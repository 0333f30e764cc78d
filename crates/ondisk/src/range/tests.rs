use ondisk_sim::MemFs;

use super::*;
use crate::{Background, Db};

/// More young keys than are looked up at once, some of them on a page's edge.
#[test]
fn a_walk_goes_on_behind_a_page_of_young_keys() {
    let fs = MemFs::new();
    let builder = Db::builder().file_system(fs.share()).background(Background::Manual);
    let db = builder.open("db").unwrap();
    for count in [YOUNG_PAGE - 1, YOUNG_PAGE, YOUNG_PAGE + 1, 3 * YOUNG_PAGE] {
        let keys: Vec<Vec<u8>> = (0..count).map(|n| format!("{n:5}").into_bytes()).collect();
        for key in &keys {
            db.put(key, "value").unwrap();
        }
        let walk = |range: Range| range.map(|it| it.unwrap().0.to_vec());
        assert!(walk(db.range(..).unwrap()).eq(keys.iter().cloned()), "{count} keys");
        let back = db.range(..).unwrap().rev().map(|it| it.unwrap().0.to_vec());
        assert!(back.eq(keys.iter().rev().cloned()), "{count} keys from the back");
        let (mut both, mut seen) = (db.range(..).unwrap(), 0);
        while let Some(front) = both.next() {
            assert_eq!(front.unwrap().0.to_vec(), keys[seen]);
            seen += 1;
            let Some(back) = both.next_back() else { break };
            assert_eq!(back.unwrap().0.to_vec(), keys[count - seen]);
        }
        assert_eq!(seen, count.div_ceil(2), "{count} keys from both ends");
    }
}
