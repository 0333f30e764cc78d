//! Answers upwards: to the VFS for its calls, to the page cache for its own.

use crate::machine::Errno;
use crate::machine::ids::OpId;
use crate::machine::layer::Cx;
use crate::machine::message::{Done, Msg, PagesDone, VfsDone};

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    Vfs,
    Pages,
}

/// Answers a call that is done, or is not.
pub(super) fn answer(cx: &mut Cx, to: To, op: OpId, result: Result<(), Errno>) {
    cx.send(match to {
        To::Vfs => Msg::VfsDone(VfsDone { op, result: result.map(|()| Done::Ok) }),
        To::Pages => Msg::PagesDone(PagesDone::Done { op, result }),
    });
}
