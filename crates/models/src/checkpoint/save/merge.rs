//! A matrix with its adapter merged into it: `W + s · B A`.

use autopipe_nn::{Parameter, Parameters};
use candle_core::{DType, Result, Tensor};

use crate::AutoModel;
use crate::lora::{LORA_A, LORA_B};

/// What a parameter is for a reader that knows no adapters, in its own dtype; computed in float32.
pub(super) fn merged(
    model: &AutoModel,
    parameter: &Parameter,
    stage: &Parameters,
) -> Result<Tensor> {
    let value = parameter.value().detach();
    let Some((path, "weight")) = parameter.name().rsplit_once('.') else { return Ok(value) };
    let matrix = |name| stage.get(&format!("{path}.{name}")).map(|p| p.value().detach());
    let (Some(lora), Some(a), Some(b)) = (&model.options().lora, matrix(LORA_A), matrix(LORA_B))
    else {
        return Ok(value);
    };
    let difference = (b.matmul(&a)? * lora.scale())?;
    (value.to_dtype(DType::F32)? + difference)?.to_dtype(value.dtype())
}
