//! The block layer: bios become requests, requests become commands.
//!
//! Invariant: what is not in a message or an event did not happen.

use super::Death;
use super::arena::{Arena, Marks};
use super::choice::Chooser;
use super::digest::Digest;
use super::ids::Ns;
use super::layer::{Cx, Layer};
use super::message::{BlockReq, SsdDone};

/// The block layer: bios become requests, requests become commands.
#[derive(Clone, Debug, Default)]
pub struct Block {}

impl Layer for Block {
    type Req = BlockReq;
    type Done = SsdDone;

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
