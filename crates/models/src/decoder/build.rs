//! Builds a stage: only its modules, only their weights.

use std::sync::Arc;

use autopipe_nn::{Embedding, Linear, Parameters};
use candle_core::Device;

use super::part::Part;
use super::select::select;
use super::stage::{DecoderStage, Layer};
use super::{Decoder, EMBEDDING, Planned};
use crate::blocks::{Projection, Scope};
use crate::{Error, WeightSource};

impl Decoder {
    /// The stage made of `modules`, with its weights from `weights` on `device`.
    pub(crate) fn build_stage(
        &self,
        modules: &[String],
        weights: &WeightSource,
        device: &Device,
    ) -> Result<DecoderStage, Error> {
        let parts = select(modules, self.shape.layers.len())
            .map_err(|problems| Error::Modules { problems })?;
        let mut parameters = Parameters::new();
        for planned in parts.iter().flat_map(|&part| self.parameters(part)) {
            // Where both are here, the head takes the embedding's.
            if planned.shared_with.is_some_and(|owner| parameters.get(owner).is_some()) {
                continue;
            }
            let Planned { declared, trainable, .. } = &planned;
            let value = self.value(&planned, weights, device)?;
            parameters.add(&declared.name, value, *trainable).map_err(|source| {
                Error::Parameter { name: declared.name.clone(), source: source.into() }
            })?;
        }
        self.assemble(&parts, parameters).map_err(|source| Error::Build { source })
    }

    fn assemble(
        &self,
        parts: &[Part],
        parameters: Parameters,
    ) -> candle_core::Result<DecoderStage> {
        let shape = &self.shape;
        let (mut embed_tokens, mut layers, mut norm, mut lm_head) = (None, Vec::new(), None, None);
        for &part in parts {
            let scope = Scope::new(&parameters, self.options.lora.as_ref(), part.name());
            match part {
                Part::Embedding => {
                    let embedding = Embedding::new(scope.weight())?;
                    embed_tokens = Some(match shape.padding_id {
                        Some(id) => embedding.with_padding(id)?,
                        None => embedding,
                    });
                }
                Part::Layer(number) => layers.push(Layer {
                    layer: Arc::new(shape.layers[number].build(&scope, shape.num_sparse())?),
                    is_recomputed: self.options.recompute.has(number),
                    is_trained: self.parameters(part).iter().any(|planned| planned.trainable),
                }),
                Part::Norm => norm = Some(scope.norm(shape.norm)?),
                Part::Head => {
                    let owner = parameters.get(EMBEDDING).filter(|_| shape.is_tied);
                    lm_head = Some(match owner {
                        Some(owner) => {
                            Projection::new(Linear::new(owner.clone(), None)?, scope.adapter()?)
                        }
                        None => scope.linear()?,
                    });
                }
                // Made by every stage, listed or not: without it, layers cannot compute.
                Part::Rotary => {}
            }
        }
        Ok(DecoderStage {
            embed_tokens,
            embedding_scale: shape.embedding_scale,
            layers,
            norm,
            lm_head,
            logit_softcap: shape.logit_softcap,
            ropes: shape.ropes.clone(),
            max_positions: shape.limit(),
            hidden_size: shape.hidden_size,
            parameters,
        })
    }
}
