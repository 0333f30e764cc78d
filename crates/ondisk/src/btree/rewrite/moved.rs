//! Rewriting without changes: nodes and large values go to new places as they are.
//!
//! Invariant: the keys and values of the tree stay what they were. What is opened here is written
//! anew with all above it, like what a change touches; underfull neighbours may become one node.

use zerocopy::IntoBytes;

use super::{Broken, Rewrite};
use crate::btree::items::Origin;
use crate::btree::page::{BLOB, BlobRef, Content};
use crate::error::Error;

/// What an entry costs beside a large value.
const ENTRY_COST: usize = 64;

impl Rewrite {
    /// Copies the next entry of the open leaf, its large value too where that stands at a page
    /// or behind it; what that cost in bytes. `None` where no leaf has an entry left.
    pub(crate) fn move_entry(&mut self, from: u32) -> Result<Option<usize>, Error> {
        let Some(leaf) = &mut self.leaf else { return Ok(None) };
        let next = leaf.next;
        let Some(page) = leaf.page.clone().filter(|page| next < page.count()) else {
            return Ok(None);
        };
        let blob = match page.content(next) {
            Content::Blob(blob) if blob.page.number.get() >= from => blob,
            _ => return self.copy_entries(next + 1).map(|()| Some(ENTRY_COST)),
        };
        leaf.next += 1;
        let moved = self.move_value(blob)?;
        let mut key = std::mem::take(&mut self.key);
        page.key_into(next, &mut key);
        let mut payload = vec![BLOB];
        payload.extend_from_slice(moved.as_bytes());
        if self.broken == Broken::MovedValueForgotten {
            payload = page.payload(next).to_vec();
        }
        self.push(0, &key, &payload, Origin::Old)?;
        self.key = key;
        Ok(Some(ENTRY_COST + blob.len.get() as usize))
    }

    fn move_value(&mut self, blob: BlobRef) -> Result<BlobRef, Error> {
        let page = self.tree.peek_blob(blob)?;
        let moved = self.write_blob(page.tail())?;
        self.free_page(&page);
        Ok(moved)
    }
}
