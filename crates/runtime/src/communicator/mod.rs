//! How ranks talk: one trait, and its implementation between threads of a process and between
//! processes.

use std::fmt;

use autopipe_nn::Pass;
use autopipe_schedule::{Direction, Stage, Transfer};
use candle_core::{Device, Tensor};

use crate::{Error, Failure};

mod all_gather;
mod all_reduce;
mod courier;
mod end;
mod in_process;
pub(crate) mod link;
mod mailbox;
pub mod nccl;
mod parcel;
mod pulse;
mod reduce_scatter;
mod slices;
mod tensors;
#[cfg(test)]
mod tests;
mod text;
mod watch;
mod wire;

pub(crate) use all_gather::AllGather;
pub(crate) use all_reduce::AllReduce;
pub(crate) use courier::{Closed, Connected, Patience, over_mpi, over_tcp};
pub use end::End;
pub use in_process::{InProcess, in_process};
pub(crate) use reduce_scatter::ReduceScatter;
pub(crate) use slices::{Slice, add, add_each, wait_for};
pub use watch::{Awaited, Waiting, Watch};

/// What tells the messages between two ranks apart. Messages of one tag arrive in the order sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag(pub u64);

impl Tag {
    /// The tag under which both sides of a transfer meet: made of the sender's stage.
    pub(crate) fn of_send(transfer: Transfer) -> Self {
        let direction = match transfer.direction {
            Direction::Forward => 0,
            Direction::Backward => 1,
        };
        let stage = (transfer.stage.index() as u64) << 1;
        let microbatch = (transfer.microbatch.index() as u64) << 32;
        Self(microbatch | stage | direction)
    }

    /// The tag of the gradients that the ranks of a tie group tell each other: no stage has this
    /// number either.
    pub(crate) fn of_tie(group: u16) -> Self {
        Self((u64::from(group) << 32) | u64::from(u32::MAX - 1))
    }

    /// The tag of a stage's gradients on their way to its replicas.
    pub(crate) fn of_grads(stage: Stage) -> Self {
        Self(((stage.index() as u64) << 32) | u64::from(u32::MAX - 2))
    }

    /// The tag of what ranks have of a stage's parameters on its way to those that share them.
    pub(crate) fn of_slices(stage: Stage) -> Self {
        Self(((stage.index() as u64) << 32) | u64::from(u32::MAX - 3))
    }

    /// The tag of the sums that tensor-parallel ranks make on their way through the layers: one for
    /// each way, as both may be under way at once.
    pub(crate) fn of_pass(pass: Pass) -> Self {
        let way = match pass {
            Pass::Forward => 0,
            Pass::Backward => 1,
        };
        Self((way << 32) | u64::from(u32::MAX - 4))
    }

    /// The tag of tensors that tensor-parallel ranks tell each other between steps.
    pub(crate) fn of_parts() -> Self {
        Self(u64::from(u32::MAX - 5))
    }

    /// The tag of the last stage's outputs on their way to all ranks: no stage has this number.
    pub(crate) fn of_outputs(microbatch: usize) -> Self {
        Self(((microbatch as u64) << 32) | u64::from(u32::MAX))
    }
}

impl fmt::Display for Tag {
    /// The send that it stands for, in the schedule's notation, where it is one of a program's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (upper, lower) = (self.0 >> 32, self.0 & u64::from(u32::MAX));
        match u64::from(u32::MAX) - lower {
            0 => write!(f, "the outputs of microbatch {upper}"),
            1 => write!(f, "the sum of tie group {upper}"),
            2 => write!(f, "{upper}REDUCE_GRAD"),
            3 => write!(f, "{upper}UNSHARD"),
            4 if upper == 0 => write!(f, "the tensor-parallel sum of a forward"),
            4 => write!(f, "the tensor-parallel sum of a backward"),
            5 => write!(f, "the part of a tensor-parallel parameter"),
            _ if lower >> 1 > u64::from(u16::MAX) || upper > u64::from(u16::MAX) => {
                write!(f, "a message of tag {}", self.0)
            }
            _ => {
                let direction = if lower & 1 == 0 { 'F' } else { 'B' };
                write!(f, "{}SEND_{direction}{upper}", lower >> 1)
            }
        }
    }
}

/// A message that was asked for by [`Communicator::post_recv`] and has not been waited for.
#[must_use = "the message is lost unless it is waited for"]
#[derive(Debug)]
pub struct PostedRecv {
    /// The sender's rank within the group.
    pub from: usize,
    /// Which of its messages.
    pub tag: Tag,
}

/// How an all-reduce combines values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reduction {
    /// The sum, added in the order of the ranks, so that every run gives the same bits.
    Sum,
    /// The largest; a NaN anywhere gives NaN.
    Max,
}

/// What a rank is about to let its device compute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Work {
    /// What it has not computed before: a GPU may have to load code for it, which can take until the GPU
    /// is through with all that it is at.
    #[default]
    New,
    /// What it has computed before, as has every rank that it exchanges messages with.
    Known,
}

/// One rank's end of a group of ranks, after MPI's communicator.
///
/// Ranks are numbered from 0 within the group. The collective calls have to be made by all ranks of
/// the group in the same order: [`all_reduce`], [`barrier`] and [`split`] among themselves, and those
/// of tensors, such as [`all_reduce_tensor`], among those of the same tag. Every call that waits ends
/// with an error when a rank anywhere in the world [aborts](Self::abort) or the configured time is
/// over: nothing waits for ever.
///
/// [`all_reduce`]: Self::all_reduce
/// [`all_reduce_tensor`]: Self::all_reduce_tensor
/// [`barrier`]: Self::barrier
/// [`split`]: Self::split
///
/// A rank may use its end on several of its threads at once, for calls that need no order among them:
/// messages and collective calls of different tags. Those of one tag, and the collective calls that
/// have none, are for one thread at a time. [`reset`](Self::reset) is called when no other is under
/// way.
///
/// The collective calls of tensors are made of messages where a transport has nothing of its own.
pub trait Communicator: Send + Sync {
    /// This rank's number within the group.
    fn rank(&self) -> usize;

    /// For each rank of the group its number in the world that the group was split from: what
    /// messages for people name.
    fn members(&self) -> &[usize];

    /// How many ranks the group has.
    fn size(&self) -> usize {
        self.members().len()
    }

    /// This rank's number in the world.
    fn world_rank(&self) -> usize {
        self.members()[self.rank()]
    }

    /// Says where this rank computes: tensors that other ranks send from their GPUs come there, over this
    /// end and those that are [split](Self::split) from it afterwards. Until then they stay where they
    /// were sent from, or come to the CPU if they are sent as bytes. What is sent from a CPU stays on it.
    ///
    /// A transport that knows no GPU has nothing to do.
    fn set_device(&mut self, device: &Device) {
        let _ = device;
    }

    /// Says what kind of work is next, on all ranks between the same messages; it counts for all ends of
    /// the rank, until it is said again. A transport lets a device wait for another rank in known work
    /// only: before new work it waits until nothing is under way on the device, and then takes another way.
    ///
    /// A transport that lets no device wait has nothing to do.
    ///
    /// # Errors
    /// If the world has failed, or what is under way does not come to its end in time.
    fn begin_work(&self, work: Work) -> Result<(), Error> {
        let _ = work;
        Ok(())
    }

    /// Sends tensors to a rank and does not wait for it to receive them. The tensors must not be
    /// written to afterwards.
    ///
    /// # Errors
    /// If there is no such rank or the world has failed.
    fn send(&self, tensors: Vec<Tensor>, to: usize, tag: Tag) -> Result<(), Error>;

    /// Asks for the next message of `from` with this tag, and does not wait for it. Messages of one
    /// rank are asked for in the order in which it sends them.
    ///
    /// # Errors
    /// If there is no such rank.
    fn post_recv(&self, from: usize, tag: Tag) -> Result<PostedRecv, Error>;

    /// Whether a message that was asked for is here, so that waiting for it takes no time. Of several
    /// of one tag only the first that is outstanding may be asked about.
    ///
    /// # Errors
    /// If the world has failed.
    fn has_arrived(&self, posted: &PostedRecv) -> Result<bool, Error>;

    /// Waits for a message that was asked for.
    ///
    /// # Errors
    /// If the world has failed or the message does not come in time.
    fn wait(&self, posted: PostedRecv) -> Result<Vec<Tensor>, Error>;

    /// Asks for a message and waits for it.
    ///
    /// # Errors
    /// As [`post_recv`](Self::post_recv) and [`wait`](Self::wait).
    fn recv(&self, from: usize, tag: Tag) -> Result<Vec<Tensor>, Error> {
        self.wait(self.post_recv(from, tag)?)
    }

    /// Combines each of the values with the same value of all ranks.
    ///
    /// # Errors
    /// If the world has failed or not all ranks take part in time, with as many values.
    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Result<Vec<f64>, Error>;

    /// Waits until all ranks of the group are here.
    ///
    /// # Errors
    /// If the world has failed or not all ranks come in time.
    fn barrier(&self) -> Result<(), Error>;

    /// Makes the group of those that gave the same `color`, numbered in the order of `key`, then
    /// of their ranks here. An axis of a device mesh is such a split.
    ///
    /// # Errors
    /// If the world has failed or not all ranks take part in time.
    fn split(&self, color: usize, key: usize) -> Result<Box<dyn Communicator>, Error>;

    /// Tells all ranks of the world to stop, and why. The first call counts.
    fn abort(&self, failure: Failure);

    /// Whether the world has failed; a rank asks between two pieces of work.
    ///
    /// # Errors
    /// [`Error::Stopped`] with the first failure of the world.
    fn check(&self) -> Result<(), Error>;

    /// Makes the world usable again after a failure: forgets the failure and drops every message
    /// that is under way, in all groups. All ranks of the world have to call it, each on any of its
    /// ends; whoever comes first waits for the others.
    ///
    /// A transport that has no way back keeps this answer: an error that says so.
    ///
    /// # Errors
    /// If the transport cannot, a rank has ended, or not all ranks come in time; the failure then
    /// stays.
    fn reset(&self) -> Result<(), Error> {
        Err(Error::CannotReset)
    }

    /// What each rank has to say, by rank. For messages to people: it takes two reductions and
    /// eight bytes for one, on every rank.
    ///
    /// # Errors
    /// As [`all_reduce`](Self::all_reduce).
    fn all_gather_text(&self, text: &str) -> Result<Vec<String>, Error> {
        text::all_gather(self, text)
    }

    /// Combines a tensor of numbers with those of the same shape and dtype that the other ranks give.
    /// Every rank gets the same bits, over every transport: each number is combined once, in the order
    /// of the ranks, those of half precision in float32 and rounded at the end. Nothing else is sent
    /// under the tag at that time, and no rank writes to what it gave afterwards.
    ///
    /// # Errors
    /// If the world has failed, not all ranks take part in time, or what they give differs in size or
    /// dtype.
    ///
    /// # Examples
    /// ```
    /// use autopipe_runtime::communicator::{Reduction, Tag};
    /// use autopipe_runtime::{Error, ThreadOptions, threads};
    /// use candle_core::{Device, Tensor};
    ///
    /// let sums = threads(3, &ThreadOptions::default(), |world| {
    ///     let mine = Tensor::new(&[1f32, world.rank() as f32], &Device::Cpu).map_err(Error::Tensor)?;
    ///     let sum = world.all_reduce_tensor(&mine, Reduction::Sum, Tag(0))?;
    ///     sum.to_vec1::<f32>().map_err(Error::Tensor)
    /// })?;
    /// assert_eq!(sums, vec![[3.0, 3.0]; 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn all_reduce_tensor(
        &self,
        tensor: &Tensor,
        reduction: Reduction,
        tag: Tag,
    ) -> Result<Tensor, Error> {
        tensors::all_reduce(self, tensor, reduction, tag)
    }

    /// Combines as [`all_reduce_tensor`](Self::all_reduce_tensor), and leaves each rank a part of it,
    /// along dimension 0: as even as can be, the first ranks having one row more where it does not
    /// divide.
    ///
    /// # Errors
    /// As `all_reduce_tensor`, and if the tensor has no dimension.
    fn reduce_scatter_tensor(
        &self,
        tensor: &Tensor,
        reduction: Reduction,
        tag: Tag,
    ) -> Result<Tensor, Error> {
        tensors::reduce_scatter(self, tensor, reduction, tag)
    }

    /// The tensors of all ranks, by rank; shapes and dtypes may differ. Nothing else is sent under the
    /// tag at that time, and no rank writes to what it gave afterwards.
    ///
    /// # Errors
    /// If the world has failed or not all ranks take part in time.
    fn all_gather_tensor(&self, tensor: &Tensor, tag: Tag) -> Result<Vec<Tensor>, Error> {
        tensors::all_gather(self, tensor, tag)
    }

    /// The tensor of rank `from`; those that the others give say what shape and dtype they expect.
    /// Nothing else is sent under the tag at that time, and that rank does not write to it afterwards.
    ///
    /// # Errors
    /// If there is no such rank, the world has failed, the tensor does not come in time, or it is of
    /// another shape or dtype.
    fn broadcast_tensor(&self, tensor: &Tensor, from: usize, tag: Tag) -> Result<Tensor, Error> {
        tensors::broadcast(self, tensor, from, tag)
    }
}
