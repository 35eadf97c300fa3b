//! Tests of the facade with a small model of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod dtype;
mod frozen;
mod replicas;
mod scales;
mod tied;
