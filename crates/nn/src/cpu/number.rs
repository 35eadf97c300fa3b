//! The number types of tensors, and those that kernels compute in.

use std::borrow::Cow;

use candle_core::{CpuStorage, DType, Error, Result, Tensor, WithDType};
use half::bf16;

use super::normal::standard_normal;
use super::vectorised;

/// What a tensor may hold: `f32`, `f64`, or `bf16`, which is computed with as `f32`.
pub(crate) trait Number: WithDType {
    /// The type that kernels compute and add up in.
    type Real: Real;

    /// The number to compute with; exact.
    fn wide(self) -> Self::Real;
    /// The nearest number that a tensor can hold.
    fn narrow(real: Self::Real) -> Self;
    /// How many outputs' weights are converted at once where products need [`Self::Real`].
    const CONVERTED_AT_ONCE: usize;

    /// Numbers to compute with; a copy only if they are of another type.
    fn reals(numbers: &[Self]) -> Cow<'_, [Self::Real]>;
    /// The nearest numbers that a tensor can hold.
    fn from_reals(reals: Vec<Self::Real>) -> Vec<Self>;
    /// The numbers of a storage, to be written.
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
}

/// What kernels compute in: `f32` or `f64`.
pub(crate) trait Real: Number<Real = Self> + Into<f64> {
    /// e to the power of `self`; zero instead of a subnormal result.
    fn exp(self) -> Self;
    /// The hyperbolic tangent.
    fn tanh(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The distribution function and the density of the standard normal distribution.
    fn standard_normal(self) -> (Self, Self);
    /// The nearest number to a constant; inlined, which candle's conversion need not be.
    fn constant(value: f64) -> Self;
}

macro_rules! slice_mut {
    ($variant:ident) => {
        fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]> {
            match storage {
                CpuStorage::$variant(data) => Ok(data),
                other => Err(Error::UnexpectedDType {
                    msg: "writing a tensor in place",
                    expected: DType::$variant,
                    got: candle_core::backend::BackendStorage::dtype(other),
                }
                .bt()),
            }
        }
    };
}

macro_rules! real {
    ($t:ty, $variant:ident, $exp:path, $tanh:path, $normal:path, $constant:path) => {
        impl Number for $t {
            type Real = Self;

            #[inline(always)]
            fn wide(self) -> Self {
                self
            }

            #[inline(always)]
            fn narrow(real: Self) -> Self {
                real
            }

            const CONVERTED_AT_ONCE: usize = usize::MAX;

            fn reals(numbers: &[Self]) -> Cow<'_, [Self]> {
                Cow::Borrowed(numbers)
            }

            fn from_reals(reals: Vec<Self>) -> Vec<Self> {
                reals
            }

            slice_mut!($variant);
        }

        impl Real for $t {
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }

            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }

            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }

            #[inline(always)]
            fn standard_normal(self) -> (Self, Self) {
                standard_normal(self, &$normal)
            }

            #[inline(always)]
            fn constant(value: f64) -> Self {
                $constant(value)
            }
        }
    };
}

real!(f32, F32, super::exp::exp_f32, super::tanh::tanh_f32, super::normal::F32, to_f32);
real!(
    f64,
    F64,
    super::exp::exp_f64,
    super::tanh::tanh_f64,
    super::normal::F64,
    std::convert::identity
);

#[expect(clippy::cast_possible_truncation, reason = "the nearest number is what is asked for")]
#[inline(always)]
fn to_f32(value: f64) -> f32 {
    value as f32
}

impl Number for bf16 {
    type Real = f32;

    #[inline(always)]
    fn wide(self) -> f32 {
        f32::from_bits(u32::from(self.to_bits()) << 16)
    }

    // half's own conversion branches, which keeps loops from becoming vector code.
    #[inline(always)]
    fn narrow(real: f32) -> Self {
        let bits = real.to_bits();
        let half_of_last = 0x7fff + ((bits >> 16) & 1);
        let rounded = bits.wrapping_add(half_of_last) >> 16;
        // Rounding could carry a NaN's bits into infinity; this one stays a NaN of its sign.
        let nan = (bits >> 16) | 0x40;
        let [low, high, _, _] = (if real.is_nan() { nan } else { rounded }).to_le_bytes();
        Self::from_bits(u16::from_le_bytes([low, high]))
    }

    const CONVERTED_AT_ONCE: usize = 512;

    fn reals(numbers: &[Self]) -> Cow<'_, [f32]> {
        let mut reals = vec![0.; numbers.len()];
        vectorised(
            #[inline(always)]
            || {
                for (real, &number) in reals.iter_mut().zip(numbers) {
                    *real = number.wide();
                }
            },
        );
        Cow::Owned(reals)
    }

    fn from_reals(reals: Vec<f32>) -> Vec<Self> {
        let mut numbers = vec![Self::ZERO; reals.len()];
        vectorised(
            #[inline(always)]
            || {
                for (number, &real) in numbers.iter_mut().zip(&reals) {
                    *number = Self::narrow(real);
                }
            },
        );
        numbers
    }

    slice_mut!(BF16);
}

/// Whether the kernels of this crate can compute on `tensor`; else layers compose candle's operations.
pub(crate) fn has_kernels(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::F64 | DType::BF16)
}

/// Evaluates an expression with the type `$t` that a dtype's tensors hold; an error if there is
/// no kernel for it.
macro_rules! for_number {
    ($dtype:expr, $op:expr, $t:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $t = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $t = f64;
                $body
            }
            candle_core::DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $op).bt()),
        }
    };
}
pub(crate) use for_number;
