//! Tensor parallelism: what layers need of the ranks that each have a part of their matrices.

mod cut;
mod ends;

use std::fmt;

use candle_core::{Result, Tensor};

pub use cut::{Cut, even_part};
pub use ends::{enter, leave};

/// The ranks among which the matrices of a stage are cut, as one of them sees them.
///
/// All of them run the same layers on the same inputs, each with its part of the weights, and make the
/// same calls in the same order; a call returns when all have made it. A forward and a backward may
/// each be under way on a thread of its own: their calls have orders of their own, told apart by the
/// [`Pass`].
pub trait TensorParallelGroup: Send + Sync + fmt::Debug {
    /// This rank's number in the group, below [`size`](Self::size).
    fn rank(&self) -> usize;

    /// How many ranks there are.
    fn size(&self) -> usize;

    /// Combines a tensor with those of the same shape and dtype that the other ranks have: of the same
    /// bits on all of them.
    ///
    /// # Errors
    /// If a rank cannot be reached or does not take part in time.
    fn all_reduce(&self, tensor: &Tensor, combine: Combine, pass: Pass) -> Result<Tensor>;
}

/// How the numbers of several ranks become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// Their sum, added in the order of the ranks.
    Sum,
    /// The largest; a NaN anywhere gives NaN.
    Max,
}

/// On which way through the layers a call is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Of a forward, be it the second one of a recomputed layer or stage.
    Forward,
    /// Of gradients, of inputs and weights.
    Backward,
}
