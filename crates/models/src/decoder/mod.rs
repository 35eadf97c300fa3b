//! A decoder with a language-model head as all families here have it: embedding, layers, norm, head.

mod build;
mod graph;
mod part;
mod select;
mod stage;

#[cfg(test)]
mod tests;

use autopipe_splitter::ElementType;
use candle_core::DType;

pub use select::ModuleProblem;

use crate::blocks::{Declared, LayerShape};
use crate::{Checkpoint, Error};
use part::{Part, parts};

/// Trained in this precision, whatever the checkpoint has; the graph says the same in its own words.
const DTYPE: DType = DType::F32;
const ELEMENT_TYPE: ElementType = ElementType::F32;

/// All that a family's config decides of the computation.
#[derive(Clone, Debug)]
pub(crate) struct DecoderShape {
    pub(crate) vocab_size: usize,
    pub(crate) num_layers: usize,
    pub(crate) rope_theta: f32,
    /// Standard deviation of random weights.
    pub(crate) initializer_range: f64,
    pub(crate) layer: LayerShape,
}

impl DecoderShape {
    pub(crate) fn num_parameters(&self) -> u128 {
        let count = |part: Part| -> u128 {
            let declared = part.declare(self).parameters("");
            declared
                .iter()
                .map(|p| p.shape.iter().map(|&size| size as u128).product::<u128>())
                .sum()
        };
        // All layers are alike.
        [Part::Embedding, Part::Norm, Part::Rotary, Part::Head].map(count).iter().sum::<u128>()
            + count(Part::Layer(0)) * self.num_layers as u128
    }

    /// Whether the checkpoint has exactly the decoder's parameters.
    pub(crate) fn check(&self, checkpoint: &Checkpoint) -> Result<(), Error> {
        let parameters: Vec<Declared> = parts(self.num_layers)
            .flat_map(|part| part.declare(self).parameters(&part.name()))
            .collect();
        checkpoint.check(parameters.iter().map(|p| (p.name.as_str(), p.shape.as_slice())))
    }
}
