//! The number types that the kernels are written for.

use candle_core::{CpuStorage, DType, Error, Result, Tensor, WithDType};

/// `f32` or `f64`.
pub(crate) trait Real: WithDType {
    /// e to the power of `self`; zero instead of a subnormal result.
    fn exp(self) -> Self;
    /// The square root.
    fn sqrt(self) -> Self;
    /// The numbers of a storage, to be written.
    fn slice_mut(storage: &mut CpuStorage) -> Result<&mut [Self]>;
}

macro_rules! real {
    ($t:ty, $variant:ident, $exp:path) => {
        impl Real for $t {
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }

            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }

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
        }
    };
}

real!(f32, F32, super::exp::exp);
real!(f64, F64, f64::exp);

/// Whether the kernels of this crate can compute on `tensor`; else layers compose candle's operations.
pub(crate) fn has_kernels(tensor: &Tensor) -> bool {
    tensor.device().is_cpu() && matches!(tensor.dtype(), DType::F32 | DType::F64)
}

/// Evaluates an expression with the type `$t` that belongs to a dtype; an error if there is none.
macro_rules! for_real {
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
            other => Err(candle_core::Error::UnsupportedDTypeForOp(other, $op).bt()),
        }
    };
}
pub(crate) use for_real;
