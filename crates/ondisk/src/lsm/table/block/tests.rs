//! Blocks come back as they were filled, and any bytes are read or refused.

use proptest::prelude::*;

use super::*;
use crate::lsm::table::tests::{key, model};

/// Key, LSN, value or tombstone.
type Plain<'a> = (&'a [u8], u64, Option<&'a [u8]>);

/// The payload of a block with some entries.
pub(crate) fn block_of(entries: &[Plain<'_>]) -> Vec<u8> {
    let (mut builder, mut bytes) = (BlockBuilder::default(), Vec::new());
    for (key, lsn, value) in entries {
        let kind = if value.is_some() { EntryKind::Value } else { EntryKind::Tombstone };
        builder.push(key, Lsn(*lsn), kind, value.unwrap_or_default());
    }
    assert_eq!(builder.is_empty(), entries.is_empty());
    let len = builder.len();
    builder.finish(&mut bytes);
    assert_eq!(bytes.len(), len);
    bytes
}

/// Everything that can be asked of a block.
fn ask(block: &Block, keys: &[Vec<u8>]) -> Result<(), Malformed> {
    let whole = block.each(&mut Vec::new(), &mut |_, _| Ok(())).unwrap();
    for key in keys {
        block.find(key).ok();
    }
    let mut at = block.group(0)?;
    while !block.ends(at) {
        let next = block.entry(at)?.1;
        assert!(next.key > at.key, "reading goes on");
        at = next;
    }
    if whole == Understood::Whole { Ok(()) } else { Err(Malformed) }
}

proptest! {
    #[test]
    fn what_is_pushed_is_found(model in model(), absent in prop::collection::vec(key(), 20)) {
        prop_assume!(!model.is_empty());
        let entries: Vec<_> = model
            .iter()
            .map(|(key, (lsn, value))| (&key[..], lsn.0, value.as_deref()))
            .collect();
        let block = Block::new(Bytes::from(block_of(&entries)), 0).unwrap();
        for key in model.keys().chain(&absent) {
            let found = block.find(key).unwrap().map(|entry| {
                let value = block.bytes()[entry.value].to_vec();
                (entry.lsn, (entry.kind == EntryKind::Value).then_some(value))
            });
            prop_assert_eq!(found.as_ref(), model.get(key));
        }
        prop_assert_eq!(ask(&block, &absent), Ok(()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        restarts in 0_u32..4, keys in 0_u32..60, noise in prop::collection::vec(any::<u8>(), 0..120),
        asked in prop::collection::vec(key(), 5),
    ) {
        let head = RawHead { base: U64::new(9), restarts: U32::new(restarts), keys: U32::new(keys) };
        for bytes in [[head.as_bytes(), &noise].concat(), noise] {
            if let Ok(block) = Block::new(Bytes::from(bytes), 0) {
                ask(&block, &asked).ok();
            }
        }
    }

    #[test]
    fn a_changed_byte_is_read_or_refused(
        model in model(), at in any::<prop::sample::Index>(), byte: u8,
        asked in prop::collection::vec(key(), 5),
    ) {
        prop_assume!(!model.is_empty());
        let entries: Vec<_> = model
            .iter()
            .map(|(key, (lsn, value))| (&key[..], lsn.0, value.as_deref()))
            .collect();
        let mut bytes = block_of(&entries);
        let at = at.index(bytes.len().min(400));
        bytes[at] = byte;
        if let Ok(block) = Block::new(Bytes::from(bytes), 0) {
            ask(&block, &asked).ok();
        }
    }

    #[test]
    fn prefixes_are_counted(left in key(), right in key()) {
        let plain = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(common_prefix(&left, &right), plain);
    }

    #[test]
    fn differences_come_back(number: u64) {
        prop_assert_eq!(unzigzag(zigzag(number)), number);
    }
}

#[test]
fn keys_out_of_order_are_noticed() {
    let malformed = |entries: &[Plain<'_>]| {
        let block = Block::new(Bytes::from(block_of(entries)), 0).unwrap();
        block.each(&mut Vec::new(), &mut |_, _| Ok(())).unwrap() == Understood::InPart
    };
    assert!(!malformed(&[(b"a", 1, None), (b"b", 1, None)]));
    assert!(malformed(&[(b"b", 1, None), (b"a", 1, None)]));
    assert!(malformed(&[(b"a", 1, None), (b"a", 1, None)]));
}
