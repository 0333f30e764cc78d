//! Syncs: a COMMIT of each file, and WRITE again where the server had lost what it was sent.
//!
//! Invariant: a sync is answered when all that was sent before it is durable on the server, or
//! with the error that keeps it from being so.

use super::call::What;
use super::{Cx, Errno, Ino, Msg, Nfs, OpId, PagesDone, Sabotage};

/// A sync under way.
#[derive(Clone, Debug)]
pub(super) struct Syncing {
    op: OpId,
    /// The files that are not durable yet.
    left: Vec<Ino>,
    /// What was sent by then counts.
    mark: u32,
    error: Option<Errno>,
}

impl Nfs {
    /// The page cache has sent what is to be durable.
    pub(super) fn sync(&mut self, cx: &mut Cx, op: OpId, left: Vec<Ino>) {
        self.syncs.push(Syncing { op, left, mark: self.unstable.mark(), error: None });
        self.go_on(cx);
    }

    /// Something about a file was answered, on which syncs may wait.
    pub(super) fn settled(&mut self, cx: &mut Cx, ino: Ino, error: Option<Errno>) {
        for sync in self.syncs.iter_mut().filter(|sync| sync.left.contains(&ino)) {
            sync.error = sync.error.or(error);
        }
        self.go_on(cx);
    }

    fn go_on(&mut self, cx: &mut Cx) {
        let mut syncs = std::mem::take(&mut self.syncs);
        syncs.retain_mut(|sync| {
            sync.left.retain(|ino| !self.is_durable(cx, sync.op, *ino, sync.mark));
            if sync.left.is_empty() {
                let result = sync.error.map_or(Ok(()), Err);
                cx.send(Msg::PagesDone(PagesDone::Done { op: sync.op, result }));
            }
            !sync.left.is_empty()
        });
        self.syncs = syncs;
    }

    /// Whether all that was sent of a file is durable; if not, what it takes is under way.
    fn is_durable(&mut self, cx: &mut Cx, op: OpId, ino: Ino, mark: u32) -> bool {
        if self.config.sabotage != Some(Sabotage::VerifierIgnored) {
            for (pages, size) in self.unstable.lost(ino, mark) {
                let (fail, again) = (None, true);
                self.ask(cx, op, What::Write { ino, pages, size, fail, again });
            }
        }
        let (some, there) = self.unstable.left(ino, mark);
        let asked = |what: &What| matches!(what, What::Commit { ino: of, .. } if *of == ino);
        if some && there && !self.calls.iter().any(|call| asked(&call.what)) {
            let mark = self.unstable.mark();
            self.ask(cx, op, What::Commit { ino, mark });
        }
        !some
    }
}
