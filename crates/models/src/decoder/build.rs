//! Builds a stage: only its modules, only their weights.

use std::sync::Arc;

use autopipe_nn::{Embedding, Linear, Parameters};
use candle_core::{Device, Tensor};

use super::part::Part;
use super::select::select;
use super::stage::{DecoderStage, Layer};
use super::{Decoder, EMBEDDING, Planned};
use crate::blocks::{Projection, Ranks, Scope, Split};
use crate::{Error, WeightSource};

impl Decoder {
    /// The stage made of `modules`, with its weights from `weights` on `device`: of these a rank keeps
    /// its own part.
    pub(crate) fn build_stage(
        &self,
        modules: &[String],
        weights: &WeightSource,
        device: &Device,
        ranks: &Ranks,
    ) -> Result<DecoderStage, Error> {
        self.check_tensor_parallel(ranks.size())?;
        let parts = select(modules, self.shape.layers.len())
            .map_err(|problems| Error::Modules { problems })?;
        let mut parameters = Parameters::new();
        for planned in parts.iter().flat_map(|&part| self.parameters(part)) {
            // Where both are here, the head takes the embedding's.
            if planned.shared_with.is_some_and(|owner| parameters.get(owner).is_some()) {
                continue;
            }
            let value = self.value(&planned, weights, device)?;
            add(&mut parameters, &planned, value, ranks).map_err(|source| Error::Parameter {
                name: planned.declared.name.clone(),
                source: source.into(),
            })?;
        }
        self.assemble(&parts, parameters, ranks).map_err(|source| Error::Build { source })
    }

    fn assemble(
        &self,
        parts: &[Part],
        parameters: Parameters,
        ranks: &Ranks,
    ) -> candle_core::Result<DecoderStage> {
        let shape = &self.shape;
        let (mut embed_tokens, mut layers, mut norm, mut lm_head) = (None, Vec::new(), None, None);
        for &part in parts {
            let scope = Scope::new(&parameters, self.options.lora.as_ref(), ranks, part.name());
            match part {
                Part::Embedding => {
                    let embedding = match ranks.group() {
                        Some(group) => Embedding::among(scope.weight(), group)?,
                        None => Embedding::new(scope.weight())?,
                    };
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
            ranks: ranks.clone(),
        })
    }
}

/// Adds a parameter as this rank is to have it. The whole value is gone before the next is read.
fn add(
    parameters: &mut Parameters,
    planned: &Planned,
    value: Tensor,
    ranks: &Ranks,
) -> Result<(), autopipe_nn::Error> {
    let Planned { declared, trainable, .. } = planned;
    let name = &declared.name;
    let Some(group) = ranks.group() else {
        return parameters.add(name, value, *trainable).map(drop);
    };
    if let Some(cut) = declared.cut(group.rank(), group.size())? {
        let part = cut.take(&value)?;
        drop(value);
        return parameters.add_cut(name, part, *trainable, cut).map(drop);
    }
    let parameter = match declared.split {
        Split::Summed => parameters.add_summed(name, value, *trainable, group),
        Split::Whole | Split::Rows(_) | Split::Columns => parameters.add(name, value, *trainable),
    };
    parameter.map(drop)
}
