//! Tensors that are on a GPU, by a transport that carries what is on the host.

use candle_core::{Device, Tensor};

use super::{Communicator, PostedRecv, Reduction, Tag};
use crate::{Error, Failure};

/// The same group for a rank whose tensors are on `device`: what it sends goes over the host, and what
/// arrives is put onto the device. Ranks of one group may have devices of different kinds.
///
/// Two copies and a wait for each message: the price of needing nothing but the transport. Ranks that
/// are threads must not share the tensors of a GPU, on which each computes in a stream of its own.
///
/// # Examples
/// ```
/// use autopipe_runtime::communicator::{Tag, in_process, staged};
/// use candle_core::{Device, Tensor};
///
/// let ends = in_process(2, std::time::Duration::from_secs(1));
/// let mut ends = ends.into_iter().map(|end| staged(Box::new(end), &Device::Cpu));
/// let (first, second) = (ends.next().unwrap(), ends.next().unwrap());
/// first.send(vec![Tensor::new(&[1f32, 2.], &Device::Cpu)?], 1, Tag(0))?;
/// assert_eq!(second.recv(0, Tag(0))?[0].to_vec1::<f32>()?, [1., 2.]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn staged(comm: Box<dyn Communicator>, device: &Device) -> Box<dyn Communicator> {
    Box::new(Staged { comm, device: device.clone() })
}

struct Staged {
    comm: Box<dyn Communicator>,
    device: Device,
}

/// A tensor's numbers on the host, and no more: candle would copy all that a view is of.
fn on_host(tensor: &Tensor) -> candle_core::Result<Tensor> {
    if tensor.device().is_cpu() {
        return Ok(tensor.clone());
    }
    tensor.force_contiguous()?.detach().to_device(&Device::Cpu)
}

impl Communicator for Staged {
    fn rank(&self) -> usize {
        self.comm.rank()
    }

    fn members(&self) -> &[usize] {
        self.comm.members()
    }

    fn send(&self, tensors: Vec<Tensor>, to: usize, tag: Tag) -> Result<(), Error> {
        let tensors = tensors.iter().map(on_host).collect::<candle_core::Result<_>>()?;
        self.comm.send(tensors, to, tag)
    }

    fn post_recv(&self, from: usize, tag: Tag) -> Result<PostedRecv, Error> {
        self.comm.post_recv(from, tag)
    }

    fn has_arrived(&self, posted: &PostedRecv) -> Result<bool, Error> {
        self.comm.has_arrived(posted)
    }

    fn wait(&self, posted: PostedRecv) -> Result<Vec<Tensor>, Error> {
        let tensors = self.comm.wait(posted)?;
        let tensors = tensors.iter().map(|tensor| tensor.to_device(&self.device));
        Ok(tensors.collect::<candle_core::Result<_>>()?)
    }

    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Result<Vec<f64>, Error> {
        self.comm.all_reduce(values, reduction)
    }

    fn barrier(&self) -> Result<(), Error> {
        self.comm.barrier()
    }

    fn split(&self, color: usize, key: usize) -> Result<Box<dyn Communicator>, Error> {
        Ok(staged(self.comm.split(color, key)?, &self.device))
    }

    fn abort(&self, failure: Failure) {
        self.comm.abort(failure);
    }

    fn check(&self) -> Result<(), Error> {
        self.comm.check()
    }

    fn reset(&self) -> Result<(), Error> {
        self.comm.reset()
    }

    fn all_gather_text(&self, text: &str) -> Result<Vec<String>, Error> {
        self.comm.all_gather_text(text)
    }
}
