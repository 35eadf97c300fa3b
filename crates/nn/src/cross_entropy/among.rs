//! Cross entropy of logits whose classes ranks share out.

use std::sync::Arc;

use candle_core::{CudaStorage, CustomOp1, D, DType, Result, Tensor};

use super::labels::Label;
use super::on_gpu;
use super::{fused, labels, leading};
use crate::computed::{Computed, computed};
use crate::cpu::{for_number, has_kernels};
use crate::every_device::wide_dtype;
use crate::{Combine, Pass, TensorParallelGroup};

const NAME: &str = "cross entropy among ranks";

/// As [`cross_entropy_sum`](super::cross_entropy_sum), of logits of which each rank of a group has
/// those of its own classes, in the order of the ranks: the same number on all of them. Parts may be
/// of different widths. Labels are those of all classes, the same on all ranks.
///
/// Two numbers for each label travel on the way forward and none on the way back.
///
/// Paper: [Shoeybi et al., 2019](https://arxiv.org/abs/1909.08053).
///
/// # Errors
/// As `cross_entropy_sum`, and whatever the group says.
pub fn cross_entropy_sum_among(
    logits: &Tensor,
    labels: &Tensor,
    group: &Arc<dyn TensorParallelGroup>,
) -> Result<Tensor> {
    let (width, num_rows) = (leading(logits, labels)?, labels.elem_count());
    let dtype = wide_dtype(logits.dtype());
    let rows = logits.detach().reshape((num_rows, width))?.contiguous()?;
    let ends = Ends::of(&rows, dtype, group)?;
    let classes = labels::of_part(labels, ends.num_classes, ends.start, width)?;

    let sums = sums(&rows, &ends.max)?;
    let own = own_logits(&rows, &classes)?.to_dtype(dtype)?;
    let both = Tensor::cat(&[sums, own], 1)?;
    let both = group.all_reduce(&both, Combine::Sum, Pass::Forward)?;
    // From here on there are a few numbers only, which can be wide where there are such.
    let both = if has_kernels(logits) { both.to_dtype(DType::F64)? } else { both };
    let log_sums = (both.narrow(1, 0, 1)?.log()? + ends.max.to_dtype(both.dtype())?)?;
    let losses = (&log_sums - both.narrow(1, 1, 1)?)?;
    let losses = labels::only(&classes, |label| label != Label::Ignored, &losses)?;
    let loss = losses.sum_all()?.to_dtype(dtype)?;
    if !logits.track_op() {
        return Ok(loss);
    }
    logits.contiguous()?.apply_op1(Among { classes, log_sums, loss: Computed::new(loss) })
}

/// The largest logit of each row, `[rows]`.
fn largest(rows: &Tensor, dtype: DType) -> Result<Tensor> {
    let (num_rows, width) = rows.dims2()?;
    if width == 0 {
        return Tensor::full(f32::NEG_INFINITY, num_rows, rows.device())?.to_dtype(dtype);
    }
    if has_kernels(rows) {
        return for_number!(rows.dtype(), NAME, N => fused::row_maxima::<N>(rows));
    }
    if crate::gpu::has_kernels(rows) {
        return on_gpu::row_maxima::<CudaStorage>(rows);
    }
    rows.max(D::Minus1)?.to_dtype(dtype)
}

/// Σ exp (z - max) of each row, `[rows, 1]`.
fn sums(rows: &Tensor, max: &Tensor) -> Result<Tensor> {
    if has_kernels(rows) {
        return for_number!(rows.dtype(), NAME, N => fused::row_sums::<N>(rows, max));
    }
    if crate::gpu::has_kernels(rows) {
        return on_gpu::row_sums::<CudaStorage>(rows, max);
    }
    let shifted = rows.to_dtype(max.dtype())?.broadcast_sub(max)?;
    shifted.exp()?.sum_keepdim(D::Minus1)
}

/// What has to be known of all ranks' logits first.
struct Ends {
    /// The largest logit of each row, `[rows, 1]`.
    max: Tensor,
    /// How many classes the ranks before this one have.
    start: usize,
    /// How many all of them have.
    num_classes: usize,
}

impl Ends {
    /// The widths travel with the largest logits: each rank knows its own, of the others nothing.
    fn of(rows: &Tensor, dtype: DType, group: &Arc<dyn TensorParallelGroup>) -> Result<Self> {
        let (num_rows, width) = rows.dims2()?;
        let mut widths = vec![0u32; group.size()];
        if let Some(own) = widths.get_mut(group.rank()) {
            *own = u32::try_from(width).map_err(candle_core::Error::wrap)?;
        }
        let widths = Tensor::new(widths, rows.device())?.to_dtype(dtype)?;
        let both = Tensor::cat(&[widths, largest(rows, dtype)?], 0)?;
        let both = group.all_reduce(&both, Combine::Max, Pass::Forward)?;
        let widths = both.narrow(0, 0, group.size())?.to_dtype(DType::U32)?.to_vec1::<u32>()?;
        let first = |num_ranks| widths.iter().take(num_ranks).map(|&width| width as usize).sum();
        Ok(Self {
            max: both.narrow(0, group.size(), num_rows)?.unsqueeze(1)?,
            start: first(group.rank()),
            num_classes: first(group.size()),
        })
    }
}

/// The logit of each row's label, `[rows, 1]`: zero where it is another rank's.
fn own_logits(rows: &Tensor, classes: &[Label]) -> Result<Tensor> {
    let (num_rows, width) = rows.dims2()?;
    if width == 0 {
        return Tensor::zeros((num_rows, 1), rows.dtype(), rows.device());
    }
    let logits = rows.gather(&labels::index(classes, rows.device())?, 1)?;
    labels::only(classes, |label| matches!(label, Label::Own(_)), &logits)
}

/// The loss as it depends on a rank's logits.
struct Among {
    classes: Vec<Label>,
    /// log Σ exp of each row over the classes of all ranks, `[rows, 1]`.
    log_sums: Tensor,
    loss: Computed,
}

impl Among {
    /// The same by candle's own operations, for the devices and dtypes without a kernel.
    fn composed(&self, logits: &Tensor, scale: f64) -> Result<Tensor> {
        let (num_rows, width) = (self.classes.len(), logits.dim(D::Minus1)?);
        let rows = logits.reshape((num_rows, width))?.to_dtype(self.log_sums.dtype())?;
        let log_sums = &self.log_sums;
        let probabilities = (rows.broadcast_sub(log_sums)?.exp()? * scale)?;
        let grads = labels::only(&self.classes, |label| label != Label::Ignored, &probabilities)?;
        let own = labels::factors(&self.classes, |label| matches!(label, Label::Own(_)), &rows)?;
        let index = labels::index(&self.classes, rows.device())?;
        let grads = grads.scatter_add(&index, &(own * -scale)?, 1)?;
        grads.to_dtype(logits.dtype())?.reshape(logits.shape())
    }
}

impl CustomOp1 for Among {
    fn name(&self) -> &'static str {
        NAME
    }

    computed!(loss, a);

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let logits = logits.detach();
        if logits.elem_count() == 0 {
            return logits.zeros_like().map(Some);
        }
        if crate::gpu::has_kernels(&logits) {
            let places = on_gpu::places(&self.classes, logits.device())?;
            let rows = logits.reshape((self.classes.len(), ()))?;
            let grads = on_gpu::backward::<CudaStorage>(&rows, [&places, &self.log_sums, grad])?;
            return grads.reshape(logits.shape()).map(Some);
        }
        let scale = grad.to_dtype(DType::F64)?.to_scalar()?;
        let input_grad = if has_kernels(&logits) {
            let log_sums = self.log_sums.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>()?;
            for_number!(logits.dtype(), self.name(), N => {
                fused::input_grad::<N>(&logits, &self.classes, &log_sums, scale)
            })?
        } else {
            self.composed(&logits, scale)?
        };
        Ok(Some(input_grad))
    }
}
