//! The lookup of rows whose weight gradient waits.

use std::sync::Arc;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp2, InplaceOp2, Layout, Result, Shape, Tensor};

use crate::Parameter;
use crate::cpu::{Number, add_to, contiguous, contiguous_mut, for_number, has_kernels, vectorised};
use crate::every_device::on_every_device;

/// The rows of a weight that a flat list of ids names.
pub(super) struct Lookup {
    pub(super) weight: Parameter,
    /// The ids, known to lie in the vocabulary.
    pub(super) rows: Arc<[usize]>,
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
                    return weight
                        .accumulate_in_place(|sum| sum.inplace_op2(&grad, &AddRows { rows }));
                }
                let zeros = Tensor::zeros(weight.shape(), weight.dtype(), weight.device())?;
                weight.accumulate(&zeros.index_add(&ids, &grad, 0)?)
            });
        }
        Ok((None, None))
    }
}

/// `sum[rows[i]] += x[i]`.
struct AddRows {
    rows: Arc<[usize]>,
}

impl InplaceOp2 for AddRows {
    fn name(&self) -> &'static str {
        "add rows"
    }

    fn cpu_fwd(
        &self,
        sum: &mut CpuStorage,
        sum_layout: &Layout,
        x: &CpuStorage,
        x_layout: &Layout,
    ) -> Result<()> {
        fn run<N: Number>(sum: &mut [N], x: &[N], rows: &[usize], hidden: usize) {
            vectorised(
                #[inline(always)]
                || {
                    for (&row, x) in rows.iter().zip(x.chunks_exact(hidden)) {
                        add_to(&mut sum[row * hidden..][..hidden], x);
                    }
                },
            );
        }
        let (_, hidden) = sum_layout.shape().dims2()?;
        for_number!(x.dtype(), self.name(), N => {
            run::<N>(contiguous_mut(sum, sum_layout)?, contiguous(x, x_layout)?, &self.rows, hidden.max(1));
            Ok(())
        })
    }
}
