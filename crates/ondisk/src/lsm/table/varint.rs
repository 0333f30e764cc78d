//! Numbers in as few bytes as they need: seven bits a byte, the lowest first, the highest bit set
//! on all bytes but the last.
//!
//! Invariant: a number has one form that is written; ten bytes are the longest that is read.

/// Appends a number.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low(number) | 0x80);
        number >>= 7;
    }
    out.push(low(number));
}

/// Takes the number that begins at `at`, and moves `at` behind it; `None` where none ends.
#[inline]
pub(super) fn take(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let first = *bytes.get(*at)?;
    *at += 1;
    if first < 0x80 {
        return Some(u64::from(first));
    }
    take_rest(bytes, at, u64::from(first & 0x7F))
}

fn take_rest(bytes: &[u8], at: &mut usize, mut number: u64) -> Option<u64> {
    for shift in (7..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        let bits = u64::from(byte & 0x7F);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

/// As [`take`], for a length in memory.
#[inline]
pub(super) fn take_len(bytes: &[u8], at: &mut usize) -> Option<usize> {
    usize::try_from(take(bytes, at)?).ok()
}

fn low(number: u64) -> u8 {
    (number & 0x7F) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back() {
        let powers = (0..64).map(|shift| 1_u64 << shift);
        for number in powers.flat_map(|power| [power - 1, power, power + 1]).chain([u64::MAX]) {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            let mut at = 0;
            assert_eq!(take(&bytes, &mut at), Some(number));
            assert_eq!(at, bytes.len());
            assert_eq!(take(&bytes[..bytes.len() - 1], &mut 0), None);
        }
        assert_eq!(take(&[0xFF; 11], &mut 0), None);
        assert_eq!(take(&[0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2], &mut 0), None);
    }
}
