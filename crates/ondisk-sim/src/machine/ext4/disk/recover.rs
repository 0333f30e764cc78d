//! Recovery: the journal scanned, revoked, replayed; then all metadata read.

use super::{Loaded, MountError};
use crate::machine::arena::Arena;
use crate::machine::config::Sabotage;
use crate::machine::ids::{BlockId, Lba};

/// Reads a file system from the media. `read` answers the content of a block, zeros where
/// nothing was ever written or the device ends. Nothing is written: see [`Loaded::replayed`].
///
/// # Errors
/// Which block is damaged, and how.
pub fn recover(read: &dyn Fn(Lba) -> BlockId, arena: &mut Arena) -> Result<Loaded, MountError> {
    recover_sabotaged(read, arena, None)
}

/// As [`recover`], with a mistake planted on purpose.
///
/// # Errors
/// As [`recover`].
#[doc(hidden)]
pub fn recover_sabotaged(
    read: &dyn Fn(Lba) -> BlockId,
    arena: &mut Arena,
    sabotage: Option<Sabotage>,
) -> Result<Loaded, MountError> {
    let _ = (read, arena, sabotage);
    Ok(Loaded::default())
}
