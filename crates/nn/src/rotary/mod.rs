//! Rotary position embedding: pairs of numbers turned by an angle that grows with the position.

mod on_gpu;
mod rotate;

#[cfg(test)]
mod tests;

use candle_core::{D, DType, Result, Tensor};

use crate::Error;
use crate::every_device::has_kernels;
use rotate::Rotate;

/// The frequencies of a rotary embedding: pair `i` turns by `position * inv_freq[i]`.
///
/// As in Hugging Face's models the pairs are the two halves of a head, `(x[i], x[i + head_dim/2])`,
/// not neighbours. Variants that scale the frequencies (Llama 3, linear, YaRN, LongRoPE) give theirs
/// to [`Self::new`], and the factor that some of them scale queries and keys by to
/// [`Self::with_factor`].
///
/// Heads may be wider than the rotation: the first `2 * inv_freq.len()` numbers of a head are turned
/// and the others stay as they are (partial rotary embedding, as in Phi and GPT-NeoX).
///
/// Paper: [Su et al., 2021](https://arxiv.org/abs/2104.09864).
///
/// # Examples
/// ```
/// use autopipe_nn::RotaryEmbedding;
/// use candle_core::{DType, Device, Tensor};
///
/// let rotary = RotaryEmbedding::with_theta(4, 10_000.)?;
/// assert_eq!(rotary.inv_freq(), [1., 0.01]);
/// let positions = Tensor::arange(0u32, 3, &Device::Cpu)?;
/// let rotation = rotary.rotation(&positions, DType::F32)?; // once for all layers
/// let q = Tensor::ones((1, 2, 3, 4), DType::F32, &Device::Cpu)?;
/// assert_eq!(rotation.apply(&q)?.dims(), [1, 2, 3, 4]);
/// # candle_core::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RotaryEmbedding {
    inv_freq: Vec<f32>,
    factor: f32,
}

impl RotaryEmbedding {
    /// An embedding with these frequencies in radians per position, one for each pair.
    pub fn new(inv_freq: Vec<f32>) -> Self {
        Self { inv_freq, factor: 1. }
    }

    /// Multiplies what is turned by `factor`: sine and cosine carry it, as the attention factor of
    /// YaRN and LongRoPE. Scores grow with its square.
    ///
    /// Paper: [Peng et al., 2023](https://arxiv.org/abs/2309.00071).
    #[must_use]
    pub fn with_factor(self, factor: f32) -> Self {
        Self { factor, ..self }
    }

    /// The usual frequencies `theta^(-2i / head_dim)`, computed in float32 as Hugging Face does.
    ///
    /// # Errors
    /// If `head_dim` is odd or beyond 65534, or `theta` is not positive.
    pub fn with_theta(head_dim: usize, theta: f32) -> Result<Self> {
        let Some(width) = u16::try_from(head_dim).ok().filter(|width| width.is_multiple_of(2))
        else {
            let actual = u32::try_from(head_dim).unwrap_or(u32::MAX).into();
            return Err(Error::Setting {
                what: "head_dim",
                expected: "even and below 65536",
                actual,
            }
            .into());
        };
        if !(theta.is_finite() && theta > 0.) {
            return Err(Error::Setting {
                what: "theta",
                expected: "positive",
                actual: theta.into(),
            }
            .into());
        }
        let exponents = (0..width).step_by(2).map(|i| f32::from(i) / f32::from(width));
        Ok(Self::new(exponents.map(|exponent| 1. / theta.powf(exponent)).collect()))
    }

    /// The frequencies in radians per position.
    pub fn inv_freq(&self) -> &[f32] {
        &self.inv_freq
    }

    /// What sine and cosine are multiplied by, 1 unless it was set.
    pub fn factor(&self) -> f32 {
        self.factor
    }

    /// The rotation for given positions: compute it once per microbatch, all layers share it.
    ///
    /// `positions` (u32, i64 or float) has shape `[sequence]`, or `[batch, sequence]` where the
    /// sequences of a batch differ. Angles and their sine and cosine are float32 whatever the
    /// `dtype` of the result, as in Hugging Face's models.
    ///
    /// # Errors
    /// If `positions` has another shape.
    pub fn rotation(&self, positions: &Tensor, dtype: DType) -> Result<Rotation> {
        if !matches!(positions.rank(), 1 | 2) {
            return Err(Error::InputShape {
                layer: "rotary embedding",
                expected: "positions of shape [sequence] or [batch, sequence]".to_owned(),
                actual: positions.shape().clone(),
            }
            .into());
        }
        let inv_freq = Tensor::new(self.inv_freq.as_slice(), positions.device())?;
        let positions = match positions.rank() {
            1 => positions.unsqueeze(0)?,
            _ => positions.clone(),
        };
        let angles =
            positions.to_dtype(DType::F32)?.unsqueeze(D::Minus1)?.broadcast_mul(&inv_freq)?;
        let scaled = |x: Tensor| {
            let x = if self.factor == 1. { x } else { (x * f64::from(self.factor))? };
            x.to_dtype(dtype)
        };
        Ok(Rotation { cos: scaled(angles.cos()?)?, sin: scaled(angles.sin()?)? })
    }

    /// Turns the heads of `q` and `k`, of shape `[batch, heads, sequence, head_dim]` each, whose
    /// numbers of heads may differ.
    ///
    /// # Errors
    /// If the shapes do not fit the positions or the frequencies.
    pub fn forward(&self, q: &Tensor, k: &Tensor, positions: &Tensor) -> Result<(Tensor, Tensor)> {
        let rotation = self.rotation(positions, q.dtype())?;
        Ok((rotation.apply(q)?, rotation.apply(k)?))
    }
}

/// The rotation of a [`RotaryEmbedding`] at certain positions.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// Shape `[1 or batch, sequence, pairs]`, as `sin`.
    cos: Tensor,
    sin: Tensor,
}

impl Rotation {
    /// Rotations one after the other, each at `[sequence]` positions of its own, as those of a batch:
    /// what comes after another in its row, or begins the next one. For rows whose parts turn with
    /// different frequencies, as documents of different lengths do under some scalings.
    ///
    /// # Errors
    /// If there is no part, the parts are of different widths, or are not `num_rows` rows of one
    /// length.
    ///
    /// # Examples
    /// ```
    /// use autopipe_nn::{RotaryEmbedding, Rotation};
    /// use candle_core::{DType, Device, Tensor};
    ///
    /// let positions = Tensor::arange(0u32, 3, &Device::Cpu)?;
    /// let turned = |theta| {
    ///     RotaryEmbedding::with_theta(4, theta)?.rotation(&positions, DType::F32)
    /// };
    /// let rotation = Rotation::of_rows(&[turned(10_000.)?, turned(500.)?], 1)?;
    /// let q = Tensor::ones((1, 2, 6, 4), DType::F32, &Device::Cpu)?;
    /// assert_eq!(rotation.apply(&q)?.dims(), [1, 2, 6, 4]);
    /// # candle_core::Result::Ok(())
    /// ```
    pub fn of_rows(parts: &[Self], num_rows: usize) -> Result<Self> {
        let joined = |of: fn(&Self) -> &Tensor| {
            let parts = parts.iter().map(|part| of(part).flatten_to(1));
            let all = Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, 0)?;
            let (num_positions, pairs) = all.dims2()?;
            if num_rows == 0 || !num_positions.is_multiple_of(num_rows) {
                return Err(Error::InputShape {
                    layer: "rotary embedding",
                    expected: format!("positions of {num_rows} rows of one length"),
                    actual: all.shape().clone(),
                }
                .into());
            }
            all.reshape((num_rows, num_positions / num_rows, pairs))
        };
        Ok(Self { cos: joined(|part| &part.cos)?, sin: joined(|part| &part.sin)? })
    }

    /// Turns each head of `x`, of shape `[batch, heads, sequence, head_dim]` and any stride.
    ///
    /// With `x = (a, b, rest)`, `a` and `b` of as many numbers as there are frequencies, the result
    /// is `(a cos - b sin, b cos + a sin, rest)`; the backward turns the other way.
    ///
    /// # Errors
    /// If the shape or dtype does not fit the rotation.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let (rotated_batch, seq_len, half) = self.cos.dims3()?;
        let fits = match x.dims() {
            &[batch, _, seq, head_dim] => {
                seq == seq_len
                    && head_dim >= 2 * half
                    && (rotated_batch == 1 || rotated_batch == batch)
            }
            _ => false,
        };
        if !fits {
            let batch =
                if rotated_batch == 1 { "batch".to_owned() } else { rotated_batch.to_string() };
            return Err(Error::InputShape {
                layer: "rotary embedding",
                expected: format!(
                    "heads of shape [{batch}, heads, {seq_len}, at least {}]",
                    2 * half
                ),
                actual: x.shape().clone(),
            }
            .into());
        }
        let fits = self.cos.dtype() == x.dtype() && self.cos.device().same_device(x.device());
        if has_kernels(x) && fits && !is_too_large(x) {
            return x.apply_op1(Rotate { rotation: self.clone(), back: false });
        }
        let (cos, sin) = (self.cos.unsqueeze(1)?, self.sin.unsqueeze(1)?);
        let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
        let turned_a = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
        let turned_b = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
        let rest = x.dim(D::Minus1)? - 2 * half;
        if rest == 0 {
            return Tensor::cat(&[turned_a, turned_b], D::Minus1);
        }
        Tensor::cat(&[turned_a, turned_b, x.narrow(D::Minus1, 2 * half, rest)?], D::Minus1)
    }
}

/// Whether there are more numbers than a GPU's kernel counts.
fn is_too_large(x: &Tensor) -> bool {
    x.device().is_cuda() && x.elem_count() >= on_gpu::MOST_NUMBERS
}
