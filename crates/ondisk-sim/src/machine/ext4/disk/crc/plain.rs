//! CRC-32C by tables, eight bytes at a time.
//!
//! Invariant: the sums are those of the polynomial 0x1EDC6F41, its bits and those of the bytes taken
//! from the lowest on.

const REVERSED: u32 = 0x82F6_3B78;

/// In the `n`th: what a byte becomes by `n` zero bytes behind it.
static TABLES: [[u32; 256]; 8] = tables();

#[expect(clippy::cast_possible_truncation, reason = "an index below 256")]
const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut sum = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ REVERSED } else { sum >> 1 };
            bit += 1;
        }
        tables[0][byte] = sum;
        byte += 1;
    }
    let mut nth = 1;
    while nth < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before: u32 = tables[nth - 1][byte];
            tables[nth][byte] = (before >> 8) ^ tables[0][(before & 0xFF) as usize];
            byte += 1;
        }
        nth += 1;
    }
    tables
}

/// Bytes behind what the seed stands for.
pub(in super::super) fn sum(seed: u32, bytes: &[u8]) -> u32 {
    let mut sum = seed;
    let mut eights = bytes.chunks_exact(8);
    for eight in &mut eights {
        let [a, b, c, d] = sum.to_le_bytes();
        let first = [eight[0] ^ a, eight[1] ^ b, eight[2] ^ c, eight[3] ^ d];
        let all = first.iter().chain(&eight[4..]).zip(TABLES.iter().rev());
        sum = all.fold(0, |sum, (byte, table)| sum ^ table[usize::from(*byte)]);
    }
    eights.remainder().iter().fold(sum, |sum, byte| {
        let [low, ..] = sum.to_le_bytes();
        (sum >> 8) ^ TABLES[0][usize::from(low ^ byte)]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_to_sum_agree() {
        assert_eq!(!sum(!0, b"123456789"), 0xE306_9283);
        let bytes: Vec<u8> =
            (0..=255_u8).cycle().map(|byte| byte.wrapping_mul(167)).take(5000).collect();
        for len in (0..64).chain([4096, 4999, 5000]) {
            for seed in [0, !0, 0x1234_5678] {
                assert_eq!(
                    sum(seed, &bytes[..len]),
                    super::super::sum(seed, &bytes[..len]),
                    "{len}"
                );
            }
        }
    }
}
