//! A value as a part of the page on which it stands.
//!
//! Invariant: the part lies in the page, which was verified and never changes.

use std::sync::Arc;

use super::{Cell, Page};

/// A value that keeps the page on which it stands.
#[derive(Clone, Debug)]
pub(crate) struct PageSlice {
    page: Arc<Page>,
    at: usize,
    end: usize,
}

impl PageSlice {
    /// The bytes of an inline value.
    pub(crate) fn inline(page: Arc<Page>, index: usize) -> Self {
        let cell = page.cell(index);
        Self::inline_in(page, cell)
    }

    /// The bytes of the inline value of a cell.
    pub(crate) fn inline_in(page: Arc<Page>, cell: Cell) -> Self {
        let (at, end) = ((cell.payload + 1).min(cell.end), cell.end);
        Self { page, at, end }
    }

    /// The bytes of a blob.
    pub(crate) fn blob(page: Arc<Page>) -> Self {
        let (at, end) = (page.end, page.end + page.tail);
        Self { page, at, end }
    }
}

impl AsRef<[u8]> for PageSlice {
    fn as_ref(&self) -> &[u8] {
        self.page.bytes.get(self.at..self.end).unwrap_or_default()
    }
}
