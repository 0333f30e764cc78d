//! Hashes that are the same on every target: wrapping 64-bit arithmetic alone.
//!
//! Invariant: no address, no `usize` and no byte order of the machine enters a digest. Not
//! cryptographic: collisions are unlikely, not impossible.

/// The step of SplitMix64 and its finaliser: every input bit moves about half of the output's.
pub(crate) const fn mix(value: u64) -> u64 {
    let z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Two values, in this order, as one.
pub(crate) const fn mix2(a: u64, b: u64) -> u64 {
    mix(mix(a).wrapping_add(b))
}

/// A running hash of a sequence of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub u64, pub u64);

impl Digest {
    /// Adds one number behind those before.
    pub const fn add(&mut self, value: u64) {
        self.0 = mix(self.0 ^ value);
        self.1 = (self.1 ^ value).wrapping_mul(0xD6E8_FEB8_6659_FD93).rotate_left(29);
    }
}

/// The hash of some bytes, eight at a time in four lanes.
pub(crate) fn bytes_digest(bytes: &[u8]) -> Digest {
    const LANES: usize = 4;
    let mut lanes = [1_u64, 2, 3, 4];
    let mut chunks = bytes.chunks_exact(8 * LANES);
    for chunk in &mut chunks {
        for (lane, word) in lanes.iter_mut().zip(chunk.chunks_exact(8)) {
            *lane = step(*lane, word);
        }
    }
    for (at, word) in chunks.remainder().chunks(8).enumerate() {
        lanes[at % LANES] = step(lanes[at % LANES], word);
    }
    let mut digest = Digest(bytes.len() as u64, 0);
    for lane in lanes {
        digest.add(lane);
    }
    digest
}

fn step(lane: u64, word: &[u8]) -> u64 {
    let mut full = [0; 8];
    full[..word.len()].copy_from_slice(word);
    (lane ^ u64::from_le_bytes(full)).wrapping_mul(0x9FB2_1C65_1E98_DF25).rotate_left(31)
}
