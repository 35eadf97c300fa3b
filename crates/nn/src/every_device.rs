//! One body for all devices: an operation made of what every backend of candle has.

use std::any::Any;
use std::cell::Cell;
use std::marker::PhantomData;

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Result, Shape, Tensor, bail,
};

use crate::{cpu, gpu};

/// Whether there are kernels of our own for a tensor, where it is and of its type.
pub(crate) fn has_kernels(tensor: &Tensor) -> bool {
    cpu::has_kernels(tensor) || gpu::has_kernels(tensor)
}

/// What numbers of a type are added up in: float32 at the least.
pub(crate) fn wide_dtype(dtype: DType) -> DType {
    if dtype == DType::F64 { DType::F64 } else { DType::F32 }
}

/// A contiguous copy.
pub(crate) fn copy<S: BackendStorage>(x: &S, layout: &Layout) -> Result<(S, Shape)>
where
    S::Device: BackendDevice<Storage = S>,
{
    let shape = layout.shape();
    let mut copy = x.device().zeros_impl(shape, x.dtype())?;
    x.copy_strided_src(&mut copy, 0, layout)?;
    Ok((copy, shape.clone()))
}

/// Hands the storage of a tensor to `f` to be written; whoever else holds the tensor sees that.
///
/// # Errors
/// If it is elsewhere, or what `f` says.
pub(crate) fn write_on<S: 'static>(
    tensor: &Tensor,
    f: impl FnOnce(&mut S, &Layout) -> Result<()>,
) -> Result<()> {
    tensor.inplace_op1(&Write(Cell::new(Some(f)), PhantomData))
}

struct Write<S, F>(Cell<Option<F>>, PhantomData<fn(&mut S)>);

impl<S: 'static, F: FnOnce(&mut S, &Layout) -> Result<()>> Write<S, F> {
    fn run(&self, storage: &mut dyn Any, layout: &Layout) -> Result<()> {
        let Some(storage) = storage.downcast_mut::<S>() else {
            bail!("a kernel that writes in place was given a tensor of another device")
        };
        self.0.take().map_or(Ok(()), |f| f(storage, layout))
    }
}

impl<S: 'static, F: FnOnce(&mut S, &Layout) -> Result<()>> InplaceOp1 for Write<S, F> {
    fn name(&self) -> &'static str {
        "write in place"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        self.run(storage, layout)
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
        self.run(storage, layout)
    }
}

/// The forwards of a custom operation of one, two or three inputs on each device, all by the same
/// generic function: `fn(&S, &Layout, &S, &Layout) -> Result<(S, Shape)>` for two.
macro_rules! on_every_device {
    ($body:path) => {
        $crate::every_device::on_every_device!($body, a, b);
    };
    ($body:path, $($arg:ident),+) => {
        $crate::every_device::on_every_device!(@ $body, cpu_fwd, candle_core::CpuStorage, $($arg),+);
        $crate::every_device::on_every_device!(@ $body, cuda_fwd, candle_core::CudaStorage, $($arg),+);
        $crate::every_device::on_every_device!(@ $body, metal_fwd, candle_core::MetalStorage, $($arg),+);
    };
    (@ $body:path, $name:ident, $storage:ty, a) => {
        fn $name(
            &self,
            a: &$storage,
            a_layout: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            $body(a, a_layout)
        }
    };
    (@ $body:path, $name:ident, $storage:ty, a, b) => {
        fn $name(
            &self,
            a: &$storage,
            a_layout: &candle_core::Layout,
            b: &$storage,
            b_layout: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            $body(a, a_layout, b, b_layout)
        }
    };
    (@ $body:path, $name:ident, $storage:ty, a, b, c) => {
        fn $name(
            &self,
            a: &$storage,
            a_layout: &candle_core::Layout,
            b: &$storage,
            b_layout: &candle_core::Layout,
            c: &$storage,
            c_layout: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            $body(a, a_layout, b, b_layout, c, c_layout)
        }
    };
}

pub(crate) use on_every_device;
