#![allow(missing_docs, dead_code, clippy::all)]
use autopipe_nn::*;
use candle_core::{DType, Device, Result, Shape, Tensor};
use std::sync::Arc;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    pub seed: u64,
    pub first_row: usize,
}
pub trait A: Sized {
    fn with_softcap(self, _: f64) -> Self {
        self
    }
}
impl A for Attention {}
pub trait B: Sized {
    fn with_unit_offset(w: Parameter, e: f64) -> Result<Self>;
}
impl B for RmsNorm {
    fn with_unit_offset(w: Parameter, e: f64) -> Result<Self> {
        RmsNorm::new(w, e)
    }
}
pub trait C: Sized {
    fn with_factor(self, _: f32) -> Self {
        self
    }
}
impl C for RotaryEmbedding {}
pub trait D: Sized {
    fn with_padding(self, _: usize) -> Result<Self> {
        Ok(self)
    }
}
impl D for Embedding {}
pub fn recompute(
    _: &Parameters,
    x: &Tensor,
    f: Arc<dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync>,
) -> Result<Tensor> {
    f(x)
}
pub fn dropout(x: &Tensor, _: f64, _: &Noise, _: &str) -> Result<Tensor> {
    Ok(x.clone())
}
pub struct Routing;
impl Routing {
    pub fn top_k(_: &Tensor, _: usize, _: bool) -> Result<Self> {
        Ok(Self)
    }
    pub fn with_balance_loss(self, _: usize, _: f64) -> Result<Self> {
        Ok(self)
    }
    pub fn apply(
        &self,
        x: &Tensor,
        f: impl Fn(usize, &Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        f(0, x)
    }
}
pub mod init {
    use super::*;
    pub use autopipe_nn::init::*;
    pub fn uniform(
        s: impl Into<Shape>,
        std: f64,
        seed: u64,
        name: &str,
        dtype: DType,
        device: &Device,
    ) -> Result<Tensor> {
        normal(s, std, seed, name, dtype, device)
    }
}
pub trait K {
    fn share(&self) -> f64 {
        1.0
    }
    fn noise(&self) -> Option<Noise> {
        None
    }
}
impl K for autopipe_runtime::Keywords {}
