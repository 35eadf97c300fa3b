//! Tests of the runtime from outside: communicators, launching, the interpreter, failure.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod communicator;
mod failure;
mod gradients;
mod launch;
mod memory;
mod net;
mod predicted;
mod random;
mod skips;
mod vote;
mod web;
