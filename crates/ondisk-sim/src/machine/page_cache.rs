//! The page cache: dirty and clean pages, the flusher, throttling.
//!
//! Invariant: what is not in a message or an event did not happen.

use super::Death;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::digest::Digest;
use super::ids::Ns;
use super::layer::{Cx, Layer};
use super::message::{PagesDone, PagesReq};

/// The page cache: dirty and clean pages, the flusher, throttling.
#[derive(Clone, Debug, Default)]
pub struct PageCache {}

impl Layer for PageCache {
    type Req = PagesReq;
    type Done = PagesDone;

    fn accept(&mut self, _: &mut Cx, _: Self::Req) {}
    fn complete(&mut self, _: &mut Cx, _: Self::Done) {}
    fn tick(&mut self, _: &mut Cx) {}
    fn next_tick(&self) -> Option<Ns> {
        None
    }
    fn power_cut(&mut self, _: Death, _: &mut Arena, _: &mut dyn Chooser) {}
    fn digest(&self, _: &Arena, _: &mut Digest) {}
    fn marks(&self, _: &mut Marks) {}
}
