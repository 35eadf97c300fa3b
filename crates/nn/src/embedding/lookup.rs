//! The lookup of rows whose weight gradient waits.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, CustomOp2, Layout, Result, Shape, Tensor};

use crate::Parameter;
use crate::cpu::{Number, Values, add_to, for_number, has_kernels, vectorised, write};
use crate::every_device::on_every_device;

/// The rows of a weight that a flat list of ids names.
pub(super) struct Lookup {
    pub(super) weight: Parameter,
    /// For each id the row that gets its gradient, none if nobody does.
    pub(super) rows: Arc<[Option<usize>]>,
}

fn forward<S: BackendStorage>(
    w: &S,
    w_layout: &Layout,
    ids: &S,
    ids_layout: &Layout,
) -> Result<(S, Shape)> {
    let (_, hidden) = w_layout.shape().dims2()?;
    let rows = w.index_select(ids, w_layout, ids_layout, 0)?;
    Ok((rows, Shape::from((ids_layout.shape().elem_count(), hidden))))
}

impl CustomOp2 for Lookup {
    fn name(&self) -> &'static str {
        "embedding"
    }

    on_every_device!(forward);

    fn bwd(
        &self,
        _: &Tensor,
        ids: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.weight.is_trainable() {
            let (grad, ids, rows) =
                (grad.detach().contiguous()?, ids.clone(), Arc::clone(&self.rows));
            self.weight.defer(move |weight| {
                if has_kernels(&grad) {
                    return for_number!(grad.dtype(), "embedding", N => {
                        add_rows::<N>(weight, &grad, &rows)
                    });
                }
                if crate::gpu::has_kernels(&grad) {
                    return super::on_gpu::add_rows::<CudaStorage>(weight, &grad, &rows);
                }
                let (dtype, device) = (weight.grad_dtype(), weight.device());
                let (ids, grad) = with_rows(&rows, ids, grad)?;
                let zeros = Tensor::zeros(weight.shape(), dtype, device)?;
                weight.accumulate(&zeros.index_add(&ids, &grad.to_dtype(dtype)?, 0)?)
            })?;
        }
        Ok((None, None))
    }
}

/// The ids and the rows of the gradient of what gets one.
fn with_rows(rows: &[Option<usize>], ids: Tensor, grad: Tensor) -> Result<(Tensor, Tensor)> {
    if rows.iter().all(Option::is_some) {
        return Ok((ids, grad));
    }
    let kept = (0u32..).zip(rows).filter(|(_, row)| row.is_some()).map(|(i, _)| i);
    let kept: Vec<_> = kept.collect();
    let kept = Tensor::new(kept.as_slice(), grad.device())?;
    Ok((ids.index_select(&kept, 0)?, grad.index_select(&kept, 0)?))
}

/// Adds row `i` of `grad` to row `rows[i]` of the weight's gradient, if it has one.
fn add_rows<N: Number>(weight: &Parameter, grad: &Tensor, rows: &[Option<usize>]) -> Result<()> {
    let values = Values::of(grad);
    let grads = values.slice::<N>()?;
    let (_, hidden) = weight.shape().dims2()?;
    let hidden = hidden.max(1);
    let add = |sum: &mut [N::Real]| {
        vectorised(
            #[inline(always)]
            || {
                for (row, grad) in rows.iter().zip(grads.chunks_exact(hidden)) {
                    if let &Some(row) = row {
                        add_to(&mut sum[row * hidden..][..hidden], grad);
                    }
                }
            },
        );
        Ok(())
    };
    weight.add_in_place(|sum| write(sum, add))
}
