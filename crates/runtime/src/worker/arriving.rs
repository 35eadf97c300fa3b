//! Tensors on their way to the action that computes with them.

use autopipe_schedule::Transfer;
use candle_core::Tensor;

use crate::communicator::PostedRecv;

/// Tensors that the next action of a microbatch computes with.
pub(super) enum Arriving {
    /// From a stage of this rank, or from the loss.
    Here(Vec<Tensor>),
    /// Asked for from another rank, which sends it by `sent`.
    Posted { posted: PostedRecv, sent: Transfer },
}
