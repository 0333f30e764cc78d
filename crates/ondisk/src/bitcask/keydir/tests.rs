//! The keydir against a `BTreeMap`, with its order asked for at any time.

use proptest::prelude::*;

use super::*;
use ondisk_log::Lsn;

#[derive(Clone, Debug)]
enum Step {
    Put(u8, u64),
    Delete(u8),
    Order,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0_u8..12, any::<u64>()).prop_map(|(key, lsn)| Step::Put(key, lsn)),
        2 => (0_u8..12).prop_map(Step::Delete),
        1 => Just(Step::Order),
    ];
    prop::collection::vec(step, 0..60)
}

fn place(lsn: u64) -> Place {
    Place { file: 1, value_len: 0, offset: 0, lsn: Lsn(lsn) }
}

proptest! {
    #[test]
    fn keeps_the_last_place_of_each_key_in_order(steps in steps(), by_bytes in any::<bool>()) {
        let mut keydir = Keydir::new(StoreId([3; 16]));
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                Step::Put(key, lsn) => {
                    model.insert(vec![key], lsn);
                    if by_bytes {
                        keydir.put_bytes(&[key], place(lsn));
                    } else {
                        keydir.apply_at(Change::Put([key][..].into(), place(lsn)), Lsn(1));
                        keydir.forget(Lsn(1), 9);
                    }
                }
                Step::Delete(key) => {
                    model.remove(&vec![key]);
                    keydir.apply_at(Change::Delete([key][..].into(), None), Lsn(1));
                    keydir.forget(Lsn(1), 9);
                }
                Step::Order => keydir.order(),
            }
            prop_assert_eq!(keydir.len(), model.len());
            prop_assert!(model.keys().all(|key| keydir.place(key).is_some()));
        }
        keydir.order();
        let all: Vec<_> = keydir
            .keys(Bound::Unbounded, Bound::Unbounded)
            .map(|key| (key.to_vec(), keydir.place(key).unwrap().lsn.0))
            .collect();
        prop_assert_eq!(all, model.into_iter().collect::<Vec<_>>());
    }
}
