//! The payload of one commit: the operations that become visible together.
//!
//! Invariant: a [`Commit`] was read to its end before any of its operations is used, so an
//! operation is never applied out of a payload whose rest makes no sense.
//!
//! Knows nothing of LSNs and of the log. The bytes are specified in `docs/format/commit.md`.

use bytes::Bytes;
use zerocopy::little_endian::U32;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The version of the payload that is written.
pub(crate) const COMMIT_VERSION: u8 = 1;
/// The one kind of commit so far: operations on keys.
const OPERATIONS: u8 = 1;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// What stands in front of a commit's operations.
/// ```text
///  0         1      2      4       8
///  ├ version ┼ kind ┼ zero ┼ count ┤ operations …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct CommitHead {
    version: u8,
    kind: u8,
    zero: [u8; 2],
    count: U32,
}

/// What stands in front of each operation's key and value.
/// ```text
///  0      1      4          8         12          16
///  ├ kind ┼ zero ┼ keyspace ┼ key_len ┼ value_len ┤ key … value …
/// ```
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct OpHead {
    kind: u8,
    zero: [u8; 3],
    keyspace: U32,
    key_len: U32,
    value_len: U32,
}

pub(crate) const COMMIT_HEAD: usize = size_of::<CommitHead>();
pub(crate) const OP_HEAD: usize = size_of::<OpHead>();
const _: () = assert!(COMMIT_HEAD == 8 && std::mem::offset_of!(CommitHead, count) == 4);
const _: () = assert!(OP_HEAD == 16 && std::mem::offset_of!(OpHead, value_len) == 12);

/// Why bytes are no commit of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The payload ends inside its header or inside an operation.
    #[error("it ends early, in operation {0}")]
    Short(u32),
    /// More bytes follow than the operations take.
    #[error("bytes follow its last operation")]
    Trailing,
    /// A version that this program does not know.
    #[error("its version is {0}")]
    Version(u8),
    /// A kind of commit or operation that this version does not have.
    #[error("its kind, or that of an operation, is {0}")]
    Kind(u8),
    /// A field that is always zero is not.
    #[error("a field that is always zero is not")]
    NotZero,
    /// A delete that carries a value.
    #[error("a delete carries a value")]
    DeleteWithValue,
    /// A key that is longer than any store takes.
    #[error("a key of {0} bytes")]
    Key(u32),
    /// A keyspace that the store does not have.
    #[error("keyspace {0}, which the store does not have")]
    Keyspace(u32),
}

/// Builds the payload of a commit, operation by operation, in the order in which they count.
#[derive(Clone, Debug)]
pub(crate) struct CommitWriter {
    payload: Vec<u8>,
    count: u32,
}

impl CommitWriter {
    /// A commit without operations; `room` is how many bytes its operations will take.
    pub(crate) fn with_capacity(room: usize) -> Self {
        let mut payload = Vec::with_capacity(COMMIT_HEAD.saturating_add(room));
        payload.extend_from_slice(&[0; COMMIT_HEAD]);
        Self { payload, count: 0 }
    }

    /// Appends an operation; a value of `None` deletes. The caller has checked that the lengths
    /// fit 32 bits.
    pub(crate) fn push(&mut self, keyspace: u32, key: &[u8], value: Option<&[u8]>) {
        let len = |bytes: &[u8]| U32::new(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        let head = OpHead {
            kind: if value.is_some() { PUT } else { DELETE },
            zero: [0; 3],
            keyspace: U32::new(keyspace),
            key_len: len(key),
            value_len: len(value.unwrap_or_default()),
        };
        self.payload.extend_from_slice(head.as_bytes());
        self.payload.extend_from_slice(key);
        self.payload.extend_from_slice(value.unwrap_or_default());
        self.count = self.count.saturating_add(1);
    }

    /// The bytes so far, header included.
    pub(crate) fn len(&self) -> usize {
        self.payload.len()
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The payload, in the one allocation that it was built in.
    pub(crate) fn finish(mut self) -> Commit {
        let (version, kind) = (COMMIT_VERSION, OPERATIONS);
        let head = CommitHead { version, kind, zero: [0; 2], count: U32::new(self.count) };
        self.payload[..COMMIT_HEAD].copy_from_slice(head.as_bytes());
        Commit(Bytes::from(self.payload))
    }
}

/// The payload of a commit, known to be well-formed.
#[derive(Clone, Debug)]
pub(crate) struct Commit(Bytes);

/// One operation of a commit, as places in its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) keyspace: u32,
    pub(crate) key: Span,
    /// `None` for a delete.
    pub(crate) value: Option<Span>,
}

/// A run of bytes in a payload. A payload is shorter than 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Span {
    pub(crate) fn of(self, payload: &[u8]) -> &[u8] {
        let start = self.start as usize;
        payload.get(start..start + self.len as usize).unwrap_or_default()
    }

    pub(crate) fn slice(self, payload: &Bytes) -> Bytes {
        let start = self.start as usize;
        payload.slice(start..start + self.len as usize)
    }
}

impl Commit {
    /// Reads bytes that nobody vouches for.
    pub(crate) fn parse(payload: Bytes, longest_key: usize) -> Result<Self, CommitError> {
        let mut ops = Ops::open(&payload)?;
        while let Some(op) = ops.advance()? {
            if op.key.len as usize > longest_key {
                return Err(CommitError::Key(op.key.len));
            }
        }
        Ok(Self(payload))
    }

    pub(crate) fn payload(&self) -> &Bytes {
        &self.0
    }

    /// The operations in the order in which they count: of two on one key the later wins.
    pub(crate) fn ops(&self) -> impl Iterator<Item = Op> + '_ {
        let mut ops = Ops::open(&self.0).ok();
        // Neither can fail: `parse` went through the same steps, or we wrote the bytes.
        std::iter::from_fn(move || ops.as_mut()?.advance().ok().flatten())
    }
}

/// The operations of a payload, read one by one.
struct Ops<'a> {
    payload: &'a [u8],
    at: usize,
    done: u32,
    count: u32,
}

impl<'a> Ops<'a> {
    fn open(payload: &'a [u8]) -> Result<Self, CommitError> {
        let (head, _) = CommitHead::read_from_prefix(payload).map_err(|_| CommitError::Short(0))?;
        if head.version != COMMIT_VERSION {
            return Err(CommitError::Version(head.version));
        }
        if head.kind != OPERATIONS {
            return Err(CommitError::Kind(head.kind));
        }
        if head.zero != [0; 2] {
            return Err(CommitError::NotZero);
        }
        Ok(Self { payload, at: COMMIT_HEAD, done: 0, count: head.count.get() })
    }

    fn advance(&mut self) -> Result<Option<Op>, CommitError> {
        if self.done == self.count {
            let rest = self.payload.len() != self.at;
            return if rest { Err(CommitError::Trailing) } else { Ok(None) };
        }
        let short = CommitError::Short(self.done);
        let rest = self.payload.get(self.at..).ok_or(short)?;
        let (head, rest) = OpHead::read_from_prefix(rest).map_err(|_| short)?;
        if head.zero != [0; 3] {
            return Err(CommitError::NotZero);
        }
        let (key_len, value_len) = (head.key_len.get(), head.value_len.get());
        if key_len as u64 + value_len as u64 > rest.len() as u64 {
            return Err(short);
        }
        let start = self.at + OP_HEAD;
        let key = span(start, key_len).ok_or(short)?;
        let value = span(start + key_len as usize, value_len).ok_or(short)?;
        let value = match head.kind {
            PUT => Some(value),
            DELETE if value_len == 0 => None,
            DELETE => return Err(CommitError::DeleteWithValue),
            other => return Err(CommitError::Kind(other)),
        };
        self.at = start + key_len as usize + value_len as usize;
        self.done += 1;
        Ok(Some(Op { keyspace: head.keyspace.get(), key, value }))
    }
}

fn span(start: usize, len: u32) -> Option<Span> {
    Some(Span { start: u32::try_from(start).ok()?, len })
}

#[cfg(test)]
mod tests;
