//! What a forward has besides its hidden states.

use autopipe_nn::{Rotation, Segments};
use autopipe_runtime::Noise;

/// What all layers of a stage share in the forward of one microbatch.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// The rotations of the tokens' positions, one for each of the decoder's embeddings.
    pub(crate) rotations: Vec<Rotation>,
    /// The documents that rows are packed from, if any has more than one.
    pub(crate) segments: Option<Segments>,
    /// Of the whole step, which part this microbatch is.
    pub(crate) share: f64,
    /// Where adapters are to drop numbers, from what they draw.
    pub(crate) noise: Option<Noise>,
}
