//! All that a family's config decides of the computation.

use super::part::{Part, parts};
use crate::blocks::{FeedForward, LayerShape, NormShape};
use crate::rope::{Rope, Scaling};

/// All that a family's config decides of the computation.
#[derive(Clone, Debug)]
pub(crate) struct DecoderShape {
    pub(crate) vocab_size: usize,
    pub(crate) hidden_size: usize,
    /// The longest sequence that the model was made for.
    pub(crate) max_positions: usize,
    /// The token whose row of the embedding gets no gradient.
    pub(crate) padding_id: Option<usize>,
    /// What the embedding's result is multiplied by.
    pub(crate) embedding_scale: Option<f64>,
    pub(crate) layers: Vec<LayerShape>,
    /// The rotary embeddings that the layers choose from.
    pub(crate) ropes: Vec<Rope>,
    /// The last norm.
    pub(crate) norm: NormShape,
    /// What logits are softly held below.
    pub(crate) logit_softcap: Option<f64>,
    /// Whether the head's matrix is the embedding's.
    pub(crate) is_tied: bool,
    /// Standard deviation of random weights.
    pub(crate) initializer_range: f64,
}

impl DecoderShape {
    /// How many numbers the parameters have, each once.
    pub(crate) fn num_parameters(&self) -> u128 {
        let count = |part: Part| -> u128 {
            let declared = part.declare(self).parameters("");
            let sizes = declared.iter().map(|p| p.shape.iter().map(|&size| size as u128));
            sizes.map(Iterator::product::<u128>).sum()
        };
        let tied = if self.is_tied { count(Part::Head) } else { 0 };
        let (layers, ends): (Vec<Part>, Vec<Part>) =
            parts(self.layers.len()).partition(|part| matches!(part, Part::Layer(_)));
        let ends: u128 = ends.into_iter().map(count).sum();
        // Layers with the same kind of feed-forward block are alike.
        let of_kind = |is_sparse: bool| {
            let mut same = layers.iter().filter(|part| self.is_sparse(**part) == is_sparse);
            let num = same.clone().count() as u128;
            same.next().map_or(0, |part| count(*part) * num)
        };
        ends - tied + of_kind(false) + of_kind(true)
    }

    /// How many positions a document may have; as many as there are where rotations adapt to
    /// longer ones.
    pub(super) fn limit(&self) -> Option<usize> {
        let adapts = |rope: &Rope| matches!(rope.scaling, Scaling::Dynamic { .. });
        (!self.ropes.iter().any(adapts)).then_some(self.max_positions)
    }

    /// How many layers have a router.
    pub(super) fn num_sparse(&self) -> usize {
        parts(self.layers.len()).filter(|part| self.is_sparse(*part)).count()
    }

    fn is_sparse(&self, part: Part) -> bool {
        match part {
            Part::Layer(layer) => match self.layers[layer].feed_forward {
                FeedForward::Sparse(_) => true,
                FeedForward::Dense(_) => false,
            },
            Part::Embedding | Part::Norm | Part::Rotary | Part::Head => false,
        }
    }
}
