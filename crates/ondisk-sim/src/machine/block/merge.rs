//! How blocks that lie together become one request.
//!
//! Invariant: what joins lies right behind or right before, is for the same direction, and
//! together they are no larger than the drive takes. The task's own plug is looked at first, and
//! in it the last request alone; then the scheduler. Behind comes before in front. Nothing joins a
//! request that flushes or is to fail.

use super::Block;
use super::request::{Piece, Run};
use crate::machine::event::{Join, Kind, Layer as Number};
use crate::machine::ids::RqId;
use crate::machine::layer::Cx;

impl Block {
    /// A piece joins a request that is plugged or queued, if there is one for it.
    pub(super) fn join(&mut self, cx: &mut Cx, piece: Piece) -> bool {
        let run = Run::of(&self.bios.get(piece.bio).bio, piece);
        let last = self.plugs.last(run.task);
        let fits = |rq: u32| Some((rq, self.rqs[rq].fits(&run, self.config.largest)?));
        if let Some((rq, join)) = last.and_then(fits) {
            self.add(cx, rq, piece, join, RqId(0));
            return true;
        }
        let Some((rq, join)) = self.order.fits(&run, &self.rqs, self.config.largest) else {
            return false;
        };
        self.add(cx, rq, piece, join, RqId(0));
        if join == Join::Front {
            self.order.moved(rq, &self.rqs);
        }
        self.close_gap(cx, rq, join);
        true
    }

    /// A piece, of another request or of none, becomes part of this one.
    fn add(&mut self, cx: &mut Cx, at: u32, piece: Piece, join: Join, from: RqId) {
        let bio = &self.bios.get(piece.bio).bio;
        let rq = &mut self.rqs[at];
        rq.count += piece.count;
        match join {
            Join::Back => rq.pieces.push(piece),
            Join::Front => {
                rq.lba -= piece.count;
                rq.pieces.insert(0, piece);
            }
        }
        let first = bio.cargo.get(piece.from as usize).map_or(rq.ver, |cargo| cargo.ver);
        if join == Join::Front {
            rq.ver = first;
        }
        let kind = Kind::Merged { bio: bio.id, rq: rq.id, from, join };
        cx.event(Number::Block, bio.op, first, kind);
    }

    /// A queued request grew: it may touch another now, and the two become one.
    fn close_gap(&mut self, cx: &mut Cx, rq: u32, join: Join) {
        let run = self.rqs[rq].run();
        // Whom this one could join before is behind it.
        let wanted = if join == Join::Back { Join::Front } else { Join::Back };
        match self.order.fits(&run, &self.rqs, self.config.largest) {
            Some((other, how)) if how == wanted && how == Join::Front => {
                self.absorb(cx, rq, other);
                self.order.absorbed(rq, other, &self.rqs);
                self.rqs.put_back(other);
            }
            Some((other, how)) if how == wanted => {
                self.absorb(cx, other, rq);
                self.order.absorbed(other, rq, &self.rqs);
                self.rqs.put_back(rq);
            }
            _ => {}
        }
    }

    /// A request that leaves the plug joins one that is queued, if it lies right behind it.
    pub(super) fn joins_queued(&mut self, cx: &mut Cx, rq: u32) -> bool {
        if !self.rqs[rq].joins {
            return false;
        }
        let run = self.rqs[rq].run();
        let Some((other, Join::Back)) = self.order.fits(&run, &self.rqs, self.config.largest)
        else {
            return false;
        };
        cx.because(self.rqs[rq].cause);
        self.absorb(cx, other, rq);
        self.rqs.put_back(rq);
        self.close_gap(cx, other, Join::Back);
        true
    }

    /// All pieces of `other`, which lies right behind `rq`, go over to it.
    fn absorb(&mut self, cx: &mut Cx, rq: u32, other: u32) {
        let from = self.rqs[other].id;
        let mut pieces = std::mem::take(&mut self.rqs[other].pieces);
        for piece in &pieces {
            self.add(cx, rq, *piece, Join::Back, from);
        }
        pieces.clear();
        self.rqs[other].pieces = pieces;
    }
}
