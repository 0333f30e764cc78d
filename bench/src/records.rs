//! The records that are loaded, each from its number.
//!
//! Invariant: the same seed and number give the same bytes, on every machine; two numbers have two
//! keys.

use crate::store::{Entry, KEY, Seen, VALUE};

/// Records by number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Records {
    seed: u64,
    /// How many are loaded: those from 0 on.
    pub(crate) count: u64,
}

/// Records of a batch of the load.
pub(crate) const BATCH: u64 = 1000;

/// Numbers from here on are never loaded.
const MISSING: u64 = 1 << 48;

impl Records {
    /// So many records of a seed.
    #[must_use]
    pub(crate) fn new(seed: u64, count: u64) -> Self {
        Self { seed: mix(seed), count }
    }

    /// A key without any order. What stands in front is a permutation of the number.
    #[must_use]
    pub(crate) fn key(&self, number: u64) -> [u8; KEY] {
        let first = mix(self.seed.wrapping_add(number));
        let mut key = [0; KEY];
        key[..8].copy_from_slice(&first.to_be_bytes());
        key[8..].copy_from_slice(&mix(first).to_be_bytes());
        key
    }

    /// A key of the same kind that no record has.
    #[must_use]
    pub(crate) fn missing_key(&self, number: u64) -> [u8; KEY] {
        self.key(MISSING + number)
    }

    /// A value, whose second half is its first half: a compressor saves about as much as it does
    /// with text.
    #[must_use]
    pub(crate) fn value(&self, number: u64, version: u64) -> [u8; VALUE] {
        let mut value = [0; VALUE];
        let mut random = Random::new(self.seed ^ mix(number) ^ version);
        let (half, rest) = value.split_at_mut(VALUE / 2);
        for chunk in half.chunks_mut(8) {
            chunk.copy_from_slice(&random.next().to_le_bytes()[..chunk.len()]);
        }
        rest.copy_from_slice(half);
        value
    }

    /// The records in batches, in the order in which they are loaded.
    pub(crate) fn batches(self) -> impl Iterator<Item = Vec<Entry>> {
        (0..self.count).step_by(usize::try_from(BATCH).unwrap_or(usize::MAX)).map(move |from| {
            let batch = from..self.count.min(from + BATCH);
            batch.map(|number| (self.key(number), self.value(number, 0))).collect()
        })
    }

    /// What a reader of all of them sees.
    #[must_use]
    pub(crate) fn all(&self) -> Seen {
        let mut seen = Seen::default();
        (0..self.count).for_each(|number| seen.see(&self.key(number), &self.value(number, 0)));
        seen
    }
}

/// Random numbers, splitmix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// Those of a seed.
    #[must_use]
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The next one.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// The next one, below a bound that is not 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.next()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }
}

/// Moves bits about so that none can be told from another; a permutation.
fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_has_a_key_of_its_own() {
        let records = Records::new(7, 10_000);
        let mut keys: Vec<_> = (0..10_000).map(|number| records.key(number)).collect();
        keys.extend((0..10_000).map(|number| records.missing_key(number)));
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 20_000);
    }

    #[test]
    fn batches_hold_all_records_once() {
        let records = Records::new(7, 2500);
        let mut seen = Seen::default();
        let sizes = records.batches().map(|batch| {
            batch.iter().for_each(|(key, value)| seen.see(key, value));
            batch.len()
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [1000, 1000, 500]);
        assert_eq!(seen, records.all());
    }
}
