//! A file system made from a tree: all durable, the journal empty.

use thiserror::Error;

use crate::machine::arena::Arena;
use crate::machine::config::Ext4Options;
use crate::machine::ids::{BlockId, Lba};
use crate::ops::Image;

/// Why a file system cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FormatError {
    /// The options leave no room, or are beyond what the format can say.
    #[error("so many blocks, inodes and blocks of the journal do not make a file system")]
    Geometry,
    /// The tree does not fit.
    #[error("the files do not fit on the device")]
    Full,
    /// A name or a path that cannot be.
    #[error("{}: no such name can be", .0.display())]
    Name(std::path::PathBuf),
}

/// The blocks of a new file system that holds a tree.
///
/// # Errors
/// The tree does not fit, or the options make no file system.
pub fn format(
    base: &Image,
    options: &Ext4Options,
    arena: &mut Arena,
) -> Result<Vec<(Lba, BlockId)>, FormatError> {
    let _ = (base, options, arena);
    Err(FormatError::Full)
}
