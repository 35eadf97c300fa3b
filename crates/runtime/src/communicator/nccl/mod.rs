//! Tensors from GPU to GPU by NCCL, for ranks that reach each other in another way already.
//!
//! [`over`] makes an end of a world of threads, or of processes over TCP or MPI, into one that sends the
//! tensors on its rank's GPU by NCCL: from memory to memory where NVLink, PCIe or InfiniBand lead there.
//! Everything else stays with the transport below: numbers, barriers, tensors on the CPU, and all that is
//! told of messages. So waits have the same deadlines, failures the same words and ways back, and
//! collective calls the same bits, as they are made of messages.
//!
//! ```text
//!  rank 0                                               rank 1
//!  send(tensors, 1, tag) ──── below: header (tag) ────► wait(tag)
//!          │              ──── below: record ─────────►   │
//!          └─ GPU ═════════ NCCL: lane 0 to 1 ════════► GPU┘
//! ```
//!
//! # Lanes
//!
//! A *lane* carries the tensors of one rank to another: an NCCL communicator of these two with a CUDA
//! stream of its own, made when the first tensor goes by it. There and back are two lanes, so that nothing that
//! is sent waits for anything but what the same rank has sent the same other before. What has been sent is
//! received in the order in which it was sent, whatever tags it is asked for by: the *record* of a message
//! tells its receiver of it before anybody asks.
//!
//! A send waits for nothing: the tensor is kept until the GPU is through with it. The GPU sends when it has
//! computed what it was asked for before; and what it is asked for after [`wait`](Communicator::wait) it
//! computes when the tensors are there. Neither waits for the GPU. A thread goes on with what is under way.
//! It breaks lanes off when the world fails, as no kernel of NCCL's ends by itself when the other rank is
//! gone; and with the last end of its rank it waits until what was sent has left.
//!
//! # New work goes by the transport below
//!
//! A lane's kernel waits on the GPU for that of the other rank. A rank that has to load code meanwhile, for
//! what it computes for the first time, may be kept by CUDA until its GPU is through with everything: two
//! ranks could so wait for each other in the driver, where no deadline reaches them. So a rank says by
//! [`begin_work`](Communicator::begin_work) whether what is next is known: until then its tensors go by the
//! transport below as all else does, there is no lane, and no call of NCCL. Every rank says it for what it
//! sends; whoever receives follows. It is for whoever says it to know that the ranks it sends to have come
//! as far.
//!
//! A [`Worker`](crate::Worker) does all of that. The ranks agree before each step, of all pipelines together,
//! and the step is known if every rank has taken one of its kind before: a whole one of training, the last
//! of those that make a batch, after which the optimiser has worked; or one of evaluation; with or without
//! random numbers. So the first step of each kind goes by the transport below, and that after a
//! [`recover`](crate::Worker::recover) by lane, unless none was whole before. A rank that uses `over` on its
//! own says it itself, or begins with it ([`NcclOptions::begins_with`]).
//!
//! Code that only later steps need, as cuBLAS may for batches of other sizes, is still loaded beside lanes.
//! `CUDA_MODULE_LOADING=EAGER` lets CUDA load all of a library's at once, at the beginning.
//!
//! # What to know
//!
//! - All ranks of the world call [`over`], with one device each, made by
//!   [`Device::new_cuda_with_stream`]: on one that [`Device::new_cuda`] makes, each thread computes in an
//!   order of its own.
//! - NCCL refuses several ranks on one GPU. From 2.30 on it takes two with `NCCL_MULTI_RANK_GPU_ENABLE=1`.
//! - A message holds up to [`max_ctas`](NcclOptions::max_ctas) of the GPU's multiprocessors, also while it
//!   waits for the other rank. On a GPU of 132 and with four for each, a rank can have some thirty lanes at
//!   work at once: as many as pipelines need, and not enough for collective calls of more ranks than that.
//! - CUDA has 8 queues for the streams of a process unless `CUDA_DEVICE_MAX_CONNECTIONS` says otherwise, up
//!   to 32: with more lanes than queues, one may wait for another that has nothing to do with it.
//! - NCCL reads variables of its own: `NCCL_SOCKET_IFNAME` for the network by which ranks meet,
//!   `NCCL_DEBUG=INFO` for what it does.
//!
//! Without the feature `cuda` there is no lane: [`over`] returns [`Error::NotCompiled`].
//!
//! # Examples
//! ```no_run
//! use autopipe_runtime::communicator::{Reduction, Tag, Work};
//! use autopipe_runtime::nccl::{NcclOptions, over};
//! use autopipe_runtime::{Error, ThreadOptions, threads};
//! use candle_core::{Device, Tensor};
//!
//! // A GPU for each rank.
//! let sums = threads(2, &ThreadOptions::default(), |world| {
//!     let gpu = Device::new_cuda_with_stream(world.rank())?;
//!     let world = over(world, &gpu, &NcclOptions::default())?;
//!     let mine = Tensor::new(&[1f32, world.rank() as f32], &gpu)?;
//!     // By the world below: all that is needed for a sum is loaded.
//!     world.all_reduce_tensor(&mine, Reduction::Sum, Tag(0))?;
//!     world.barrier()?;
//!     world.begin_work(Work::Known)?;
//!     let sum = world.all_reduce_tensor(&mine, Reduction::Sum, Tag(0))?;
//!     Ok::<_, Error>(sum.to_vec1::<f32>()?)
//! })?;
//! assert_eq!(sums, vec![[2.0, 1.0]; 2]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use candle_core::Device;

use super::{Communicator, Work};
use crate::Error;

mod bell;
mod carrier;
mod driver;
mod end;
mod error;
#[cfg(feature = "cuda")]
mod gpu;
#[cfg(not(feature = "cuda"))]
#[path = "absent.rs"]
mod gpu;
mod line;
mod lines;
#[cfg(feature = "cuda")]
mod memory;
mod record;
#[cfg(feature = "cuda")]
mod sys;
#[cfg(test)]
mod tests;
mod wreck;

pub use error::NcclError;

/// How a rank uses NCCL; the same on all ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NcclOptions {
    /// How long a rank waits for NCCL to reach another rank, for a message whose first part is here, and
    /// at its end for what it has sent to leave.
    pub timeout: Duration,
    /// How long, after that, it waits for its lanes to close.
    pub grace: Duration,
    /// How many of the GPU's multiprocessors each message that is under way takes at most; it holds them
    /// while it waits for the other rank, too.
    pub max_ctas: u32,
    /// What [`Communicator::begin_work`] need not say at first. A [`Worker`](crate::Worker) says itself
    /// what it does.
    pub begins_with: Work,
}

impl Default for NcclOptions {
    /// Ten minutes, five seconds, four, and new work.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(600),
            grace: Duration::from_secs(5),
            max_ctas: 4,
            begins_with: Work::New,
        }
    }
}

/// Makes an end of a world into one that sends the tensors on `device`, its rank's GPU, by NCCL. All ranks
/// of `below` call it together. Its splits do the same; ends that were split off before do not.
///
/// # Errors
/// If NCCL is not compiled in, the device is no CUDA device or has a stream for each thread, the world has
/// failed, or not all ranks come in time.
pub fn over(
    mut below: Box<dyn Communicator>,
    device: &Device,
    options: &NcclOptions,
) -> Result<Box<dyn Communicator>, Error> {
    let carrier = gpu::connect(device, options)?;
    // What goes by it comes to the same place.
    below.set_device(device);
    Ok(Box::new(end::over(below, carrier, *options)?))
}

/// The version of the NCCL library that is loaded, as it counts: 22809 is 2.28.9.
///
/// # Errors
/// If NCCL is not compiled in or does not answer.
pub fn version() -> Result<u32, Error> {
    gpu::version()
}
