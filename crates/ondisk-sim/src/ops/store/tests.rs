//! Contents stay what they are through any number of copies.

use super::*;

fn block(byte: u8) -> Bytes {
    [byte; BLOCK]
}

#[test]
fn a_fork_shares_what_was_there_and_adds_alone() {
    let mut store = Store::new();
    let mut ids = Vec::new();
    for n in 1..200_u8 {
        ids.push(store.push(&block(n), u64::from(n)));
        if n % 3 == 0 {
            let mut fork = store.fork();
            let own = fork.push(&block(255), 0);
            assert_eq!(fork.bytes(own), &block(255));
        }
    }
    for (id, n) in ids.iter().zip(1..) {
        assert_eq!(store.bytes(*id), &block(n));
    }
    assert!(store.shared.len() < 12, "{} parts", store.shared.len());
}

#[test]
fn equal_bytes_have_one_class_and_zeros_are_not_kept() {
    let mut store = Store::new();
    let a = store.push(&block(7), 100);
    let b = store.push(&block(7), 200);
    assert_eq!(store.class(a), store.class(b));
    let c = store.push(&block(8), 100);
    assert_ne!(store.class(a), store.class(c), "one writer, two contents");
    assert_eq!(store.push(&block(0), 1), BlockId::ZERO);
    assert_eq!(store.class(BlockId::HOLE), store.class(BlockId::ZERO));
    assert!(JUNK.iter().all(|byte| *byte >= 0x80));
}
