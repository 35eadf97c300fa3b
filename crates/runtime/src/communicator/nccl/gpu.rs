//! This rank's GPU, whose lanes are NCCL communicators of two ranks, each with a stream of its own.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError};

use super::carrier::{Carrier, Form, Lane, LaneId, Side};
use super::memory::{region, room};
use super::sys::{self, Comm};
use super::{NcclError, NcclOptions};
use crate::Error;

/// What CUDA calls the stream of whichever thread uses it: `CU_STREAM_PER_THREAD`.
const OF_THREAD: usize = 2;

pub(super) struct Gpu {
    device: Device,
    /// On which candle computes.
    compute: Arc<CudaStream>,
    max_ctas: i32,
}

pub(super) fn connect(device: &Device, options: &NcclOptions) -> Result<Gpu, Error> {
    let Device::Cuda(cuda) = device else {
        return Err(NcclError::NoGpu { device: format!("{:?}", device.location()) }.into());
    };
    let compute = cuda.cuda_stream();
    if compute.cu_stream().addr() == OF_THREAD {
        return Err(NcclError::StreamOfThread.into());
    }
    if !compute.context().has_async_alloc() {
        return Err(NcclError::NoPools.into());
    }
    let max_ctas = i32::try_from(options.max_ctas).unwrap_or(i32::MAX);
    Ok(Gpu { device: device.clone(), compute, max_ctas })
}

pub(super) fn version() -> Result<u32, Error> {
    Ok(sys::version()?)
}

impl Gpu {
    fn context(&self) -> &Arc<CudaContext> {
        self.compute.context()
    }
}

impl Carrier for Gpu {
    type Lane = GpuLane;
    type Moment = CudaEvent;

    fn takes(&self, tensor: &Tensor) -> bool {
        tensor.device().same_device(&self.device)
    }

    fn name(&self) -> Result<LaneId, NcclError> {
        sys::name()
    }

    fn open(&self, id: &LaneId, side: Side) -> Result<GpuLane, NcclError> {
        self.context().bind_to_thread()?;
        let stream = self.context().new_stream()?;
        Ok(GpuLane { comm: Comm::connect(id, side, self.max_ctas)?, stream })
    }

    fn room(&self, form: &Form) -> Result<Tensor, NcclError> {
        room(form, &self.device)
    }

    fn now(&self) -> Result<CudaEvent, NcclError> {
        Ok(self.compute.record_event(None)?)
    }

    fn compute_after(&self, moment: &CudaEvent) -> Result<(), NcclError> {
        Ok(self.compute.wait(moment)?)
    }

    fn break_off(&self, lanes: &mut [&mut GpuLane]) {
        // Where CUDA is out of order, there is no more to it.
        let _ = self.context().bind_to_thread();
        let mut comms: Vec<_> = lanes.iter_mut().map(|lane| &mut lane.comm).collect();
        sys::abort(&mut comms);
    }

    fn is_past(&self, moment: &CudaEvent) -> Result<bool, NcclError> {
        self.context().bind_to_thread()?;
        Ok(moment.try_is_complete()?)
    }
}

pub(super) struct GpuLane {
    // Dropped in this order: NCCL uses the stream.
    comm: Comm,
    stream: Arc<CudaStream>,
}

impl Lane for GpuLane {
    type Moment = CudaEvent;

    fn is_ready(&mut self) -> Result<bool, NcclError> {
        self.comm.is_ready()
    }

    fn begin(&mut self, tensors: &[Tensor], after: &CudaEvent) -> Result<(), NcclError> {
        self.stream.wait(after)?;
        let regions = tensors.iter().filter_map(|tensor| region(tensor).transpose());
        let regions = regions.collect::<Result<Vec<_>, _>>()?;
        if regions.is_empty() { Ok(()) } else { self.comm.begin(&regions, &self.stream) }
    }

    fn moment(&self) -> Result<CudaEvent, NcclError> {
        Ok(self.stream.record_event(None)?)
    }

    fn close(&mut self) -> Result<bool, NcclError> {
        self.stream.context().bind_to_thread()?;
        self.comm.close()
    }
}

impl From<DriverError> for NcclError {
    fn from(error: DriverError) -> Self {
        Self::Cuda(error.into())
    }
}
