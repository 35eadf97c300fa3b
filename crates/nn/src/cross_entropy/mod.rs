//! The cross entropy of next-token prediction: the sum of -log softmax(z)[label].

mod among;
mod by_rows;
mod fused;
mod labels;
mod on_gpu;

#[cfg(test)]
mod tests;

use candle_core::{CudaStorage, Result, Tensor};
#[cfg(test)]
use candle_core::{D, DType};

use crate::Error;
use crate::cpu::has_kernels;
pub use among::cross_entropy_sum_among;
use fused::CrossEntropy;
#[cfg(test)]
use labels::Label;
pub use labels::{IGNORE_INDEX, count_labels};

/// The loss `Σ (log Σ exp z - z[label])` over all labels that are not [`IGNORE_INDEX`].
///
/// `logits` has shape `[.., classes]`, `labels` (u32 or i64) the leading dimensions. The sum and
/// not the mean, because microbatches and ranks may count different numbers of labels: divide by
/// their global number ([`count_labels`]) once. The result is a scalar of float32, of float64 for
/// logits of float64.
///
/// # Errors
/// If the shapes do not fit, or a label is no class; the message names it.
///
/// # Examples
/// ```
/// use autopipe_nn::{IGNORE_INDEX, count_labels, cross_entropy_sum};
/// use candle_core::{Device, Tensor};
///
/// let logits = Tensor::zeros((1, 3, 4), candle_core::DType::F32, &Device::Cpu)?;
/// let labels = Tensor::new(&[[2i64, IGNORE_INDEX, 0]], &Device::Cpu)?;
/// let loss = cross_entropy_sum(&logits, &labels)?.to_scalar::<f32>()?;
/// assert!((loss - 2. * 4f32.ln()).abs() < 1e-6);
/// assert_eq!(count_labels(&labels)?, 2);
/// # candle_core::Result::Ok(())
/// ```
pub fn cross_entropy_sum(logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
    let classes = labels::of_whole(labels, leading(logits, labels)?)?;
    if has_kernels(logits) {
        return logits.contiguous()?.apply_op1(CrossEntropy::new(classes));
    }
    if crate::gpu::has_kernels(logits) {
        return on_gpu::loss::<CudaStorage>(logits, &classes);
    }
    by_rows::loss(logits, classes)
}

/// The number of classes of logits that have the labels' leading dimensions.
fn leading(logits: &Tensor, labels: &Tensor) -> Result<usize> {
    match logits.dims().split_last() {
        Some((&num_classes, leading)) if leading == labels.dims() => Ok(num_classes),
        _ => Err(wrong_logits(logits, labels)),
    }
}

fn wrong_logits(logits: &Tensor, labels: &Tensor) -> candle_core::Error {
    let leading: String = labels.dims().iter().map(|dim| format!("{dim}, ")).collect();
    Error::InputShape {
        layer: "cross entropy",
        expected: format!("logits of shape [{leading}classes] for these labels"),
        actual: logits.shape().clone(),
    }
    .into()
}

/// The same by candle's own operations and its own backward, which the other forms are compared with.
#[cfg(test)]
fn composed(logits: &Tensor, classes: &[Label]) -> Result<Tensor> {
    let dtype = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let logits = logits.to_dtype(dtype)?.reshape((classes.len(), ()))?;
    let counts = labels::factors(classes, |label| label != Label::Ignored, &logits)?;
    let index = labels::index(classes, logits.device())?;

    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    ((log_sum - shifted.gather(&index, 1)?)? * counts)?.sum_all()
}
