//! The weighted sum of what a token's experts say.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, D, Device, Layout, Result, Shape, Tensor};

use super::order::Order;
use crate::cpu::{Number, Values, contiguous, for_number, has_kernels, sum2, vectorised};
use crate::every_device::wide_dtype;

/// `out[t] = Σ w[t, i] · y[place(t, i)]`, for `y` sorted by expert.
///
/// With `G` the output's gradient, the backward is `dy[place(t, i)] = w[t, i] G[t]` and
/// `dw[t, i] = G[t] · y[place(t, i)]`.
pub(super) fn combine(y: &Tensor, weights: &Tensor, order: &Order) -> Result<Tensor> {
    if has_kernels(y) && has_kernels(weights) && y.dtype() == weights.dtype() {
        return y.contiguous()?.apply_op2(&weights.contiguous()?, Combine(order.clone()));
    }
    let wide = wide_dtype(y.dtype());
    let places = Tensor::new(&*order.places, y.device())?;
    let rows = y.contiguous()?.index_select(&places, 0)?.to_dtype(wide)?;
    let rows = rows.reshape((weights.dim(0)?, order.k, y.dim(1)?))?;
    let weights = weights.to_dtype(wide)?.unsqueeze(D::Minus1)?;
    rows.broadcast_mul(&weights)?.sum(1)?.to_dtype(y.dtype())
}

struct Combine(Order);

impl Combine {
    /// The rows of each token, with its number.
    fn rows(&self) -> impl Iterator<Item = (usize, &[u32])> {
        self.0.places.chunks_exact(self.0.k).enumerate()
    }

    fn forward<N: Number>(&self, y: &[N], weights: &[N], width: usize) -> CpuStorage {
        let num_tokens = self.0.places.len() / self.0.k;
        let mut out = vec![N::zero(); num_tokens * width];
        let mut sums = vec![N::zero().wide(); width];
        vectorised(
            #[inline(always)]
            || {
                for (token, places) in self.rows() {
                    sums.fill(N::zero().wide());
                    let weights = &weights[token * self.0.k..];
                    for (&place, &weight) in places.iter().zip(weights) {
                        let weight = weight.wide();
                        let row = &y[place as usize * width..][..width];
                        for (sum, y) in sums.iter_mut().zip(row) {
                            *sum += weight * y.wide();
                        }
                    }
                    let out = &mut out[token * width..][..width];
                    for (out, &sum) in out.iter_mut().zip(&sums) {
                        *out = N::narrow(sum);
                    }
                }
            },
        );
        N::to_cpu_storage_owned(out)
    }

    fn backward<N: Number>(
        &self,
        y: &Tensor,
        weights: &Tensor,
        grad: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        let (_, width) = y.dims2()?;
        let (ys, ws, grads) = (Values::of(y), Values::of(weights), Values::of(grad));
        let (ys, ws, grads) = (ys.slice::<N>()?, ws.slice::<N>()?, grads.slice::<N>()?);
        let mut y_grad = vec![N::zero(); ys.len()];
        let mut weight_grad = vec![N::zero(); ws.len()];
        vectorised(
            #[inline(always)]
            || {
                for (token, places) in self.rows() {
                    let grad = &grads[token * width..][..width];
                    let at = token * self.0.k;
                    let of_weights = weight_grad[at..].iter_mut().zip(&ws[at..]);
                    for (&place, (weight_grad, weight)) in places.iter().zip(of_weights) {
                        let weight = weight.wide();
                        let row = place as usize * width..(place as usize + 1) * width;
                        *weight_grad = N::narrow(sum2(grad, &ys[row.clone()], |g, y| g * y));
                        for (y_grad, grad) in y_grad[row].iter_mut().zip(grad) {
                            *y_grad = N::narrow(weight * grad.wide());
                        }
                    }
                }
            },
        );
        Ok((
            Tensor::from_vec(y_grad, y.shape(), &Device::Cpu)?,
            Tensor::from_vec(weight_grad, weights.shape(), &Device::Cpu)?,
        ))
    }
}

impl CustomOp2 for Combine {
    fn name(&self) -> &'static str {
        "sum over experts"
    }

    fn cpu_fwd(
        &self,
        y: &CpuStorage,
        yl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (_, width) = yl.shape().dims2()?;
        let out = for_number!(y.dtype(), self.name(), N => {
            Ok(self.forward::<N>(contiguous(y, yl)?, contiguous(w, wl)?, width))
        })?;
        Ok((out, Shape::from((wl.dims()[0], width))))
    }

    fn bwd(
        &self,
        y: &Tensor,
        weights: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let grad = grad.detach().contiguous()?;
        let (y_grad, weight_grad) =
            for_number!(y.dtype(), self.name(), N => self.backward::<N>(y, weights, &grad))?;
        Ok((y.track_op().then_some(y_grad), weights.track_op().then_some(weight_grad)))
    }
}
