//! Bytes as text: base64 with padding (RFC 4648, section 4).
//!
//! Invariant: what is decoded was encoded so; anything else is nothing.

const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes bytes.
pub(super) fn encode(out: &mut String, bytes: &[u8]) {
    for three in bytes.chunks(3) {
        let mut word = [0; 3];
        word[..three.len()].copy_from_slice(three);
        let word = u32::from_be_bytes([0, word[0], word[1], word[2]]);
        for at in 0..4 {
            let six = word >> (18 - 6 * at) & 63;
            let letter = if at <= three.len() { LETTERS[six as usize] } else { b'=' };
            out.push(char::from(letter));
        }
    }
}

/// Reads bytes.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    for (at, four) in text.chunks(4).enumerate() {
        let padding = four.iter().rev().take_while(|letter| **letter == b'=').count();
        if padding > 2 || padding > 0 && 4 * (at + 1) < text.len() {
            return None;
        }
        let mut word = 0_u32;
        for letter in &four[..4 - padding] {
            word = word << 6 | value(*letter)?;
        }
        word <<= 6 * padding;
        let [_, three @ ..] = word.to_be_bytes();
        let (own, rest) = three.split_at(3 - padding);
        if rest.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(own);
    }
    Some(bytes)
}

fn value(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}
