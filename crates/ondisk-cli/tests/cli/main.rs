//! The binary as its users see it: arguments, exit codes, what is printed where, and what stands
//! in the store afterwards.
#![expect(clippy::disallowed_methods, reason = "these tests break files from outside the store")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backup;
mod bad_input;
mod demo;
mod harness;
mod keyspaces;
mod kill;
mod load;
mod play;
mod play_serve;
mod probe;
mod round_trip;
mod show;
mod sim;
mod sim_input;
