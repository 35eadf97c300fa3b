//! What carries tensors between two devices, as the rest of this folder sees it: NCCL, or in tests a
//! memory that both ranks have.
//!
//! Whatever is begun goes on by itself, in its order and after a *moment* of what the device computes.
//! None of these calls waits, but for lanes to be broken off.

use candle_core::{DType, Tensor};

use super::NcclError;

/// What both ends of a lane are told, to find each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LaneId(pub(super) [u8; 128]);

/// Which end of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Sender,
    Receiver,
}

/// What a tensor is, before its numbers are here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Form {
    pub(super) dtype: DType,
    pub(super) dims: Vec<usize>,
}

/// A rank's device and the ways from it.
pub(super) trait Carrier: Send + Sync + 'static {
    /// The way of the tensors of one rank to another; there and back are two.
    type Lane: Lane<Moment = Self::Moment>;
    /// A place in the order in which the device does what it is asked for.
    type Moment: Send + Sync;

    /// Whether a tensor goes by lane.
    fn takes(&self, tensor: &Tensor) -> bool;
    /// A new lane from this rank.
    fn name(&self) -> Result<LaneId, NcclError>;
    /// Begins to open an end of a lane.
    fn open(&self, id: &LaneId, side: Side) -> Result<Self::Lane, NcclError>;
    /// Room for a tensor that is to come. Its memory may be in use until [`now`](Self::now).
    fn room(&self, form: &Form) -> Result<Tensor, NcclError>;
    /// When the device has computed all that it was asked for so far.
    fn now(&self) -> Result<Self::Moment, NcclError>;
    /// Lets the device compute what it is asked for from here on only after the moment.
    fn compute_after(&self, moment: &Self::Moment) -> Result<(), NcclError>;
    /// Stops everything that is under way on lanes; the device is through with it soon after. All at once:
    /// what one of them waits for may be on another.
    fn break_off(&self, lanes: &mut [&mut Self::Lane]);
    /// Whether the moment has passed.
    fn is_past(&self, moment: &Self::Moment) -> Result<bool, NcclError>;
}

/// An end of a lane. Dropped without being closed, it is broken off.
pub(super) trait Lane: Send {
    type Moment;

    /// Whether the next tensors can be begun: the other end is there, and what was begun before has
    /// been given to the device. An error tells of what was begun before, too.
    fn is_ready(&mut self) -> Result<bool, NcclError>;
    /// Begins to send contiguous tensors, or to receive into them, when a moment has passed. They stay
    /// as they are until the lane is ready again and the [`moment`](Self::moment) that it then gives has
    /// passed.
    fn begin(&mut self, tensors: &[Tensor], after: &Self::Moment) -> Result<(), NcclError>;
    /// When the device is through with all that it was given.
    fn moment(&self) -> Result<Self::Moment, NcclError>;
    /// Begins to close, or goes on with it, after all is through; whether it is closed.
    fn close(&mut self) -> Result<bool, NcclError>;
}
