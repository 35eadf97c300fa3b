//! The cross entropy of next-token prediction: the sum of -log softmax(z)[label].

mod fused;
mod labels;

#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor};

use crate::Error;
use crate::cpu::has_kernels;
use fused::CrossEntropy;
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
    let (&num_classes, leading) =
        logits.dims().split_last().ok_or_else(|| wrong_logits(logits, labels))?;
    if leading != labels.dims() {
        return Err(wrong_logits(logits, labels));
    }
    let classes = labels::read(labels, num_classes)?;
    if has_kernels(logits) {
        return logits.contiguous()?.apply_op1(CrossEntropy::new(classes));
    }
    composed(logits, &classes)
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

/// The same by candle's own operations, for the devices and dtypes without a kernel.
fn composed(logits: &Tensor, classes: &[Option<usize>]) -> Result<Tensor> {
    let dtype = if logits.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let (num_rows, device) = (classes.len(), logits.device());
    let logits = logits.to_dtype(dtype)?.reshape((num_rows, ()))?;
    let index = classes.iter().map(|class| u32::try_from(class.unwrap_or(0)));
    let index =
        index.collect::<std::result::Result<Vec<u32>, _>>().map_err(candle_core::Error::wrap)?;
    let index = Tensor::from_vec(index, (num_rows, 1), device)?;
    let counts: Vec<f32> =
        classes.iter().map(|class| if class.is_some() { 1. } else { 0. }).collect();
    let counts = Tensor::from_vec(counts, (num_rows, 1), device)?.to_dtype(dtype)?;

    let shifted = logits.broadcast_sub(&logits.detach().max_keepdim(D::Minus1)?)?;
    let log_sum = shifted.exp()?.sum_keepdim(D::Minus1)?.log()?;
    ((log_sum - shifted.gather(&index, 1)?)? * counts)?.sum_all()
}
