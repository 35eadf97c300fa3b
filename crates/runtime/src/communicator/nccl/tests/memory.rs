//! A carrier between threads: tensors on the CPU go from memory to memory as if that of each rank were
//! a GPU's, and lanes are as slow to get ready as NCCL's.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device, Tensor};

use super::super::NcclError;
use super::super::carrier::{Carrier, Form, Lane, LaneId, Side};
use super::super::lines::lock;

/// What all ranks of a world share.
#[derive(Default)]
pub(super) struct Exchange {
    pipes: Mutex<BTreeMap<LaneId, Arc<Mutex<Pipe>>>>,
    is_cut: AtomicBool,
    num_faults: AtomicUsize,
}

/// What has been begun at both ends of a lane, by number; what has met is gone.
#[derive(Default)]
struct Pipe {
    is_open: [bool; 2],
    begun: [Vec<Option<Vec<Tensor>>>; 2],
    is_broken: [bool; 2],
    is_closed: [bool; 2],
}

/// How many ends of lanes have come how far.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) opened: usize,
    pub(super) broken: usize,
    pub(super) closed: usize,
}

impl Exchange {
    /// Nothing goes any more on any lane, as if a process had ended.
    pub(super) fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
    }

    /// How often somebody has been told so.
    pub(super) fn num_faults(&self) -> usize {
        self.num_faults.load(Ordering::SeqCst)
    }

    pub(super) fn ends(&self) -> Ends {
        let pipes = lock(&self.pipes);
        let count = |of: &dyn Fn(&Pipe) -> [bool; 2]| {
            let ends = pipes.values().flat_map(|pipe| of(&lock(pipe)));
            ends.filter(|&is| is).count()
        };
        Ends {
            opened: count(&|pipe| pipe.is_open),
            broken: count(&|pipe| pipe.is_broken),
            closed: count(&|pipe| pipe.is_closed),
        }
    }
}

/// A rank's device.
pub(super) struct Memory {
    pub(super) exchange: Arc<Exchange>,
    /// Tensors of which types go by lane.
    pub(super) dtypes: &'static [DType],
    /// The message of a lane, counted from 0, that its receiver cannot begin.
    pub(super) fails_at: Option<usize>,
}

pub(super) struct MemoryLane {
    exchange: Arc<Exchange>,
    pipe: Arc<Mutex<Pipe>>,
    side: Side,
    fails_at: Option<usize>,
    /// How often it has been asked since whether it is ready.
    num_looks: u32,
}

/// How many messages of a lane have to have come through; of a broken one none.
pub(super) struct Moment(Option<(Arc<Mutex<Pipe>>, usize)>);

impl Carrier for Memory {
    type Lane = MemoryLane;
    type Moment = Moment;

    fn takes(&self, tensor: &Tensor) -> bool {
        self.dtypes.contains(&tensor.dtype())
    }

    fn name(&self) -> Result<LaneId, NcclError> {
        let mut pipes = lock(&self.exchange.pipes);
        let mut id = [7; 128];
        id[120..].copy_from_slice(&pipes.len().to_le_bytes());
        pipes.insert(LaneId(id), Arc::default());
        Ok(LaneId(id))
    }

    fn open(&self, id: &LaneId, side: Side) -> Result<MemoryLane, NcclError> {
        let pipe = Arc::clone(&lock(&self.exchange.pipes)[id]);
        let opened = &mut lock(&pipe).is_open[side as usize];
        assert!(!std::mem::replace(opened, true), "an end is opened twice");
        let fails_at = self.fails_at.filter(|_| side == Side::Receiver);
        let (exchange, pipe) = (Arc::clone(&self.exchange), Arc::clone(&pipe));
        Ok(MemoryLane { exchange, pipe, side, fails_at, num_looks: 0 })
    }

    fn room(&self, form: &Form) -> Result<Tensor, NcclError> {
        // Not zeros, which a test may expect.
        let room = Tensor::ones(form.dims.as_slice(), form.dtype, &Device::Cpu)?;
        Ok(room.affine(77.0, 0.0)?)
    }

    fn now(&self) -> Result<Moment, NcclError> {
        Ok(Moment(None))
    }

    fn compute_after(&self, moment: &Moment) -> Result<(), NcclError> {
        // A device would wait for it by itself.
        assert!(self.is_past(moment)?, "the numbers are not here");
        Ok(())
    }

    fn break_off(&self, lanes: &mut [&mut MemoryLane]) {
        for lane in lanes {
            let mut pipe = lock(&lane.pipe);
            pipe.is_broken[lane.side as usize] = true;
            pipe.begun = Default::default();
        }
    }

    fn is_past(&self, moment: &Moment) -> Result<bool, NcclError> {
        let Some((pipe, count)) = &moment.0 else { return Ok(true) };
        let pipe = lock(pipe);
        Ok(pipe.is_broken.contains(&true) || pipe.have_met(*count))
    }
}

impl Pipe {
    fn have_met(&self, count: usize) -> bool {
        let met = |side: usize| self.begun[side].iter().take(count).all(Option::is_none);
        self.begun.iter().all(|begun| begun.len() >= count) && met(0) && met(1)
    }

    /// Copies what has been begun at both ends.
    fn meet(&mut self) {
        let [sent, received] = &mut self.begun;
        for (sent, received) in sent.iter_mut().zip(received) {
            let (Some(from), Some(to)) = (sent.take(), received.take()) else { continue };
            assert_eq!(from.len(), to.len(), "a message meets another");
            for (from, to) in from.iter().zip(&to) {
                assert_eq!((from.dims(), from.dtype()), (to.dims(), to.dtype()));
                assert!(from.is_contiguous());
                if from.elem_count() > 0 {
                    let to = to.flatten_all().unwrap();
                    to.slice_set(&from.flatten_all().unwrap(), 0, 0).unwrap();
                }
            }
        }
    }
}

impl Drop for MemoryLane {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        if !pipe.is_closed[self.side as usize] {
            pipe.is_broken[self.side as usize] = true;
        }
    }
}

impl Lane for MemoryLane {
    type Moment = Moment;

    fn is_ready(&mut self) -> Result<bool, NcclError> {
        let pipe = lock(&self.pipe);
        if self.exchange.is_cut.load(Ordering::SeqCst) || pipe.is_broken.contains(&true) {
            self.exchange.num_faults.fetch_add(1, Ordering::SeqCst);
            return Err(broken());
        }
        self.num_looks += 1;
        // The first message takes both ends. After that one that is sent only has to be begun, but what
        // is received is here when nobody reads it before: there is no device that would wait.
        let is_through = match (self.side, pipe.begun[self.side as usize].len()) {
            (Side::Sender, 2..) => true,
            (_, count) => pipe.have_met(count),
        };
        Ok(pipe.is_open == [true; 2] && is_through && self.num_looks > 2)
    }

    fn begin(&mut self, tensors: &[Tensor], after: &Moment) -> Result<(), NcclError> {
        assert!(after.0.is_none());
        assert!(self.is_ready()?, "a lane is used that is not ready");
        let mut pipe = lock(&self.pipe);
        let begun = &mut pipe.begun[self.side as usize];
        begun.push(Some(tensors.to_vec()));
        if self.fails_at == Some(begun.len() - 1) {
            return Err(NcclError::Call { call: "ncclRecv", cause: "out of order".to_owned() });
        }
        pipe.meet();
        self.num_looks = 0;
        Ok(())
    }

    fn moment(&self) -> Result<Moment, NcclError> {
        let count = lock(&self.pipe).begun[self.side as usize].len();
        Ok(Moment(Some((Arc::clone(&self.pipe), count))))
    }

    fn close(&mut self) -> Result<bool, NcclError> {
        // At the second look.
        self.num_looks += 1;
        let is_closed = self.num_looks > 1;
        lock(&self.pipe).is_closed[self.side as usize] = is_closed;
        Ok(is_closed)
    }
}

fn broken() -> NcclError {
    let cause = "remote process exited or there was a network error".to_owned();
    NcclError::Call { call: "NCCL", cause }
}
