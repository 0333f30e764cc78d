//! What was put in passes; of the rest about one in a hundred.

use super::*;

fn hashes(range: std::ops::Range<u32>) -> Vec<u64> {
    range.map(|number| key_hash(&number.to_be_bytes())).collect()
}

#[test]
fn what_was_put_in_passes() {
    for count in [0, 1, 2, 51, 52, 10_000] {
        for bits in [1, 8, 10, 16] {
            let filter = Filter::build(&hashes(0..count), bits);
            let again = Filter::from_bytes(filter.as_bytes()).into_iter();
            for filter in again.chain([filter]) {
                assert!(hashes(0..count).iter().all(|&hash| filter.passes(hash)));
            }
        }
    }
}

#[test]
fn about_one_absent_key_in_a_hundred_passes() {
    let filter = Filter::build(&hashes(0..100_000), 10);
    assert!(filter.as_bytes().len() <= 125_000 + LINE);
    let passed = hashes(100_000..200_000).iter().filter(|&&hash| filter.passes(hash)).count();
    assert!((500..1500).contains(&passed), "{passed} of 100,000");
}

#[test]
fn a_filter_without_lines_lets_all_pass() {
    let filter = Filter::build(&hashes(0..10), 0);
    assert!(filter.as_bytes().is_empty() && filter.passes(17));
    assert!(Filter::from_bytes(&[]).is_some_and(|filter| filter.passes(17)));
    assert!(Filter::from_bytes(&[0; LINE - 1]).is_none());
}
