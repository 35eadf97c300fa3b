//! Tests of the runtime from outside: communicators, launching, the interpreter, failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod communicator;
#[path = "../conformance/mod.rs"]
mod conformance;
mod failure;
mod faulty;
mod frozen;
mod gpu;
mod gradients;
mod guard;
mod half;
mod inject;
mod kept;
mod known_work;
mod launch;
mod memory;
mod net;
mod predicted;
mod random;
mod recovery;
mod replicas;
mod shards;
mod shares;
mod sharing;
mod skips;
mod tensor_faults;
mod tensor_net;
mod tensor_parallel;
mod tied;
mod tied_net;
mod told;
mod vote;
mod web;
