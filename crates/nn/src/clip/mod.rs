//! The norm of all gradients, and scaling them: what clipping needs.

mod on_gpu;
#[cfg(test)]
mod tests;

use candle_core::{CudaStorage, DType, Result, Tensor};

use crate::Parameter;
use crate::cpu::{Number, Values, for_number, has_kernels, vectorised};
use crate::every_device::wide_dtype;

/// The sum of the squares of all gradients, in float64; parameters without a gradient add nothing.
///
/// A square, because ranks add theirs before anybody takes the root. On a device other than the CPU the
/// squares of each gradient are added in float32 (float64 stays), and the host waits for the device once for
/// all of them.
///
/// # Errors
/// If candle cannot read a gradient.
pub fn grad_norm_squared<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> Result<f64> {
    let all = of_all(parameters, sum_of_squares, squares_elsewhere)?;
    Ok(all.into_iter().flatten().fold(0., |sum, each| sum + each))
}

/// The largest absolute value in any gradient, the norm of order infinity, in float64; 0 without
/// gradients. A NaN anywhere is a NaN.
///
/// # Errors
/// If candle cannot read a gradient.
pub fn grad_norm_max<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> Result<f64> {
    let all = of_all(parameters, max_abs, max_abs_elsewhere)?;
    Ok(all.into_iter().flatten().fold(0., larger))
}

/// The numbers that are made of gradients: at once where there are kernels for the CPU, and elsewhere tensors
/// of no or one dimension, which are read together.
fn of_all<'a>(
    parameters: impl IntoIterator<Item = &'a Parameter>,
    on_cpu: impl Fn(&Tensor) -> Result<f64>,
    elsewhere: impl Fn(&Tensor) -> Result<Tensor>,
) -> Result<[Vec<f64>; 2]> {
    let (mut here, mut there) = (Vec::new(), Vec::new());
    for parameter in parameters {
        parameter.with_grad(|grad| {
            if grad.elem_count() == 0 {
                return Ok(());
            }
            if has_kernels(grad) {
                here.push(on_cpu(grad)?);
            } else {
                there.push(elsewhere(grad)?.flatten_all()?);
            }
            Ok(())
        })?;
    }
    if there.is_empty() {
        return Ok([here, Vec::new()]);
    }
    // Of parameters of unlike types they are wide alike.
    let same = there.iter().all(|of| of.dtype() == there[0].dtype());
    let there = if same { there } else { there.iter().map(to_f64).collect::<Result<_>>()? };
    Ok([here, to_f64(&Tensor::cat(&there, 0)?)?.to_vec1()?])
}

fn to_f64(tensor: &Tensor) -> Result<Tensor> {
    tensor.to_dtype(DType::F64)
}

fn squares_elsewhere(grad: &Tensor) -> Result<Tensor> {
    if crate::gpu::has_kernels(grad) {
        return on_gpu::squares::<CudaStorage>(grad);
    }
    grad.to_dtype(wide_dtype(grad.dtype()))?.sqr()?.sum_all()
}

fn max_abs_elsewhere(grad: &Tensor) -> Result<Tensor> {
    if crate::gpu::has_kernels(grad) {
        return on_gpu::largest::<CudaStorage>(grad);
    }
    let grad = grad.to_dtype(wide_dtype(grad.dtype()))?;
    // candle's maximum may pass over a NaN; a sum does not, and of zeros it is zero.
    let not_numbers = grad.ne(&grad)?.where_cond(&grad, &grad.zeros_like()?)?.sum_all()?;
    grad.abs()?.max_all()? + not_numbers
}

/// Multiplies all gradients by `factor`: to clip, the allowed norm over the norm they have.
///
/// # Errors
/// If candle cannot.
pub fn scale_grads<'a>(
    parameters: impl IntoIterator<Item = &'a Parameter>,
    factor: f64,
) -> Result<()> {
    parameters.into_iter().try_for_each(|parameter| parameter.scale_grad(factor))
}

fn sum_of_squares(grad: &Tensor) -> Result<f64> {
    fn run<N: Number>(grad: &[N]) -> f64 {
        let mut lanes = [0.; 32];
        let (chunks, rest) = grad.as_chunks::<32>();
        vectorised(
            #[inline(always)]
            || {
                for chunk in chunks {
                    for (lane, x) in lanes.iter_mut().zip(chunk) {
                        let x: f64 = x.wide().into();
                        *lane += x * x;
                    }
                }
            },
        );
        for (lane, x) in lanes.iter_mut().zip(rest) {
            let x: f64 = x.wide().into();
            *lane += x * x;
        }
        lanes.into_iter().sum()
    }
    let grad = grad.contiguous()?;
    let values = Values::of(&grad);
    for_number!(grad.dtype(), "gradient norm", N => Ok(run::<N>(values.slice()?)))
}

fn max_abs(grad: &Tensor) -> Result<f64> {
    fn run<N: Number>(grad: &[N]) -> f64 {
        let zero = N::zero().wide();
        let mut lanes = [zero; 32];
        let abs = |x: N| if x.wide() < zero { zero - x.wide() } else { x.wide() };
        let (chunks, rest) = grad.as_chunks::<32>();
        vectorised(
            #[inline(always)]
            || {
                for chunk in chunks {
                    for (lane, x) in lanes.iter_mut().zip(chunk) {
                        *lane = larger(*lane, abs(*x));
                    }
                }
            },
        );
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *lane = larger(*lane, abs(*x));
        }
        lanes.into_iter().map(Into::into).fold(0., larger)
    }
    let grad = grad.contiguous()?;
    let values = Values::of(&grad);
    for_number!(grad.dtype(), "gradient norm", N => Ok(run::<N>(values.slice()?)))
}

/// The larger of two numbers, or the one that is none.
#[expect(clippy::eq_op, reason = "only a NaN is not itself")]
#[inline(always)]
fn larger<T: PartialOrd + Copy>(a: T, b: T) -> T {
    if b > a || b != b { b } else { a }
}
