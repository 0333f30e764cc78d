//! What is left of a damaged tree is given out, and nothing that is not.

use super::*;
use crate::btree::salvage::salvage;
use crate::salvage::{Lost, Salvage};

#[derive(Default)]
struct Out {
    entries: Contents,
    lost: Vec<Lost>,
}

impl Salvage for Out {
    fn entry(&mut self, key: &[u8], value: Option<&[u8]>, _: Option<Lsn>) {
        drop(self.entries.insert(key.to_vec(), value.unwrap().to_vec()));
    }

    fn lost(&mut self, lost: Lost) {
        self.lost.push(lost);
    }
}

fn salvaged(fs: &MemFs) -> Out {
    let mut out = Out::default();
    salvage(&site(fs, 1024, None), &mut out).unwrap();
    out
}

#[test]
fn whatever_page_is_damaged_the_others_are_given_out() {
    let (fs, readers, mut model) = (MemFs::new(), Readers::default(), Contents::new());
    let engine = open(site(&fs, 1024, None)).unwrap();
    for nth in 1..6_u16 {
        let keys = (0..300_u16).map(|n| (n * 13 + nth * 31) % 600);
        let value = |n: u16| {
            (!(n + nth).is_multiple_of(3)).then(|| vec![n.to_le_bytes()[0]; 30 + usize::from(n)])
        };
        let changes = keys.map(|n| (format!("key{n:04}").into_bytes(), value(n))).collect();
        apply(&mut model, &changes);
        checkpoint(&engine, &changes, nth.into(), &readers).unwrap();
    }
    let whole = salvaged(&fs);
    assert_eq!((whole.entries == model, whole.lost), (true, vec![]));
    let bytes = fs.read("tree/pages").unwrap();
    let mut worst = 0;
    for at in (0..bytes.len()).step_by(1024) {
        let fs = fs.fork();
        let file = fs.share().open("tree/pages".as_ref(), Access::ReadWrite).unwrap();
        file.write_all_at(&[0xEE; 1024], at as u64).unwrap();
        let out = salvaged(&fs);
        let missing = model.keys().filter(|key| !out.entries.contains_key(*key)).count();
        worst = worst.max(missing);
        assert!(missing == 0 || !out.lost.is_empty(), "at {at}: {missing} are missing, in silence");
        // The older meta page, and what the newer tree has left of it, are another state.
        if at >= 8192 {
            assert!(out.entries.iter().all(|(key, value)| model.get(key) == Some(value)), "{at}");
        }
    }
    assert!((1..60).contains(&worst), "one page is damaged, and {worst} keys are missing");
}
