//! In the place of NCCL where it is not compiled in: an error that says so.

use candle_core::{Device, Tensor};

use super::carrier::{Carrier, Form, Lane, LaneId, Side};
use super::{NcclError, NcclOptions};
use crate::Error;

/// There is none.
pub(super) enum NoGpu {}

const ABSENT: Error = Error::NotCompiled { transport: "NCCL", feature: "cuda" };

pub(super) fn connect(_: &Device, _: &NcclOptions) -> Result<NoGpu, Error> {
    Err(ABSENT)
}

pub(super) fn version() -> Result<u32, Error> {
    Err(ABSENT)
}

impl Carrier for NoGpu {
    type Lane = Self;
    type Moment = Self;

    fn takes(&self, _: &Tensor) -> bool {
        match *self {}
    }

    fn name(&self) -> Result<LaneId, NcclError> {
        match *self {}
    }

    fn open(&self, _: &LaneId, _: Side) -> Result<Self, NcclError> {
        match *self {}
    }

    fn room(&self, _: &Form) -> Result<Tensor, NcclError> {
        match *self {}
    }

    fn now(&self) -> Result<Self, NcclError> {
        match *self {}
    }

    fn compute_after(&self, moment: &Self) -> Result<(), NcclError> {
        match *moment {}
    }

    fn break_off(&self, _: &mut [&mut Self]) {
        match *self {}
    }

    fn is_past(&self, moment: &Self) -> Result<bool, NcclError> {
        match *moment {}
    }
}

impl Lane for NoGpu {
    type Moment = Self;

    fn is_ready(&mut self) -> Result<bool, NcclError> {
        match *self {}
    }

    fn begin(&mut self, _: &[Tensor], after: &Self) -> Result<(), NcclError> {
        match *after {}
    }

    fn moment(&self) -> Result<Self, NcclError> {
        match *self {}
    }

    fn close(&mut self) -> Result<bool, NcclError> {
        match *self {}
    }
}
