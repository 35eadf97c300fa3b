//! The blocks that decoders are made of, each declared once and then built from its parameters.

mod activation;
mod attention;
mod declaration;
mod experts;
mod feed_forward;
mod kept;
mod layer;
mod mlp;
mod norm;
mod pass;
mod projection;
mod ranks;
mod scope;

pub(crate) use activation::Activation;
pub(crate) use attention::AttentionShape;
pub(crate) use declaration::{Declaration, Declared, Init, Split};
pub(crate) use experts::ExpertsShape;
pub(crate) use feed_forward::FeedForward;
pub(crate) use kept::Numbers;
pub(crate) use layer::{DecoderLayer, LayerShape, NormPlacement};
pub(crate) use mlp::MlpShape;
pub(crate) use norm::NormShape;
pub(crate) use pass::Pass;
pub(crate) use projection::{Adapter, Projection};
pub(crate) use ranks::Ranks;
pub(crate) use scope::Scope;
