//! Products of matrices on a GPU, by cuBLAS.
#![expect(unsafe_code, reason = "cuBLAS trusts the pointers and the sizes that it is given")]

use std::ffi::c_void;

use candle_core::cuda_backend::cudarc::cublas::result::gemm_strided_batched_ex;
use candle_core::cuda_backend::cudarc::cublas::sys::{
    cublasComputeType_t as Compute, cublasGemmAlgo_t as Algorithm, cublasOperation_t as Turn,
    cudaDataType_t as Type,
};
use candle_core::cuda_backend::cudarc::driver::{CudaSlice, DevicePtr as _, DevicePtrMut as _};
use candle_core::cuda_backend::{
    CudaDevice, CudaStorageSlice as Slice, WrapErr as _, gemm_reduced_precision_f32,
};
use candle_core::{CudaStorage, DType, Layout, Result, WithDType, bail};

use super::Operand;
use super::product::{Gemm, Onto, Side, check};

pub(super) fn multiply(
    [a, b]: [Operand<'_, CudaStorage>; 2],
    (to, layout): (&mut CudaStorage, &Layout),
    onto: Onto,
) -> Result<()> {
    check([a, b], to)?;
    let product = Product { gemm: Gemm::of(a.1, b.1, layout)?, onto, device: to.device.clone() };
    match (&a.0.slice, &b.0.slice, &mut to.slice) {
        (Slice::F32(x), Slice::F32(y), Slice::F32(to)) => {
            product.run((x, a.1), (y, b.1), (to, layout))
        }
        (Slice::F64(x), Slice::F64(y), Slice::F64(to)) => {
            product.run((x, a.1), (y, b.1), (to, layout))
        }
        (Slice::BF16(x), Slice::BF16(y), Slice::BF16(to)) => {
            product.run((x, a.1), (y, b.1), (to, layout))
        }
        (Slice::BF16(x), Slice::BF16(y), Slice::F32(to)) => {
            product.run((x, a.1), (y, b.1), (to, layout))
        }
        _ => bail!("there is no product on a GPU for numbers of this type"),
    }
}

struct Product {
    gemm: Gemm,
    onto: Onto,
    device: CudaDevice,
}

fn type_of(dtype: DType) -> Result<Type> {
    match dtype {
        DType::F32 => Ok(Type::CUDA_R_32F),
        DType::F64 => Ok(Type::CUDA_R_64F),
        DType::BF16 => Ok(Type::CUDA_R_16BF),
        other => bail!("there is no product on a GPU for {other:?}"),
    }
}

/// What products are added up in; that of float32 is candle's, as its own products are.
fn compute_of(dtype: DType) -> Compute {
    match dtype {
        DType::F64 => Compute::CUBLAS_COMPUTE_64F,
        DType::F32 if gemm_reduced_precision_f32() => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
        _ => Compute::CUBLAS_COMPUTE_32F,
    }
}

fn turn(side: Side) -> Turn {
    if side.is_turned { Turn::CUBLAS_OP_T } else { Turn::CUBLAS_OP_N }
}

/// A number for cuBLAS, which takes its address: in the type that it computes in.
struct Scalar {
    single: f32,
    double: f64,
}

impl Scalar {
    fn new(value: u8) -> Self {
        Self { single: value.into(), double: value.into() }
    }

    fn address(&self, compute: Compute) -> *const c_void {
        match compute {
            Compute::CUBLAS_COMPUTE_64F => (&raw const self.double).cast(),
            _ => (&raw const self.single).cast(),
        }
    }
}

impl Product {
    fn run<A: WithDType, C: WithDType>(
        self,
        a: (&CudaSlice<A>, &Layout),
        b: (&CudaSlice<A>, &Layout),
        to: (&mut CudaSlice<C>, &Layout),
    ) -> Result<()> {
        let Gemm { m, n, k, first, second, to: result, batch } = self.gemm;
        let (from_type, to_type) = (type_of(A::DTYPE)?, type_of(C::DTYPE)?);
        let compute = compute_of(A::DTYPE);
        let alpha = Scalar::new(1);
        let beta = Scalar::new((self.onto == Onto::Sum).into());
        let stream = self.device.cuda_stream();
        let blas = self.device.cublas_handle();
        // cuBLAS takes the context of the thread that calls.
        stream.context().bind_to_thread().w()?;
        let a = a.0.slice(a.1.start_offset()..);
        let b = b.0.slice(b.1.start_offset()..);
        let mut to = to.0.slice_mut(to.1.start_offset()..);
        let (a, _a_is_read) = a.device_ptr(&stream);
        let (b, _b_is_read) = b.device_ptr(&stream);
        let (to, _is_written) = to.device_ptr_mut(&stream);
        // SAFETY: the three are memory of this device, which nobody frees meanwhile; the sizes are those of
        // layouts that lie in it, and the types those of the slices. The stream is the handle's own.
        unsafe {
            gemm_strided_batched_ex(
                *blas.handle(),
                turn(first),
                turn(second),
                m,
                n,
                k,
                alpha.address(compute),
                b as *const _,
                from_type,
                first.lead,
                first.stride,
                a as *const _,
                from_type,
                second.lead,
                second.stride,
                beta.address(compute),
                to as *mut _,
                to_type,
                result.lead,
                result.stride,
                batch,
                compute,
                Algorithm::CUBLAS_GEMM_DEFAULT_TENSOR_OP,
            )
        }
        .w()
    }
}
