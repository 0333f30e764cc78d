//! The extents of a file, changed.
//!
//! Invariant: they ascend without overlap, and two that could be one are one.

use super::disk::Extent;
use crate::machine::ids::Lba;

/// Puts an extent in where there is none.
pub(super) fn insert(extents: &mut Vec<Extent>, new: Extent) {
    let at = extents.partition_point(|extent| extent.page < new.page);
    extents.insert(at, new);
    join(extents, at);
    if at > 0 {
        join(extents, at - 1);
    }
}

/// Makes an extent and the one behind it one, where they can be.
fn join(extents: &mut Vec<Extent>, at: usize) {
    let [this, next] = extents.get(at..at + 2).unwrap_or_default() else { return };
    let follows = this.page + this.count == next.page
        && this.lba.0 + this.count == next.lba.0
        && this.unwritten == next.unwritten;
    if follows {
        extents[at].count += next.count;
        extents.remove(at + 1);
    }
}

/// Parts the extent that holds a page and the one before it, so that one begins there.
fn part(extents: &mut Vec<Extent>, page: u32) {
    let behind = extents.partition_point(|extent| extent.page < page);
    let Some(extent) = behind.checked_sub(1).map(|at| &mut extents[at]) else { return };
    let head = page - extent.page;
    if head < extent.count {
        let tail = Extent {
            page,
            count: extent.count - head,
            lba: Lba(extent.lba.0 + head),
            unwritten: extent.unwritten,
        };
        extent.count = head;
        extents.insert(behind, tail);
    }
}

/// What was unwritten in a run counts as written.
pub(super) fn convert(extents: &mut Vec<Extent>, page: u32, count: u32) {
    part(extents, page);
    part(extents, page + count);
    let first = extents.partition_point(|extent| extent.page < page);
    let last = extents.partition_point(|extent| extent.page < page + count);
    for extent in &mut extents[first..last] {
        extent.unwritten = false;
    }
    for at in (first.saturating_sub(1)..last).rev() {
        join(extents, at);
    }
}

/// Takes away all from a page on, telling each run of blocks.
pub(super) fn cut(extents: &mut Vec<Extent>, page: u32, freed: &mut dyn FnMut(Lba, u32)) {
    part(extents, page);
    let first = extents.partition_point(|extent| extent.page < page);
    for extent in extents.drain(first..) {
        freed(extent.lba, extent.count);
    }
}

/// The runs without an extent within `from..to`.
pub(super) fn holes(extents: &[Extent], from: u32, to: u32, hole: &mut dyn FnMut(u32, u32)) {
    let mut at = from;
    let first = extents.partition_point(|extent| extent.page + extent.count <= from);
    for extent in extents[first..].iter().take_while(|extent| extent.page < to) {
        if extent.page > at {
            hole(at, extent.page);
        }
        at = extent.page + extent.count;
    }
    if at < to {
        hole(at, to);
    }
}
