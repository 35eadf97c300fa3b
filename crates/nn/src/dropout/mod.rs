//! Dropout whose mask depends on the row of the batch, not on how the batch is cut.

mod fused;
mod mask;

#[cfg(test)]
mod tests;

use candle_core::{Device, Result, Tensor};

use crate::Error;
use crate::cpu::has_kernels;
use fused::Dropout;
use mask::Mask;

/// What the masks of a step depend on besides their layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noise {
    /// Different for each step.
    pub seed: u64,
    /// Which row of the batch the first row of the input is: 0, or where the microbatch begins.
    pub first_row: usize,
}

/// Sets each number of `x` to zero with probability `p`, and multiplies the others by `1 / (1 - p)`.
///
/// Rows are those of dimension 0. Which numbers of a row are zeroed depends on the seed, on the
/// layer's `name`, on which row of the batch it is and on the place in the row, and on nothing else:
/// a batch that is cut into microbatches is treated as the whole one, and the same call gives the
/// same result when it is recomputed. The backward draws the mask again; none is kept.
///
/// Paper: [Srivastava et al., 2014](https://jmlr.org/papers/v15/srivastava14a.html).
///
/// # Errors
/// If `p` is not in `0..1`, or `x` has no dimension.
///
/// # Examples
/// ```
/// use autopipe_nn::{Noise, dropout};
/// use candle_core::{DType, Device, Tensor};
///
/// let x = Tensor::ones((4, 8), DType::F32, &Device::Cpu)?;
/// let y = dropout(&x, 0.5, &Noise { seed: 42, first_row: 0 }, "layers.0.dropout")?;
/// let second_half = Noise { seed: 42, first_row: 2 };
/// let z = dropout(&x.narrow(0, 2, 2)?, 0.5, &second_half, "layers.0.dropout")?;
/// assert_eq!(y.narrow(0, 2, 2)?.to_vec2::<f32>()?, z.to_vec2::<f32>()?);
/// # candle_core::Result::Ok(())
/// ```
pub fn dropout(x: &Tensor, p: f64, noise: &Noise, name: &str) -> Result<Tensor> {
    if !(0. ..1.).contains(&p) {
        let expected = "at least 0 and below 1";
        return Err(
            Error::Setting { what: "the probability of dropout", expected, actual: p }.into()
        );
    }
    let Some(&num_rows) = x.dims().first() else {
        return Err(Error::InputShape {
            layer: "dropout",
            expected: "an input of shape [batch, ..]".to_owned(),
            actual: x.shape().clone(),
        }
        .into());
    };
    if p == 0. || x.elem_count() == 0 {
        return Ok(x.clone());
    }
    let mask = Mask::new(p, noise, name);
    if has_kernels(x) {
        return x.contiguous()?.apply_op1(Dropout { mask });
    }
    let mut factors = vec![0f32; x.elem_count()];
    mask.multiply(&vec![1f32; x.elem_count()], &mut factors, num_rows);
    let factors = Tensor::from_vec(factors, x.shape(), &Device::Cpu)?;
    x * factors.to_dtype(x.dtype())?.to_device(x.device())?
}
