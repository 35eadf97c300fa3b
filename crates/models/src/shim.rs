#![allow(missing_docs, dead_code, unreachable_pub, clippy::all)]
use autopipe_runtime::Noise;
use candle_core::{Result, Tensor};
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
