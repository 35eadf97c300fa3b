//! The norm of all gradients, and scaling them: what clipping needs.

#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Tensor};

use crate::Parameter;
use crate::cpu::{Number, Values, for_number, has_kernels, vectorised};
use crate::every_device::wide_dtype;

/// The sum of the squares of all gradients, in float64; parameters without a gradient add nothing.
///
/// A square, because ranks add theirs before anybody takes the root. Where there is no kernel of our own,
/// as on a GPU, each gradient's squares are added in float32 (float64 stays), and the host waits for the
/// device once for all of them.
///
/// # Errors
/// If candle cannot read a gradient.
pub fn grad_norm_squared<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> Result<f64> {
    let mut total = 0.;
    let mut elsewhere = Vec::new();
    for grad in parameters.into_iter().filter_map(Parameter::grad) {
        if has_kernels(&grad) {
            total += sum_of_squares(&grad)?;
        } else if grad.elem_count() > 0 {
            let grad = grad.to_dtype(wide_dtype(grad.dtype()))?;
            elsewhere.push(grad.sqr()?.sum_all()?.to_dtype(DType::F64)?);
        }
    }
    if !elsewhere.is_empty() {
        total += Tensor::stack(&elsewhere, 0)?.to_vec1::<f64>()?.iter().sum::<f64>();
    }
    Ok(total)
}

/// The largest absolute value in any gradient, the norm of order infinity, in float64; 0 without
/// gradients. A NaN anywhere is a NaN.
///
/// # Errors
/// If candle cannot read a gradient.
pub fn grad_norm_max<'a>(parameters: impl IntoIterator<Item = &'a Parameter>) -> Result<f64> {
    let mut largest = 0.;
    for grad in parameters.into_iter().filter_map(Parameter::grad) {
        largest = larger(largest, max_abs(&grad)?);
    }
    Ok(largest)
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
    if grad.elem_count() == 0 {
        return Ok(0.);
    }
    if !has_kernels(grad) {
        let grad = grad.to_dtype(wide_dtype(grad.dtype()))?;
        // candle's maximum may pass over a NaN.
        let is_nan = grad.ne(&grad)?.to_dtype(DType::F32)?.max_all()?.to_scalar::<f32>()? > 0.;
        let largest = grad.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar()?;
        return Ok(if is_nan { f64::NAN } else { largest });
    }
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
