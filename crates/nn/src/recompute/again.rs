//! The operation that stands for a function in the graph and computes it again to go back.

use std::sync::{Mutex, PoisonError};

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::{
    CpuStorage, CudaStorage, CustomOp2, Layout, MetalStorage, Result, Shape, Storage, Tensor, Var,
};

use super::Recomputed;
use crate::every_device::copy;
use crate::parameter::Tracking;
use crate::{Parameters, vjp};

/// `f` of its first input; the second is there to be a variable.
pub(super) struct Again {
    parameters: Parameters,
    f: Recomputed,
    /// The result, until the operation's own forward takes it.
    result: Mutex<Option<Tensor>>,
}

impl Again {
    pub(super) fn new(parameters: &Parameters, f: Recomputed, result: Tensor) -> Self {
        Self { parameters: parameters.clone(), f, result: Mutex::new(Some(result)) }
    }

    /// A copy of the result, which is where `own` looks for it.
    fn forward<S: BackendStorage>(
        &self,
        own: impl FnOnce(&Storage) -> Option<&S>,
    ) -> Result<(S, Shape)>
    where
        S::Device: BackendDevice<Storage = S>,
    {
        let result = self.result.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(result) = result else {
            candle_core::bail!("a recomputation is applied to one tensor once")
        };
        let (storage, layout) = result.storage_and_layout();
        let Some(from) = own(&storage) else {
            candle_core::bail!("a recomputed function leaves its result on the device of its input")
        };
        copy(from, layout)
    }
}

impl CustomOp2 for Again {
    fn name(&self) -> &'static str {
        "recomputation"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Cpu(storage) => Some(storage),
            Storage::Cuda(_) | Storage::Metal(_) => None,
        })
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Cuda(storage) => Some(storage),
            Storage::Cpu(_) | Storage::Metal(_) => None,
        })
    }

    fn metal_fwd(
        &self,
        _: &MetalStorage,
        _: &Layout,
        _: &MetalStorage,
        _: &Layout,
    ) -> Result<(MetalStorage, Shape)> {
        self.forward(|storage| match storage {
            Storage::Metal(storage) => Some(storage),
            Storage::Cpu(_) | Storage::Cuda(_) => None,
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let is_tracked = x.track_op();
        let leaf = x.detach();
        let leaf = if is_tracked { Var::from_tensor(&leaf)?.into_inner() } else { leaf };
        let y = self.parameters.tracking(Tracking::On, || (self.f)(&leaf))?;
        let mut grads = vjp(&[y], std::slice::from_ref(grad))?;
        self.parameters.collect(&mut grads)?;
        if !is_tracked {
            return Ok((None, None));
        }
        // candle expects one for what is in the graph, even if the function has no use for it.
        let input_grad = grads.remove(&leaf).map_or_else(|| x.detach().zeros_like(), Ok)?;
        Ok((Some(input_grad), None))
    }
}
