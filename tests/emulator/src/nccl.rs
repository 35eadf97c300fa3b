//! NCCL between the threads of a process: messages that wait for their other end.

use crate::engine::{Engine, Handle};

#[derive(Default)]
pub(crate) struct Nccl {}

impl Engine {
    pub(crate) fn exchange(&mut self, _id: Handle) -> bool {
        true
    }
}
