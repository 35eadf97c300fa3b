//! Each expert's rows of the input, and the way of their gradients back.
//!
//! An operation for each expert that returned a gradient of the whole input would cost as many sums
//! of its size. Here all leave the gradients of their rows in one place, and the operation that they
//! come from, which candle reaches last, adds them up. What goes through the graph between them is a
//! number without a meaning.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendStorage;
use candle_core::{CustomOp1, CustomOp3, Device, Layout, Result, Shape, Tensor};

use super::order::Order;
use crate::cpu::{Number, Values, add_to, for_number, has_kernels, vectorised};
use crate::every_device::{on_every_device, wide_dtype};
use crate::vjp::zero;

/// The gradients that have come, by the first row of each expert.
type Arrived = Arc<Mutex<BTreeMap<usize, Tensor>>>;

/// The rows of each expert that has some, with its number.
pub(super) fn split(x: &Tensor, order: &Order) -> Result<Vec<(usize, Tensor)>> {
    let x = x.contiguous()?;
    let arrived = Arrived::default();
    let tokens = Arc::clone(&order.tokens);
    let source = x.apply_op1(Source { tokens, arrived: Arc::clone(&arrived) })?;
    let values = x.detach();
    let ids = Tensor::new(&*order.tokens, x.device())?;
    let rows = order.parts().map(|(expert, start, len)| {
        let part = Part { start, arrived: Arc::clone(&arrived) };
        let rows = source.apply_op3(&values, &ids.narrow(0, start, len)?, part)?;
        Ok((expert, rows))
    });
    rows.collect()
}

/// What the rows of all experts come from.
struct Source {
    tokens: Arc<[u32]>,
    arrived: Arrived,
}

/// The rows of one expert, from `start` on.
struct Part {
    start: usize,
    arrived: Arrived,
}

fn select<S: BackendStorage>(
    _: &S,
    _: &Layout,
    x: &S,
    x_layout: &Layout,
    ids: &S,
    ids_layout: &Layout,
) -> Result<(S, Shape)> {
    let (_, hidden) = x_layout.shape().dims2()?;
    let rows = x.index_select(ids, x_layout, ids_layout, 0)?;
    Ok((rows, Shape::from((ids_layout.shape().elem_count(), hidden))))
}

impl CustomOp3 for Part {
    fn name(&self) -> &'static str {
        "rows of an expert"
    }

    on_every_device!(select, a, b, c);

    fn bwd(
        &self,
        source: &Tensor,
        _: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.insert(self.start, grad.detach().contiguous()?);
        Ok((Some(source.detach()), None, None))
    }
}

impl CustomOp1 for Source {
    fn name(&self) -> &'static str {
        "tokens of experts"
    }

    on_every_device!(zero, a);

    fn bwd(&self, x: &Tensor, _: &Tensor, _: &Tensor) -> Result<Option<Tensor>> {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let arrived = std::mem::take(&mut *arrived);
        if has_kernels(x) && arrived.values().all(has_kernels) {
            return for_number!(x.dtype(), self.name(), N => self.sum::<N>(x, &arrived)).map(Some);
        }
        let dtype = wide_dtype(x.dtype());
        let mut sum = Tensor::zeros(x.shape(), dtype, x.device())?;
        for (&start, grad) in &arrived {
            let tokens = &self.tokens[start..start + grad.dim(0)?];
            sum = sum.index_add(&Tensor::new(tokens, x.device())?, &grad.to_dtype(dtype)?, 0)?;
        }
        sum.to_dtype(x.dtype()).map(Some)
    }
}

impl Source {
    fn sum<N: Number>(&self, x: &Tensor, arrived: &BTreeMap<usize, Tensor>) -> Result<Tensor> {
        let (_, hidden) = x.dims2()?;
        let mut sums = vec![N::zero().wide(); x.elem_count()];
        for (&start, grad) in arrived {
            let values = Values::of(grad);
            let rows = values.slice::<N>()?.chunks_exact(hidden.max(1));
            vectorised(
                #[inline(always)]
                || {
                    for (&token, row) in self.tokens[start..].iter().zip(rows) {
                        add_to(&mut sums[token as usize * hidden..][..hidden], row);
                    }
                },
            );
        }
        Tensor::from_vec(N::from_reals(sums), x.shape(), &Device::Cpu)
    }
}
