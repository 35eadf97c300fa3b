//! Builds a stage: only its modules, only their weights.

use autopipe_nn::{Embedding, Parameters, RotaryEmbedding};
use candle_core::Device;

use super::part::Part;
use super::select::select;
use super::stage::DecoderStage;
use super::{DTYPE, DecoderShape};
use crate::blocks::{DecoderLayer, Scope};
use crate::{Error, WeightSource};

impl DecoderShape {
    /// The stage made of `modules`, with its weights from `weights` on `device`.
    pub(crate) fn build_stage(
        &self,
        modules: &[String],
        weights: &WeightSource,
        device: &Device,
    ) -> Result<DecoderStage, Error> {
        let parts =
            select(modules, self.num_layers).map_err(|problems| Error::Modules { problems })?;
        let mut parameters = Parameters::new();
        for part in &parts {
            for declared in part.declare(self).parameters(&part.name()) {
                let value = weights.tensor(&declared, self.initializer_range, DTYPE, device)?;
                parameters.add(&declared.name, value, true).map_err(|source| Error::Parameter {
                    name: declared.name,
                    source: source.into(),
                })?;
            }
        }
        self.assemble(&parts, parameters).map_err(|source| Error::Build { source })
    }

    fn assemble(
        &self,
        parts: &[Part],
        parameters: Parameters,
    ) -> candle_core::Result<DecoderStage> {
        let layer = &self.layer;
        let (mut embed_tokens, mut layers, mut norm, mut lm_head) = (None, Vec::new(), None, None);
        for &part in parts {
            let scope = Scope::new(&parameters, part.name());
            match part {
                Part::Embedding => embed_tokens = Some(Embedding::new(scope.weight())?),
                Part::Layer(_) => layers.push(DecoderLayer::new(layer, &scope)?),
                Part::Norm => norm = Some(scope.norm(layer.rms_norm_eps)?),
                Part::Head => lm_head = Some(scope.linear()?),
                // Made below for every stage, listed or not: without it, layers cannot compute.
                Part::Rotary => {}
            }
        }
        Ok(DecoderStage {
            embed_tokens,
            layers,
            norm,
            lm_head,
            rotary_emb: RotaryEmbedding::with_theta(layer.attention.head_dim, self.rope_theta)?,
            hidden_size: layer.hidden_size,
            parameters,
        })
    }
}
