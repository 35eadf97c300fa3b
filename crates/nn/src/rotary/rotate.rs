//! The rotation of heads in one pass, whatever their strides.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, Layout, Result, Shape, Tensor};

use super::Rotation;
use crate::cpu::{Number, Values, for_number, vectorised};

/// Turns `[batch, heads, sequence, head_dim]` of any stride into the same, contiguous.
///
/// Heads usually arrive as a transposed view of `[batch, sequence, heads, head_dim]`, so reading
/// by stride saves a copy.
pub(super) struct Rotate {
    pub(super) rotation: Rotation,
    /// Whether to turn the other way: the backward.
    pub(super) back: bool,
}

impl Rotate {
    fn run<N: Number>(&self, x: &CpuStorage, layout: &Layout) -> Result<CpuStorage> {
        let (batch, heads, seq_len, head_dim) = layout.shape().dims4()?;
        let (cos, sin) = (Values::of(&self.rotation.cos), Values::of(&self.rotation.sin));
        let (cos, sin) = (cos.slice::<N>()?, sin.slice::<N>()?);
        let (rotated_batch, _, half) = self.rotation.cos.dims3()?;
        let numbers = N::cpu_storage_as_slice(x)?;
        let sign = if self.back { N::zero() - N::one() } else { N::one() }.wide();
        let &[batch_stride, head_stride, seq_stride, dim_stride] = layout.stride() else {
            return Err(candle_core::Error::RequiresContiguous { op: self.name() }.bt());
        };

        let mut out = vec![N::zero(); layout.shape().elem_count()];
        let mut gathered = vec![N::zero(); head_dim];
        vectorised(
            #[inline(always)]
            || {
                let mut rows = out.chunks_exact_mut(head_dim.max(1));
                for b in 0..batch {
                    let angles = if rotated_batch == 1 { 0 } else { b * seq_len * half };
                    for h in 0..heads {
                        let start = layout.start_offset() + b * batch_stride + h * head_stride;
                        for s in 0..seq_len {
                            let Some(row) = rows.next() else { break };
                            let start = start + s * seq_stride;
                            let head = if dim_stride == 1 {
                                &numbers[start..start + head_dim]
                            } else {
                                for (i, x) in gathered.iter_mut().enumerate() {
                                    *x = numbers[start + i * dim_stride];
                                }
                                &gathered
                            };
                            let at = angles + s * half;
                            turn(row, head, &cos[at..at + half], &sin[at..at + half], sign);
                        }
                    }
                }
            },
        );
        Ok(N::to_cpu_storage_owned(out))
    }
}

#[inline(always)]
fn turn<N: Number>(out: &mut [N], head: &[N], cos: &[N], sin: &[N], sign: N::Real) {
    let half = cos.len();
    let (out, out_rest) = out.split_at_mut(2 * half);
    let (head, rest) = head.split_at(2 * half);
    out_rest.copy_from_slice(rest);
    let (out_a, out_b) = out.split_at_mut(half);
    let (a, b) = head.split_at(half);
    let out = out_a.iter_mut().zip(out_b);
    for (((out, (a, b)), cos), sin) in out.zip(a.iter().zip(b)).zip(cos).zip(sin) {
        let (a, b, cos, sin) = (a.wide(), b.wide(), cos.wide(), sin.wide() * sign);
        *out.0 = N::narrow(a * cos - b * sin);
        *out.1 = N::narrow(b * cos + a * sin);
    }
}

impl CustomOp1 for Rotate {
    fn name(&self) -> &'static str {
        "rotary embedding"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let y = for_number!(x.dtype(), self.name(), N => self.run::<N>(x, layout))?;
        Ok((y, layout.shape().clone()))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let y = super::on_gpu::rotate((x, layout), &self.rotation, self.back)?;
        Ok((y, layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        grad.apply_op1_no_bwd(&Self { rotation: self.rotation.clone(), back: !self.back }).map(Some)
    }
}
