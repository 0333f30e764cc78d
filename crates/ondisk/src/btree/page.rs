//! A page: a node of the tree, a large value or the free list, as it stands on disk and in memory.
//!
//! Invariant: a [`Page`] in memory was verified: its sum, its number and its structure, so that
//! looking into it never fails. It never changes. Whoever follows a [`PageRef`] gets the page that
//! the reference was made for or an error: the reference holds the page's sum, and the sum covers
//! the page's number and the edit that wrote it.
//!
//! Knows nothing of files, caches and views. The bytes are specified in `docs/format/page.md`.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ondisk_log::StoreId;
use zerocopy::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::checksum::crc32c;
use crate::error::Damage;
use crate::limits::LONGEST_KEY;

mod slice;

pub(crate) use slice::PageSlice;

/// What a page begins with.
/// ```text
///  0     4        8            16     17      18      20     24    28     32
///  ├ sum ┼ number ┼ generation ┼ kind ┼ level ┼ count ┼ span ┼ end ┼ tail ┤ slots … cells … │ tail bytes … zeros
///        └──────────────────────── sum covers from here to the end of the page ───────────────────────────
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) sum: U32,
    pub(crate) number: U32,
    /// The edit that wrote it.
    pub(crate) generation: U64,
    pub(crate) kind: u8,
    /// 0 for leaves; a branch is one above its children. 255 for what is no node.
    pub(crate) level: u8,
    pub(crate) count: U16,
    /// How many pages it takes: 1, but for keys and values that fit into none.
    pub(crate) span: U32,
    /// Where the cells end and the tail begins.
    pub(crate) end: U32,
    /// The length of the tail: of a node's common prefix, of a large value, of the free list.
    pub(crate) tail: U32,
}

/// One entry of a node.
/// ```text
///  0      4    6            8
///  ├ head ┼ at ┼ suffix_len ┤        at ─► suffix … payload …, up to the next slot's
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(crate) struct Slot {
    /// The first four bytes of the suffix as a number that orders as they do.
    pub(crate) head: U32,
    pub(crate) at: U16,
    pub(crate) suffix_len: U16,
}

/// Names a page, and says which content of it: the payload of a branch's entry.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub(crate) struct PageRef {
    pub(crate) number: U32,
    pub(crate) sum: U32,
}

/// A value that stands in pages of its own: the payload of a leaf's entry, behind its tag.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    Unaligned,
)]
#[repr(C)]
pub(crate) struct BlobRef {
    pub(crate) page: PageRef,
    pub(crate) len: U32,
}

pub(crate) const HEADER: usize = size_of::<Header>();
/// The same as a field holds it.
const HEADER_U32: u32 = 32;
pub(crate) const SLOT: usize = size_of::<Slot>();
pub(crate) const PAGE_REF: usize = size_of::<PageRef>();
const _: () = assert!(HEADER == 32 && HEADER_U32 == 32 && std::mem::offset_of!(Header, end) == 24);
const _: () = assert!(SLOT == 8 && PAGE_REF == 8 && size_of::<BlobRef>() == 12);

/// The tag of a value that stands in the leaf.
pub(crate) const INLINE: u8 = 0;
/// The tag of a value that stands in pages of its own.
pub(crate) const BLOB: u8 = 1;
/// No tree is higher.
pub(crate) const HIGHEST: u8 = 64;
/// The level of what is no node, so that none is taken for one.
const NO_LEVEL: u8 = u8::MAX;
/// The least and the greatest size of a page.
pub(crate) const SIZES: std::ops::RangeInclusive<usize> = 1024..=65536;

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Leaf,
    Branch,
    /// A value of its own pages.
    Blob,
    /// The list of free pages.
    FreeList,
}

impl Kind {
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Leaf => 1,
            Self::Branch => 2,
            Self::Blob => 3,
            Self::FreeList => 4,
        }
    }

    fn of(byte: u8) -> Option<Self> {
        [Self::Leaf, Self::Branch, Self::Blob, Self::FreeList]
            .into_iter()
            .find(|it| it.byte() == byte)
    }
}

/// What the pages of one keyspace have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes of a page.
    pub(crate) size: usize,
    /// Mixed into each sum, so that a page of another store or keyspace does not fit here.
    pub(crate) mark: u32,
    /// Whether sums are compared.
    pub(crate) sums: Sums,
}

/// Whether sums are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sums {
    Checked,
    /// Broken on purpose.
    Ignored,
}

impl Shape {
    pub(crate) fn new(size: usize, store: StoreId, keyspace: u32) -> Self {
        let mut owner = [0; 20];
        owner[..16].copy_from_slice(&store.0);
        owner[16..].copy_from_slice(&keyspace.to_le_bytes());
        Self { size, mark: crc32c(&owner), sums: Sums::Checked }
    }

    /// The sum that stands in front of a page's other bytes.
    pub(crate) fn sum(self, page: &[u8]) -> u32 {
        crc32c(page.get(4..).unwrap_or_default()) ^ self.mark
    }

    /// How many pages a number of bytes takes, header included.
    pub(crate) fn span(self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(self.size)).unwrap_or(u32::MAX)
    }

    /// How many pages a blob of a length takes.
    pub(crate) fn blob_span(self, len: u32) -> u32 {
        self.span(HEADER + len as usize)
    }

    /// No node takes more pages: the longest key, and what stands beside it in any case.
    pub(crate) fn longest_node(self) -> u32 {
        self.span(LONGEST_KEY + 2 * self.size)
    }

    /// Where a page stands in the file.
    pub(crate) fn offset(self, number: u32) -> u64 {
        u64::from(number) * self.size as u64
    }

    /// A value longer than this gets pages of its own.
    pub(crate) fn longest_inline(self) -> usize {
        self.size / 4
    }
}

/// What is verified of a page beside its sum.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expected {
    pub(crate) number: u32,
    /// What its parent knows of its sum; a page that is found by itself has none.
    pub(crate) sum: Option<u32>,
}

/// A page in memory.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) number: u32,
    pub(crate) sum: u32,
    pub(crate) kind: Kind,
    pub(crate) level: u8,
    /// Somebody has looked at it since the cache last did.
    touched: AtomicBool,
    pub(crate) generation: u64,
    count: usize,
    end: usize,
    tail: usize,
    /// A copy of the tail's first bytes: a search in a page that has gone cold need not fetch its
    /// other end for a short prefix.
    short: [u8; SHORT],
    bytes: Box<[u8]>,
}

/// How long a prefix may be that is kept beside the page.
const SHORT: usize = 16;

/// Where an entry of a node stands in its bytes: the key's suffix, and behind it the payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cell {
    at: usize,
    payload: usize,
    end: usize,
}

/// A value in a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content<'a> {
    Inline(&'a [u8]),
    Blob(BlobRef),
}

impl Page {
    /// Stands where no page is.
    pub(crate) fn none() -> Self {
        Self {
            number: 0,
            sum: 0,
            kind: Kind::Blob,
            level: NO_LEVEL,
            touched: AtomicBool::new(false),
            generation: 0,
            count: 0,
            end: 0,
            tail: 0,
            short: [0; SHORT],
            bytes: Box::default(),
        }
    }

    /// Reads bytes that nobody vouches for: those of one whole page, with all that it spans.
    pub(crate) fn read(bytes: Box<[u8]>, shape: Shape, want: Expected) -> Result<Self, Damage> {
        let (header, _) = Header::ref_from_prefix(&bytes).map_err(|_| Damage::PageSum)?;
        let (sum, checked) = (header.sum.get(), shape.sums == Sums::Checked);
        if checked && sum != shape.sum(&bytes) {
            return Err(Damage::PageSum);
        }
        if header.number.get() != want.number || (checked && want.sum.is_some_and(|it| it != sum)) {
            return Err(Damage::OtherPage);
        }
        let kind = Kind::of(header.kind).ok_or(Damage::Field("kind"))?;
        let (end, tail) = (header.end.get() as usize, header.tail.get() as usize);
        let page = Self {
            number: want.number,
            // With the reference's sum, so that the page is found again where sums are ignored.
            sum: want.sum.unwrap_or(sum),
            kind,
            level: header.level,
            touched: AtomicBool::new(false),
            generation: header.generation.get(),
            count: usize::from(header.count.get()),
            end,
            tail,
            short: [0; SHORT],
            bytes,
        };
        page.check_structure(shape)?;
        Ok(page.with_short_prefix())
    }

    /// A page that was made here.
    pub(crate) fn made(header: &Header, bytes: Box<[u8]>, kind: Kind) -> Self {
        Self {
            number: header.number.get(),
            sum: header.sum.get(),
            kind,
            level: header.level,
            touched: AtomicBool::new(false),
            generation: header.generation.get(),
            count: usize::from(header.count.get()),
            end: header.end.get() as usize,
            tail: header.tail.get() as usize,
            short: [0; SHORT],
            bytes,
        }
        .with_short_prefix()
    }

    fn with_short_prefix(mut self) -> Self {
        let len = self.tail.min(SHORT);
        let mut short = [0; SHORT];
        short[..len].copy_from_slice(&self.tail()[..len]);
        self.short = short;
        self
    }

    /// The prefix that all keys of a node have in common.
    #[inline]
    fn prefix(&self) -> &[u8] {
        if self.tail <= SHORT { &self.short[..self.tail] } else { self.tail() }
    }

    fn check_structure(&self, shape: Shape) -> Result<(), Damage> {
        let field = |name| Err(Damage::Field(name));
        let (header, _) = Header::ref_from_prefix(&self.bytes).map_err(|_| Damage::PageSum)?;
        let spanned = self.bytes.len() / shape.size;
        if header.span.get() as usize != spanned || self.bytes.len() != spanned * shape.size {
            return field("span");
        }
        let slots_end = HEADER + self.count * SLOT;
        let whole = self.end.checked_add(self.tail).is_some_and(|it| it <= self.bytes.len());
        if self.end < slots_end || !whole {
            return field("end or tail");
        }
        match self.kind {
            Kind::Leaf | Kind::Branch => {
                let level_fits = (self.kind == Kind::Leaf) == (self.level == 0);
                if !level_fits || self.level >= HIGHEST {
                    return field("level");
                }
                if self.count == 0 || self.tail > LONGEST_KEY {
                    return field("count or tail");
                }
                self.check_slots(slots_end)
            }
            Kind::Blob | Kind::FreeList => {
                let plain = self.count == 0 && self.end == HEADER && self.level == NO_LEVEL;
                if plain { Ok(()) } else { field("count, end or level") }
            }
        }
    }

    fn check_slots(&self, slots_end: usize) -> Result<(), Damage> {
        let slots = self.slots();
        let mut at = slots_end;
        for (index, slot) in slots.iter().enumerate() {
            let (begin, suffix) = (usize::from(slot.at.get()), usize::from(slot.suffix_len.get()));
            let next = slots.get(index + 1).map_or(self.end, |next| usize::from(next.at.get()));
            if begin != at || begin + suffix > next || next > self.end {
                return Err(Damage::Field("slot"));
            }
            at = next;
            let payload = self.bytes.get(begin + suffix..next).unwrap_or_default();
            let fits = match self.kind {
                Kind::Branch => payload.len() == PAGE_REF,
                _ => match payload.first() {
                    Some(&INLINE) => true,
                    Some(&BLOB) => payload.len() == 1 + size_of::<BlobRef>(),
                    _ => false,
                },
            };
            if !fits {
                return Err(Damage::Field("payload"));
            }
        }
        Ok(())
    }

    /// How many pages it takes.
    pub(crate) fn span(&self, shape: Shape) -> u32 {
        shape.span(self.bytes.len())
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its name and sum, as a parent holds them.
    pub(crate) fn page_ref(&self) -> PageRef {
        PageRef { number: U32::new(self.number), sum: U32::new(self.sum) }
    }

    pub(crate) fn is(&self, at: PageRef) -> bool {
        self.number == at.number.get() && self.sum == at.sum.get()
    }

    /// Notes that it was looked at.
    pub(crate) fn touch(&self) {
        if !self.touched.load(Relaxed) {
            self.touched.store(true, Relaxed); // seldom: the line stays shared between processors
        }
    }

    /// Whether it was looked at since this was last asked.
    pub(crate) fn was_touched(&self) -> bool {
        self.touched.swap(false, Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// The prefix that all keys of a node have in common; the bytes of a blob or a free list.
    pub(crate) fn tail(&self) -> &[u8] {
        self.bytes.get(self.end..self.end + self.tail).unwrap_or_default()
    }

    fn slots(&self) -> &[Slot] {
        let behind = self.bytes.get(HEADER..).unwrap_or_default();
        <[Slot]>::ref_from_prefix_with_elems(behind, self.count).map_or(&[], |(slots, _)| slots)
    }

    fn suffix_of(&self, slot: &Slot) -> &[u8] {
        let at = usize::from(slot.at.get());
        self.bytes.get(at..at + usize::from(slot.suffix_len.get())).unwrap_or_default()
    }

    /// What follows the common prefix in a key. The first entry of a branch has no key: it stands
    /// for all below the second.
    pub(crate) fn suffix(&self, index: usize) -> &[u8] {
        self.slots().get(index).map_or(&[], |slot| self.suffix_of(slot))
    }

    /// Where an entry stands.
    #[inline]
    pub(crate) fn cell(&self, index: usize) -> Cell {
        let slots = self.slots();
        let Some(slot) = slots.get(index) else { return Cell::default() };
        let at = usize::from(slot.at.get());
        let payload = at + usize::from(slot.suffix_len.get());
        let end = slots.get(index + 1).map_or(self.end, |next| usize::from(next.at.get()));
        Cell { at, payload, end }
    }

    /// What follows the common prefix in the key of a cell.
    #[inline]
    pub(crate) fn suffix_in(&self, cell: Cell) -> &[u8] {
        self.bytes.get(cell.at..cell.payload).unwrap_or_default()
    }

    /// What is stored in a cell beside its key.
    #[inline]
    pub(crate) fn payload_in(&self, cell: Cell) -> &[u8] {
        self.bytes.get(cell.payload..cell.end).unwrap_or_default()
    }

    /// What is stored beside a key, as it stands in the page.
    pub(crate) fn payload(&self, index: usize) -> &[u8] {
        self.payload_in(self.cell(index))
    }

    /// The value of a leaf's entry.
    pub(crate) fn content(&self, index: usize) -> Content<'_> {
        content(self.payload(index))
    }

    /// The child of a branch's entry.
    pub(crate) fn child(&self, index: usize) -> PageRef {
        PageRef::read_from_bytes(self.payload(index)).unwrap_or_default()
    }

    /// The key of an entry; empty for the first of a branch.
    pub(crate) fn key_into(&self, index: usize, key: &mut Vec<u8>) {
        key.clear();
        if index >= self.first_keyed() {
            key.extend_from_slice(self.tail());
            key.extend_from_slice(self.suffix(index));
        }
    }

    /// The first entry that has a key.
    fn first_keyed(&self) -> usize {
        usize::from(self.level > 0)
    }

    /// Where a key is, or would be.
    #[inline]
    pub(crate) fn search(&self, key: &[u8]) -> Result<usize, usize> {
        let (slots, prefix) = (self.slots(), self.prefix());
        let Some(rest) = key.strip_prefix(prefix) else {
            return Err(if key < prefix { self.first_keyed() } else { slots.len() });
        };
        let head = head(rest);
        let (mut low, mut high) = (self.first_keyed(), slots.len());
        while low < high {
            let middle = low.midpoint(high);
            let slot = &slots[middle];
            let order = slot.head.get().cmp(&head).then_with(|| self.suffix_of(slot).cmp(rest));
            match order {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
                std::cmp::Ordering::Equal => return Ok(middle),
            }
        }
        Err(low)
    }

    /// Which child of a branch a key belongs to.
    pub(crate) fn child_index(&self, key: &[u8]) -> usize {
        match self.search(key) {
            Ok(index) => index,
            Err(index) => index.saturating_sub(1),
        }
    }
}

/// Reads what a leaf stores beside a key.
pub(crate) fn content(payload: &[u8]) -> Content<'_> {
    match payload.split_first() {
        Some((&BLOB, blob)) => Content::Blob(BlobRef::read_from_bytes(blob).unwrap_or_default()),
        Some((_, value)) => Content::Inline(value),
        None => Content::Inline(&[]),
    }
}

/// The first four bytes of a suffix as a number that orders as they do. A short suffix is filled
/// up with zeros, so different heads decide and equal ones say nothing.
pub(crate) fn head(suffix: &[u8]) -> u32 {
    match suffix.first_chunk() {
        Some(first) => u32::from_be_bytes(*first),
        None => {
            let mut bytes = [0; 4];
            bytes[..suffix.len()].copy_from_slice(suffix);
            u32::from_be_bytes(bytes)
        }
    }
}

/// How many pages the page takes that begins with these bytes: not verified yet, but bounded.
pub(crate) fn claimed_span(bytes: &[u8], longest: u32) -> Result<u32, Damage> {
    let (header, _) = Header::ref_from_prefix(bytes).map_err(|_| Damage::PageSum)?;
    let span = header.span.get();
    if span == 0 || span > longest { Err(Damage::PageSum) } else { Ok(span) }
}

/// Makes the page of a blob or a free list.
pub(crate) fn make_blob(
    kind: Kind,
    number: u32,
    generation: u64,
    content: &[u8],
    shape: Shape,
) -> Page {
    let span = shape.span(HEADER + content.len());
    let mut bytes = vec![0; span as usize * shape.size].into_boxed_slice();
    bytes[HEADER..HEADER + content.len()].copy_from_slice(content);
    let header = Header {
        sum: U32::ZERO,
        number: U32::new(number),
        generation: U64::new(generation),
        kind: kind.byte(),
        level: NO_LEVEL,
        count: U16::ZERO,
        span: U32::new(span),
        end: U32::new(HEADER_U32),
        // Values and free lists are limited far below 4 GiB.
        tail: U32::new(u32::try_from(content.len()).unwrap_or(u32::MAX)),
    };
    seal(header, bytes, kind, shape)
}

/// Puts the header in front of a page's bytes, with the sum over all.
pub(crate) fn seal(mut header: Header, mut bytes: Box<[u8]>, kind: Kind, shape: Shape) -> Page {
    bytes[..HEADER].copy_from_slice(header.as_bytes());
    header.sum = U32::new(shape.sum(&bytes));
    bytes[..HEADER].copy_from_slice(header.as_bytes());
    Page::made(&header, bytes, kind)
}

#[cfg(test)]
mod tests;
