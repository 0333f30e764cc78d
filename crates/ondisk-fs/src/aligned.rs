//! Memory for direct I/O: whole blocks at block-aligned addresses.
//!
//! Invariant: the bytes of a [`Blocks`] begin at a multiple of [`BLOCK`] and are a multiple of it
//! long, so that a [`write_durable`](crate::File::write_durable) of them is never misaligned in
//! memory. The type says it; no call has to check it.

use std::fmt;
use std::ops::Range;

use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

/// The unit in which storage is written and torn, in bytes: a page of the page cache on the
/// platforms that we know, and the physical sector of drives made since 2011.
pub const BLOCK: usize = 4096;

/// One block of memory, at an address that direct I/O accepts.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C, align(4096))]
pub struct Block([u8; BLOCK]);

impl Block {
    /// A block of zeros.
    pub const ZERO: Self = Self([0; BLOCK]);
}

impl fmt::Debug for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Block")
    }
}

/// A growable buffer of whole blocks, reused from one write to the next.
#[derive(Default)]
pub struct Blocks(Vec<Block>);

impl Blocks {
    /// An empty buffer; it allocates when it first grows.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A buffer of `count` blocks of zeros.
    #[must_use]
    pub fn zeroed(count: usize) -> Self {
        let mut blocks = Self::new();
        blocks.grow(count * BLOCK);
        blocks
    }

    /// Makes the buffer at least `bytes` long, new blocks being zeros. Never shrinks it.
    pub fn grow(&mut self, bytes: usize) {
        let count = bytes.div_ceil(BLOCK);
        if count > self.0.len() {
            // The vector doubles its room, so a buffer that grows record by record is copied
            // seldom; a large one is copied block by block, never byte by byte.
            self.0.reserve(count - self.0.len());
            self.0.resize(count, Block::ZERO);
        }
    }

    /// Gives memory back that is over `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.0.truncate(bytes.div_ceil(BLOCK));
        self.0.shrink_to(bytes.div_ceil(BLOCK));
    }

    /// The bytes, a multiple of [`BLOCK`] of them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The bytes, to be changed.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        self.0.as_mut_bytes()
    }

    /// The blocks of a range of blocks, for [`write_durable`](crate::File::write_durable).
    ///
    /// # Panics
    /// When the range is not inside the buffer, like any slice.
    #[must_use]
    pub fn blocks(&self, range: Range<usize>) -> &[Block] {
        &self.0[range]
    }

    /// The length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len() * BLOCK
    }

    /// Whether the buffer holds no block at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Fills a range of bytes with zeros.
    ///
    /// # Panics
    /// When the range is not inside the buffer, like any slice.
    pub fn zero(&mut self, range: Range<usize>) {
        self.bytes_mut()[range].zero();
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blocks({} blocks)", self.0.len())
    }
}
