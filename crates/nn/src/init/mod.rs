//! Initial weights that depend on the seed and the parameter's name, not on how a model is split.

#[cfg(test)]
mod tests;

use candle_core::{DType, Device, Result, Shape, Tensor};
use rand::SeedableRng;
use rand::distr::{Distribution, StandardUniform};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// Normal numbers of mean 0 and standard deviation `std` for the parameter `name`.
///
/// Each name has its own random stream: ChaCha8 with `seed` as the key and the FNV-1a hash of the
/// name as the stream, so a weight is the same on whichever rank and in whichever order it is
/// made. The numbers are drawn on the host as float32 and then converted.
///
/// # Errors
/// If the tensor cannot be made.
///
/// # Examples
/// ```
/// use autopipe_nn::init;
/// use candle_core::{DType, Device};
///
/// let draw = |name| init::normal((2, 3), 0.02, 42, name, DType::F32, &Device::Cpu)?.to_vec2::<f32>();
/// assert_eq!(draw("layers.0.weight")?, draw("layers.0.weight")?);
/// assert_ne!(draw("layers.0.weight")?, draw("layers.1.weight")?);
/// # candle_core::Result::Ok(())
/// ```
pub fn normal(
    shape: impl Into<Shape>,
    std: f64,
    seed: u64,
    name: &str,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let draw = |random: &mut ChaCha8Rng| -> f32 { StandardNormal.sample(random) };
    drawn(draw, shape.into(), std, seed, name)?.to_device(device)?.to_dtype(dtype)
}

/// Numbers evenly distributed from `-bound` to `bound` for the parameter `name`, drawn as
/// [`normal`] ones are.
///
/// # Errors
/// If the tensor cannot be made.
pub fn uniform(
    shape: impl Into<Shape>,
    bound: f64,
    seed: u64,
    name: &str,
    dtype: DType,
    device: &Device,
) -> Result<Tensor> {
    let draw = |random: &mut ChaCha8Rng| -> f32 {
        let x: f32 = StandardUniform.sample(random);
        2. * x - 1.
    };
    drawn(draw, shape.into(), bound, seed, name)?.to_device(device)?.to_dtype(dtype)
}

/// As many numbers as the shape has from the stream of a name, times `scale`.
fn drawn(
    draw: impl Fn(&mut ChaCha8Rng) -> f32,
    shape: Shape,
    scale: f64,
    seed: u64,
    name: &str,
) -> Result<Tensor> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(fnv_1a(name));
    let numbers: Vec<f32> = (0..shape.elem_count()).map(|_| draw(&mut random)).collect();
    Tensor::from_vec(numbers, shape, &Device::Cpu)? * scale
}

/// The 64-bit FNV-1a hash: fixed by its definition, where the standard library's may change.
pub(crate) fn fnv_1a(text: &str) -> u64 {
    fnv_1a_on(0xcbf2_9ce4_8422_2325, text.as_bytes())
}

/// The hash of what `hash` is of and of `bytes` after it.
pub(crate) fn fnv_1a_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(hash, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
