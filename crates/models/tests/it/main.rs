//! The crate from outside: numbers equal to transformers', in one piece and in stages.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod fixture;
mod gpu;
mod lora;
mod packed;
mod parity;
mod save;
mod split;
mod tensor_parallel;
#[path = "../../../nn/tests/it/threads.rs"]
mod threads;
