//! What a forward keeps for its backward, on one rank or on each of several that have parts of it.

use super::{BatchShape, Cost};

/// The bytes that a module's forward pass keeps for its backward pass.
///
/// Tensor-parallel ranks each have a part of the module's matrices, and of what is computed between
/// them: of an attention heads, of a feed-forward block a part of its width. What goes into such
/// matrices and what comes out is whole on each of them, as the residual stream and its norms are.
///
/// # Examples
/// ```
/// use autopipe_splitter::{BatchShape, Cost, Kept};
///
/// let kept = Kept {
///     whole: Cost::per_token(60),
///     cut: Cost::per_token(100),
///     added: Cost::per_token(8),
/// };
/// let shape = BatchShape { batch_size: 1, seq_len: 10 };
/// assert_eq!(kept.at(shape), 1600.);
/// assert_eq!(kept.among(1, shape), 1600.);
/// assert_eq!(kept.among(4, shape), 10. * (60. + 8. + 100. / 4.));
/// // What says nothing of parts is whole.
/// assert_eq!(Kept::from(Cost::per_token(60)).among(4, shape), 600.);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Kept {
    /// What each rank has all of.
    pub whole: Cost,
    /// What ranks share out.
    pub cut: Cost,
    /// What each rank has besides if there are several: copies where parts begin and end.
    pub added: Cost,
}

impl From<Cost> for Kept {
    fn from(whole: Cost) -> Self {
        Self { whole, ..Self::default() }
    }
}

impl Kept {
    /// On a rank that has all of the module.
    pub fn at(self, shape: BatchShape) -> f64 {
        self.whole.at(shape) + self.cut.at(shape)
    }

    /// On each of so many tensor-parallel ranks.
    pub fn among(self, num_ranks: usize, shape: BatchShape) -> f64 {
        if num_ranks <= 1 {
            return self.at(shape);
        }
        #[expect(clippy::cast_precision_loss, reason = "ranks are far fewer than 2^53")]
        let cut = self.cut.at(shape) / num_ranks as f64;
        self.whole.at(shape) + self.added.at(shape) + cut
    }
}
