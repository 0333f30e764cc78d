//! The one checksum of all files: CRC-32C, as processors compute it.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of a run of bytes.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// A checksum that is computed piece by piece.
#[derive(Clone, Debug)]
pub(crate) struct RunningSum(Digest);

impl RunningSum {
    pub(crate) fn new() -> Self {
        Self(Digest::new(CrcAlgorithm::Crc32Iscsi))
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(&self) -> u32 {
        // The sum of a 32-bit algorithm stands in the lower half.
        u32::try_from(self.0.finalize()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_check_value() {
        assert_eq!(crc32c(b"123456789"), 0xE306_9283);
        let mut sum = RunningSum::new();
        sum.update(b"1234");
        sum.update(b"56789");
        assert_eq!(sum.finish(), 0xE306_9283);
    }
}
