//! Paths, taken apart once at the seam.
//!
//! Invariant: a path means the same whether it is absolute or relative (the root is the working
//! directory), and `.` and `..` are resolved by their letters, before any symbolic link is followed.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

/// A name inside a directory.
pub(crate) type Name = Arc<OsStr>;

/// A name from its bytes. What is not UTF-8 in it keeps its difference: such a byte becomes a
/// character of a private area.
pub(crate) fn name_of(bytes: &[u8]) -> OsString {
    let mut name = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        name.push_str(chunk.valid());
        let private = |byte: &u8| char::from_u32(0xF700 + u32::from(*byte));
        name.extend(chunk.invalid().iter().filter_map(private));
    }
    name.into()
}

/// The names on the way from the root.
pub(crate) fn names(path: &Path) -> impl Iterator<Item = &OsStr> + Clone {
    let mut names = Vec::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir | Component::CurDir => {}
            Component::ParentDir => {
                names.pop();
            }
            Component::Normal(name) => names.push(name),
        }
    }
    names.into_iter()
}

/// The names of the directories above, and the last name.
///
/// # Errors
/// `InvalidInput` for the root, which has no name.
pub(crate) fn split(path: &Path) -> io::Result<(Vec<&OsStr>, &OsStr)> {
    let mut above: Vec<&OsStr> = names(path).collect();
    let last = above.pop().ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidInput, "the root directory has no name of its own")
    })?;
    Ok((above, last))
}
