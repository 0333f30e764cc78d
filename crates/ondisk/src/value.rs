//! Keys and values as a store gives them out: without a copy where they stand in memory already.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;

use crate::btree::page::PageSlice;

/// A value. Dereferences to its bytes; a clone shares them.
///
/// It may keep the memory of the commit that wrote it, or the page on which it stands, so a value
/// that is kept for long while its neighbours are not is better copied, with `to_vec`.
#[derive(Clone)]
pub struct Value(Held);

/// What a value keeps.
#[derive(Clone)]
enum Held {
    Bytes(Bytes),
    Page(PageSlice),
}

/// A key that a range gave. Dereferences to its bytes; a clone shares them.
#[derive(Clone)]
pub struct Key(Repr);

#[derive(Clone)]
enum Repr {
    Young(Bytes),
    Old(Arc<[u8]>),
}

impl Value {
    /// The bytes as a handle that shares them.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        match self.0 {
            Held::Bytes(bytes) => bytes,
            Held::Page(slice) => Bytes::from_owner(slice),
        }
    }

    pub(crate) fn copy(bytes: &[u8]) -> Self {
        Self(Held::Bytes(Bytes::copy_from_slice(bytes)))
    }

    /// A value that keeps the page on which it stands.
    pub(crate) fn pinned(slice: PageSlice) -> Self {
        Self(Held::Page(slice))
    }
}

impl From<Bytes> for Value {
    fn from(bytes: Bytes) -> Self {
        Self(Held::Bytes(bytes))
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Held::Bytes(bytes) => bytes,
            Held::Page(slice) => slice.as_ref(),
        }
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

impl From<Bytes> for Key {
    fn from(bytes: Bytes) -> Self {
        Self(Repr::Young(bytes))
    }
}

impl From<Arc<[u8]>> for Key {
    fn from(key: Arc<[u8]>) -> Self {
        Self(Repr::Old(key))
    }
}

impl Deref for Key {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.0 {
            Repr::Young(bytes) => bytes,
            Repr::Old(key) => key,
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

macro_rules! as_bytes {
    ($type:ty, $name:literal) => {
        impl AsRef<[u8]> for $type {
            fn as_ref(&self) -> &[u8] {
                self
            }
        }

        impl PartialEq<[u8]> for $type {
            fn eq(&self, other: &[u8]) -> bool {
                **self == *other
            }
        }

        impl PartialEq<&[u8]> for $type {
            fn eq(&self, other: &&[u8]) -> bool {
                **self == **other
            }
        }

        impl<const N: usize> PartialEq<&[u8; N]> for $type {
            fn eq(&self, other: &&[u8; N]) -> bool {
                **self == other[..]
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($name, "(\"{}\")"), self.escape_ascii())
            }
        }
    };
}

as_bytes!(Value, "Value");
as_bytes!(Key, "Key");
