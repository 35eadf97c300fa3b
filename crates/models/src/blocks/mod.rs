//! The blocks that decoders are made of, each declared once and then built from its parameters.

mod attention;
mod declaration;
mod layer;
mod mlp;
mod scope;

pub(crate) use attention::AttentionShape;
pub(crate) use declaration::{Declaration, Declared, Init};
pub(crate) use layer::{DecoderLayer, LayerShape};
pub(crate) use mlp::MlpShape;
pub(crate) use scope::Scope;
