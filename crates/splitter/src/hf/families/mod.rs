//! The families of decoders, by the `model_type` of their configs.

mod deepseek;
mod gemma;
mod gemma2;
mod gemma3;
mod glm4;
mod glm4_moe;
mod gpt_oss;
mod llama;
mod mistral;
mod mixtral;
mod olmo2;
mod phi3;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod qwen3_moe;
mod starcoder2;

pub(super) use gemma3::gemma3_text;
pub(super) use qwen2::qwen2_vl_text;

use super::decoder::Decoder;
use super::fields::Fields;

/// Reads a decoder from the fields of its config.
pub(super) type ReadDecoder = fn(&Fields<'_>) -> Decoder;

/// All families. A further one is a line here and a file.
pub(super) const FAMILIES: [(&str, ReadDecoder); 22] = [
    ("deepseek_v2", deepseek::deepseek_v2),
    ("deepseek_v3", deepseek::deepseek_v3),
    ("gemma", gemma::gemma),
    ("gemma2", gemma2::gemma2),
    ("gemma3_text", gemma3_text),
    ("glm4", glm4::glm4),
    ("glm4_moe", glm4_moe::glm4_moe),
    ("gpt_oss", gpt_oss::gpt_oss),
    ("kimi_k2", deepseek::deepseek_v3),
    ("llama", llama::llama),
    ("mistral", mistral::mistral),
    ("mixtral", mixtral::mixtral),
    ("olmo2", olmo2::olmo2),
    ("olmo3", olmo2::olmo3),
    ("phi3", phi3::phi3),
    ("qwen2", qwen2::qwen2),
    ("qwen2_5_vl_text", qwen2_vl_text),
    ("qwen2_moe", qwen2_moe::qwen2_moe),
    ("qwen2_vl_text", qwen2_vl_text),
    ("qwen3", qwen3::qwen3),
    ("qwen3_moe", qwen3_moe::qwen3_moe),
    ("starcoder2", starcoder2::starcoder2),
];
