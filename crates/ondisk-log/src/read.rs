//! The reader: bytes of one segment → groups of records, or the reason why there is none.
//!
//! Invariant: the bytes are untrusted. A group is given out only when its header, its lengths and
//! every payload's sum are right *and* it continues the chain at the place asked for. Memory is
//! bounded by a window of [`WINDOW`] bytes, or one group where that is longer, and never exceeds
//! what the file really holds.
//!
//! Knows nothing of writing, of other segments and of where the log ends.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use ondisk_fs::{BLOCK, File};
use zerocopy::{FromBytes, IntoBytes};

use crate::options::Sabotage;
use crate::record::{
    GROUP_MAGIC, GROUP_VERSION, GroupHeader, HEADER_LEN, PREFIX_LEN, Prefix, align_block,
    align_group, crc32c,
};
use crate::{Damage, LogError, Lsn, StoreId};

/// Bytes read at once.
const WINDOW: usize = 1 << 20;

/// More than lies between the end of a group and its successor's body.
const PADDING: u64 = 2 * BLOCK as u64;

/// What the next group must continue from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// The last LSN before it.
    pub lsn: Lsn,
    /// The sum of the header before it.
    pub crc: u32,
    /// The epoch of the group before it; only a group at the start of a segment may begin a later
    /// one.
    pub epoch: u32,
}

/// Reads the groups of one segment in their order.
pub struct GroupReader {
    file: Arc<dyn File>,
    path: PathBuf,
    store: StoreId,
    generation: u64,
    size: u64,
    /// Bytes of the file from `window_at`; given out in slices, so read anew, not overwritten,
    /// while somebody holds one.
    window: Bytes,
    window_at: u64,
    /// End of the last group, without padding.
    at: u64,
    prefixes: Vec<u8>,
    sabotage: Option<Sabotage>,
}

/// Why a reader found no group that continues the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEnd {
    /// Where it looked, in bytes from the start of the file.
    pub offset: u64,
    /// What stands there instead.
    pub damage: Damage,
}

/// A whole group that continues the chain.
#[derive(Clone)]
pub struct Group {
    pub(crate) header: GroupHeader,
    /// Where its header begins, in bytes from the start of the file.
    pub offset: u64,
    /// Between the group before it and this one stand zeros alone, as they were written. Where
    /// they do not, bytes of the file have changed that carry nothing.
    pub follows_zeros: bool,
    body: Bytes,
}

impl GroupReader {
    /// A reader of the segment `file`, whose number (its generation) is `generation`, of the log
    /// `store`. `path` is for errors.
    ///
    /// # Errors
    /// [`LogError::Io`] when the file's size cannot be had.
    pub fn new(
        file: Arc<dyn File>,
        path: PathBuf,
        store: StoreId,
        generation: u64,
    ) -> Result<Self, LogError> {
        let size = file.size().map_err(LogError::io(&path, "get the size of the segment"))?;
        let (window, window_at, at, prefixes) = (Bytes::new(), 0, 0, Vec::new());
        let sabotage = None;
        Ok(Self { file, path, store, generation, size, window, window_at, at, prefixes, sabotage })
    }

    pub(crate) fn with_sabotage(mut self, sabotage: Option<Sabotage>) -> Self {
        self.sabotage = sabotage;
        self
    }

    /// The segment's size in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where the last group ended, in bytes, without padding.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.at
    }

    /// Goes to a place, where a group is known to begin.
    pub(crate) fn seek(&mut self, to: u64) {
        self.at = to;
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// The next group that continues `link`, which then names that group; or why there is none.
    ///
    /// # Errors
    /// [`LogError::Io`]. Whatever the bytes say is no error here.
    pub fn next_group(&mut self, link: &mut Link) -> Result<Result<Group, ReadEnd>, LogError> {
        let (near, far) = (align_group(self.at), align_block(self.at));
        let mut end = match self.group_at(near, *link)? {
            Ok(group) => return self.take(group, link).map(Ok),
            Err(damage) => ReadEnd { offset: near, damage },
        };
        if far != near {
            match self.group_at(far, *link)? {
                Ok(group) => return self.take(group, link).map(Ok),
                Err(damage) if matches!(end.damage, Damage::Zeros | Damage::NoHeader) => {
                    end = ReadEnd { offset: far, damage };
                }
                Err(_) => {}
            }
        }
        Ok(Err(end))
    }

    fn take(&mut self, mut group: Group, link: &mut Link) -> Result<Group, LogError> {
        group.follows_zeros = self.padding_is_zero(group.offset)?;
        self.at = group.end();
        *link = Link {
            lsn: group.header.last_lsn(),
            crc: group.header.header_crc.get(),
            epoch: group.header.epoch.get(),
        };
        Ok(group)
    }

    /// Whether the bytes from the last group's end up to `to` are there, and zeros.
    pub(crate) fn padding_is_zero(&mut self, to: u64) -> Result<bool, LogError> {
        let len = usize::try_from(to.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let at = self.at;
        Ok(self.ensure(at, len)?.is_some_and(zeros))
    }

    /// The header at `offset`, whatever it belongs to, if it is one.
    pub(crate) fn peek(&mut self, offset: u64) -> Result<Option<GroupHeader>, LogError> {
        let bytes = self.ensure(offset, HEADER_LEN)?;
        Ok(bytes.and_then(GroupHeader::parse))
    }

    fn group_at(&mut self, offset: u64, link: Link) -> Result<Result<Group, Damage>, LogError> {
        let header = match self.header_at(offset)? {
            Ok(header) => header,
            Err(damage) => return Ok(Err(damage)),
        };
        if let Err(damage) = self.belongs(&header, offset, link) {
            return Ok(Err(damage));
        }
        let body_len = header.body_len.get() as usize;
        let body_at = offset + HEADER_LEN as u64;
        if self.ensure(body_at, body_len)?.is_none() {
            return Ok(Err(Damage::Short));
        }
        let from = usize::try_from(body_at - self.window_at).unwrap_or(usize::MAX);
        let body = self.window.slice(from..from + body_len);
        let group = Group { header, offset, follows_zeros: true, body };
        Ok(self.verify(&group).map(|()| group))
    }

    fn header_at(&mut self, offset: u64) -> Result<Result<GroupHeader, Damage>, LogError> {
        let unsummed = self.sabotage == Some(Sabotage::HeaderSumIgnored);
        let Some(bytes) = self.ensure(offset, HEADER_LEN)? else {
            return Ok(Err(Damage::NoHeader)); // the end of the file
        };
        if let Some(header) = GroupHeader::parse(bytes) {
            return Ok(Ok(header));
        }
        Ok(match GroupHeader::read_from_bytes(bytes) {
            Ok(header) if header.magic == GROUP_MAGIC => {
                if unsummed && header.version.get() == GROUP_VERSION {
                    Ok(header)
                } else {
                    Err(Damage::HeaderSum)
                }
            }
            _ if zeros(bytes) => Err(Damage::Zeros),
            _ => Err(Damage::NoHeader),
        })
    }

    /// Whether a right header is the one that must stand here.
    fn belongs(&self, header: &GroupHeader, offset: u64, link: Link) -> Result<(), Damage> {
        if header.store() != self.store {
            return Err(Damage::OtherStore);
        }
        let generation = header.generation.get() == self.generation
            || self.sabotage == Some(Sabotage::GenerationNotChecked);
        let chain = (header.prev_crc.get() == link.crc && header.prev_lsn() == link.lsn)
            || (self.sabotage == Some(Sabotage::ChainNotChecked)
                && header.first_lsn.get() == link.lsn.next().0);
        let epoch = header.epoch.get();
        let (same, first) = (epoch == link.epoch, Lsn(header.first_lsn.get()));
        let lsn = if same { first == link.lsn.next() } else { first > link.lsn };
        let place = same || (offset == 0 && epoch > link.epoch);
        let countable = first.0.checked_add(u64::from(header.commits.get())).is_some();
        if generation && chain && lsn && place && countable {
            Ok(())
        } else {
            Err(Damage::OtherChain)
        }
    }

    /// Whether the group's lengths add up and all its sums fit.
    fn verify(&mut self, group: &Group) -> Result<(), Damage> {
        self.prefixes.clear();
        let mut rest = &group.body[..];
        for _ in 0..group.header.commits.get() {
            let (prefix, after) = Prefix::read_from_prefix(rest).map_err(|_| Damage::Lengths)?;
            let len = prefix.len.get() as usize;
            rest = after.get(len..).ok_or(Damage::Lengths)?;
            self.prefixes.extend_from_slice(prefix.as_bytes());
        }
        if !rest.is_empty() || crc32c(&self.prefixes) != group.header.records_crc.get() {
            return Err(Damage::Lengths);
        }
        if self.sabotage == Some(Sabotage::PayloadSumIgnored) {
            return Ok(());
        }
        for (lsn, prefix, payload) in group.raw_records() {
            if crc32c(payload) != prefix.crc.get() {
                return Err(Damage::PayloadSum(lsn));
            }
        }
        Ok(())
    }

    /// The `len` bytes at `offset`, through the window; `None` past the end of the file.
    fn ensure(&mut self, offset: u64, len: usize) -> Result<Option<&[u8]>, LogError> {
        let Some(end) = offset.checked_add(len as u64).filter(|end| *end <= self.size) else {
            return Ok(None);
        };
        if offset < self.window_at || end > self.window_at + self.window.len() as u64 {
            // From the last group's end on: the padding behind it is looked at after its
            // successor, and would else be read again, with a window of its own.
            let near = (self.at..self.at + PADDING).contains(&offset);
            let start = if near { self.at } else { offset };
            self.refill(start, usize::try_from(end - start).unwrap_or(usize::MAX))?;
        }
        let from = usize::try_from(offset - self.window_at).unwrap_or(usize::MAX);
        Ok(self.window.get(from..from + len))
    }

    fn refill(&mut self, offset: u64, len: usize) -> Result<(), LogError> {
        let left = usize::try_from(self.size - offset).unwrap_or(usize::MAX);
        let want = len.max(WINDOW).min(left);
        // The old window's memory serves again unless somebody holds a slice of it.
        let mut buf = std::mem::take(&mut self.window).try_into_mut().unwrap_or_default();
        if buf.capacity() < want {
            buf = BytesMut::zeroed(want);
        } else {
            buf.resize(want, 0);
        }
        self.file
            .read_exact_at(&mut buf, offset)
            .map_err(LogError::io(&self.path, "read the segment"))?;
        (self.window, self.window_at) = (buf.freeze(), offset);
        Ok(())
    }
}

/// Whether all bytes are zeros; by pieces, so that the compiler takes many at a time.
fn zeros(bytes: &[u8]) -> bool {
    bytes.chunks(64).all(|piece| piece.iter().fold(0, |any, byte| any | byte) == 0)
}

impl fmt::Debug for GroupReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupReader({} at {})", self.path.display(), self.at)
    }
}

impl Group {
    /// The first LSN of the group; the one that comes next when it holds no commit.
    #[must_use]
    pub fn first_lsn(&self) -> Lsn {
        Lsn(self.header.first_lsn.get())
    }

    /// The last LSN of the group; that of its predecessor when it holds no commit.
    #[must_use]
    pub fn last_lsn(&self) -> Lsn {
        self.header.last_lsn()
    }

    /// All through this LSN was durable when the group was written.
    #[must_use]
    pub fn watermark(&self) -> Lsn {
        self.header.watermark()
    }

    /// The opening of the log that wrote it.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.header.epoch.get()
    }

    /// How many commits it holds.
    #[must_use]
    pub fn commits(&self) -> u32 {
        self.header.commits.get()
    }

    /// Where it ends, in bytes from the start of the file, without padding.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.header.group_len()
    }

    /// The commits: LSN and payload, the payload without a copy.
    pub fn records(&self) -> impl Iterator<Item = (Lsn, Bytes)> + '_ {
        self.raw_records().map(|(lsn, _, payload)| (lsn, self.body.slice_ref(payload)))
    }

    /// Walks the records; ends early where the lengths do not add up (never after `verify`).
    fn raw_records(&self) -> impl Iterator<Item = (Lsn, Prefix, &[u8])> {
        let mut rest = &self.body[..];
        let mut lsn = Lsn(self.header.first_lsn.get());
        (0..self.header.commits.get()).map_while(move |_| {
            let (prefix, after) = Prefix::read_from_prefix(rest).ok()?;
            let (payload, after) = after.split_at_checked(prefix.len.get() as usize)?;
            rest = after;
            let this = lsn;
            lsn = lsn.next();
            Some((this, prefix, payload))
        })
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first_lsn(), self.last_lsn());
        write!(f, "Group({first}..={last} at {})", self.offset)
    }
}

const _: () = assert!(PREFIX_LEN == 8 && HEADER_LEN.is_multiple_of(8));
