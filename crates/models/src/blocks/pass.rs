//! What a forward has besides its hidden states.

use autopipe_nn::Rotation;
use autopipe_runtime::Noise;

/// What all layers of a stage share in the forward of one microbatch.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    /// The rotations of the positions 0, 1, .., one for each of the decoder's embeddings.
    pub(crate) rotations: Vec<Rotation>,
    /// Of the whole step, which part this microbatch is.
    pub(crate) share: f64,
    /// Where adapters are to drop numbers, from what they draw.
    pub(crate) noise: Option<Noise>,
}
