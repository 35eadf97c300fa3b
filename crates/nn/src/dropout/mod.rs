//! Dropout whose mask depends on the row of the batch, not on how the batch is cut.

mod fused;
mod mask;
mod on_gpu;

#[cfg(test)]
mod tests;

use std::ops::Range;

use candle_core::{Device, Result, Tensor};

use crate::Error;
use crate::every_device::has_kernels;
use fused::Fused;
use mask::{Columns, Mask};

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
    Dropout::new(p, name)?.forward(x, noise)
}

/// The dropout of a layer, as [`dropout`] does it, perhaps of some columns of its input only.
///
/// # Examples
/// ```
/// use autopipe_nn::{Dropout, Noise, dropout};
/// use candle_core::{DType, Device, Tensor};
///
/// let x = Tensor::ones((2, 4, 8), DType::F32, &Device::Cpu)?;
/// let noise = Noise { seed: 42, first_row: 0 };
/// let whole = dropout(&x, 0.5, &noise, "down_proj")?.narrow(2, 3, 5)?;
/// let last_five = Dropout::new(0.5, "down_proj")?.of_columns(3..8, 8)?;
/// let part = last_five.forward(&x.narrow(2, 3, 5)?, &noise)?;
/// assert_eq!(part.to_vec3::<f32>()?, whole.to_vec3::<f32>()?);
/// # candle_core::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub struct Dropout {
    p: f64,
    name: String,
    columns: Option<Columns>,
}

impl Dropout {
    /// With probability `p`; what is zeroed depends on the layer's `name`.
    ///
    /// # Errors
    /// If `p` is not in `0..1`.
    pub fn new(p: f64, name: &str) -> Result<Self> {
        if (0. ..1.).contains(&p) {
            return Ok(Self { p, name: name.to_owned(), columns: None });
        }
        let (what, expected) = ("the probability of dropout", "at least 0 and below 1");
        Err(Error::Setting { what, expected, actual: p }.into())
    }

    /// For inputs that have these columns, along the last dimension, of tensors of a larger `width`: what
    /// is zeroed is what would be in the whole tensor.
    ///
    /// # Errors
    /// If the range is none, or goes beyond the width.
    pub fn of_columns(self, columns: Range<usize>, width: usize) -> Result<Self> {
        if columns.start > columns.end || columns.end > width {
            return Err(Error::Columns { columns, width }.into());
        }
        let (start, len) = (columns.start, columns.len());
        Ok(Self { columns: Some(Columns { start, len, width }), ..self })
    }

    /// Treats `x` of shape `[batch, ..]`; of columns, `[batch, .., columns]`.
    ///
    /// # Errors
    /// If `x` has no dimension, or not as many columns as were said, which are those of its last
    /// dimension if that is not its first.
    pub fn forward(&self, x: &Tensor, noise: &Noise) -> Result<Tensor> {
        let wrong = |expected: String| Error::InputShape {
            layer: "dropout",
            expected,
            actual: x.shape().clone(),
        };
        let (Some(&num_rows), Some(last)) = (x.dims().first(), x.dims().last()) else {
            return Err(wrong("an input of shape [batch, ..]".to_owned()).into());
        };
        // Where there is one dimension alone, it is that of the rows.
        let lacks = |columns: &Columns| columns.len != *last || x.rank() < 2;
        if let Some(Columns { len, .. }) = self.columns.filter(lacks) {
            return Err(wrong(format!("an input of shape [batch, .., {len}]")).into());
        }
        if self.p == 0. || x.elem_count() == 0 {
            return Ok(x.clone());
        }
        let mask = Mask::new(self.p, noise, &self.name, self.columns);
        if has_kernels(x) {
            return x.contiguous()?.apply_op1(Fused { mask });
        }
        let mut factors = vec![0f32; x.elem_count()];
        mask.multiply(&vec![1f32; x.elem_count()], &mut factors, num_rows);
        let factors = Tensor::from_vec(factors, x.shape(), &Device::Cpu)?;
        x * factors.to_dtype(x.dtype())?.to_device(x.device())?
    }
}
