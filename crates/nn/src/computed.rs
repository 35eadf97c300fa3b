//! The result of an operation that is computed before the operation is put into the graph.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{CpuStorage, CudaStorage, MetalStorage, Result, Shape, Storage, Tensor};

use crate::every_device::copy;

/// Held until the operation's forward takes it: in the graph there is the copy alone that the forward
/// makes. As a further input of the operation it would be held there as well.
pub(crate) struct Computed(Mutex<Option<Tensor>>);

impl Computed {
    pub(crate) fn new(result: Tensor) -> Self {
        Self(Mutex::new(Some(result)))
    }

    pub(crate) fn on_cpu(&self) -> Result<(CpuStorage, Shape)> {
        self.take(|storage| match storage {
            Storage::Cpu(storage) => Some(storage),
            Storage::Cuda(_) | Storage::Metal(_) => None,
        })
    }

    pub(crate) fn on_cuda(&self) -> Result<(CudaStorage, Shape)> {
        self.take(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            Storage::Cpu(_) | Storage::Metal(_) => None,
        })
    }

    pub(crate) fn on_metal(&self) -> Result<(MetalStorage, Shape)> {
        self.take(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            Storage::Cpu(_) | Storage::Cuda(_) => None,
        })
    }

    /// A copy of the result, which is where `own` looks for it.
    fn take<S: BackendStorage>(
        &self,
        own: impl FnOnce(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)>
    where
        S::Device: BackendDevice<Storage = S>,
    {
        let result = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(result) = result else {
            candle_core::bail!("an operation with a result is applied once")
        };
        let (storage, layout) = result.storage_and_layout();
        let Some(from) = own(&storage) else {
            candle_core::bail!("a result computed before has to be on the device of the input")
        };
        copy(from, layout)
    }
}

/// The forwards of a custom operation of one, two or three inputs on each device: what its field, a
/// [`Computed`], holds.
macro_rules! computed {
    ($field:ident, $($arg:ident),+) => {
        $crate::computed::computed!(@ $field, cpu_fwd, on_cpu, candle_core::CpuStorage, $($arg),+);
        $crate::computed::computed!(@ $field, cuda_fwd, on_cuda, candle_core::CudaStorage, $($arg),+);
        $crate::computed::computed!(@ $field, metal_fwd, on_metal, candle_core::MetalStorage, $($arg),+);
    };
    (@ $field:ident, $name:ident, $take:ident, $storage:ty, a) => {
        fn $name(
            &self,
            _: &$storage,
            _: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            self.$field.$take()
        }
    };
    (@ $field:ident, $name:ident, $take:ident, $storage:ty, a, b) => {
        fn $name(
            &self,
            _: &$storage,
            _: &candle_core::Layout,
            _: &$storage,
            _: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            self.$field.$take()
        }
    };
    (@ $field:ident, $name:ident, $take:ident, $storage:ty, a, b, c) => {
        fn $name(
            &self,
            _: &$storage,
            _: &candle_core::Layout,
            _: &$storage,
            _: &candle_core::Layout,
            _: &$storage,
            _: &candle_core::Layout,
        ) -> candle_core::Result<($storage, candle_core::Shape)> {
            self.$field.$take()
        }
    };
}

pub(crate) use computed;
