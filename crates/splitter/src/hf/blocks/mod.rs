//! What decoder layers are made of, with the fields that these sizes are read from.

mod attention;
mod experts;
mod heads;
mod latent;
mod layer;
mod mlp;
mod window;

pub(super) use attention::{Attention, HeadNorm};
pub(super) use experts::{
    Routing, Sparsity, corrected_router, experts, experts_behind, with_shared_experts,
};
pub(super) use heads::{HeadDefaults, Heads};
pub(super) use latent::{LatentAttention, LatentDefaults};
pub(super) use layer::{layer, pre_norm_layer};
pub(super) use mlp::{fused_mlp, gated_mlp, plain_mlp};
pub(super) use window::{Window, alternating, per_layer, windows};
