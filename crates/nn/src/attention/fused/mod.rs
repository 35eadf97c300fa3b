//! Attention in blocks of queries and keys, which never has all the scores.

mod backward;
mod blocks;
mod forward;
mod heads;
mod scores;

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp3, Device, Layout, Result, Shape, Tensor, WithDType};

use super::Attention;
use super::visible::Visible;
use crate::cpu::{Number, Values, cpu, for_number};
use blocks::Extent;
use heads::Heads;
use scores::Softcap;

/// One call of an attention; the gradients come from the inputs, the output and one number a row.
pub(super) struct Fused {
    scale: f64,
    softcap: Option<f64>,
    visible: Visible,
    /// The logarithm of each row's sum of exponentials, as `[batch, heads, queries]`: with it a
    /// probability follows from its score alone, block by block.
    log_sums: OnceLock<CpuStorage>,
}

impl Fused {
    pub(super) fn new(attention: &Attention, visible: Visible) -> Self {
        let &Attention { scale, softcap, .. } = attention;
        Self { scale, softcap, visible, log_sums: OnceLock::new() }
    }

    fn extent(&self, q: &Layout, k: &Layout) -> Result<Extent> {
        let (batch, heads, num_queries, head_dim) = q.shape().dims4()?;
        let (_, kv_heads, num_keys, _) = k.shape().dims4()?;
        Ok(Extent { batch, kv_heads, group: heads / kv_heads, num_queries, num_keys, head_dim })
    }

    fn gradients<N: Number>(
        &self,
        [q, k, v]: [&Tensor; 3],
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<[Tensor; 3]> {
        let log_sums = self.log_sums.get().ok_or_else(|| {
            candle_core::Error::msg("the backward of an attention comes after its forward")
        })?;
        let [q_view, k_view, v_view] = [q, k, v].map(Tensor::storage_and_layout);
        let (out, grad) = (Values::of(out), Values::of(grad));
        let grads = backward::run::<N>(
            &self.extent(q_view.1, k_view.1)?,
            &self.visible,
            &backward::Arguments {
                q: Heads::new(cpu(&q_view.0)?, q_view.1)?,
                k: Heads::new(cpu(&k_view.0)?, k_view.1)?,
                v: Heads::new(cpu(&v_view.0)?, v_view.1)?,
                out: out.slice()?,
                grad: grad.slice()?,
                log_sums: N::Real::cpu_storage_as_slice(log_sums)?,
                scale: N::Real::from_f64(self.scale),
                softcap: self.softcap.map(Softcap::new),
            },
        )?;
        Ok([
            Tensor::from_vec(grads.q, q.shape(), &Device::Cpu)?,
            Tensor::from_vec(grads.k, k.shape(), &Device::Cpu)?,
            Tensor::from_vec(grads.v, v.shape(), &Device::Cpu)?,
        ])
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let extent = self.extent(ql, kl)?;
        let out = for_number!(q.dtype(), self.name(), N => {
            let heads = [Heads::<N>::new(q, ql)?, Heads::new(k, kl)?, Heads::new(v, vl)?];
            let scores = forward::Scores {
                scale: <N as Number>::Real::from_f64(self.scale),
                softcap: self.softcap.map(Softcap::new),
            };
            let (out, log_sums) = forward::run(&extent, &self.visible, &heads, &scores)?;
            self.log_sums.get_or_init(|| WithDType::to_cpu_storage_owned(log_sums));
            Ok(N::to_cpu_storage_owned(out))
        })?;
        Ok((out, ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        let [q_grad, k_grad, v_grad] = for_number!(q.dtype(), self.name(), N => {
            self.gradients::<N>([q, k, v], out, &grad)
        })?;
        Ok((
            q.track_op().then_some(q_grad),
            k.track_op().then_some(k_grad),
            v.track_op().then_some(v_grad),
        ))
    }
}
