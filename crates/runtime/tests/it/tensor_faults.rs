//! A fault at every call of a tensor-parallel group, and a rank that does not come to its sum.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use autopipe_nn::{Combine, Pass, TensorParallelGroup};
use autopipe_runtime::communicator::Tag;
use autopipe_runtime::{
    ActionError, Communicator, Error, StepPart, ThreadOptions, Worker, threads,
};
use autopipe_schedule::{Action, ComputeOp, Extent, Kind, generate};
use candle_core::Tensor;

use crate::faulty::{Calls, Flaky, Mode};
use crate::inject::{failure_of, without_hanging};
use crate::net::{batch, grads, named};
use crate::tensor_net::{At, Data, Grid, programs, worker};

const GRID: Grid = Grid { num_parts: 2, data: Data::Replicas(1), num_layers: 4 };

/// Losses and gradients of this rank's parts.
type Outcome = (Vec<f64>, std::collections::BTreeMap<String, Vec<f64>>);

fn step(worker: &mut Worker) -> Result<Outcome, Error> {
    worker.stages().for_each(|(_, parameters)| parameters.zero_grad());
    let losses = worker.step(&batch(5))?.losses;
    Ok((losses, grads(worker.stages().map(|(_, parameters)| parameters))))
}

/// Lets each call of each rank's end of the group go wrong, and returns in what parts of a step it
/// showed, by rank.
fn break_sums(kind: Kind, num_threads: usize, mode: Mode) -> Vec<Vec<StepPart>> {
    let extent = Extent { num_ranks: 2, stages_per_rank: 2, num_microbatches: 2 };
    let extent = Extent { num_microbatches: if kind == Kind::DualPipeV { 4 } else { 2 }, ..extent };
    let programs = programs(&generate(kind, &extent).unwrap(), GRID);
    let options = ThreadOptions {
        threads_per_rank: std::num::NonZeroUsize::new(num_threads),
        ..ThreadOptions::default()
    };
    let ranks = threads(4, &options, |world| {
        let (own, calls) = (world.rank(), Arc::new(Calls::default()));
        let flaky =
            |inner| Box::new(Flaky { inner, calls: Arc::clone(&calls) }) as Box<dyn Communicator>;
        let (mut worker, ..) = worker(&*world, &programs, GRID, flaky, |_, group| group)?;
        calls.rewind();
        let fresh = step(&mut worker)?;
        let num_calls = world.all_gather_text(&calls.number().to_string())?;
        let mut seen = Vec::new();
        for (rank, num_calls) in num_calls.into_iter().enumerate() {
            let num_calls = num_calls.parse().unwrap();
            assert!(num_calls > 20, "the layers sum by it");
            // Side by side the calls come in any order.
            let stride = if num_threads > 1 { 7 } else { 1 };
            for number in (0..num_calls).step_by(stride) {
                calls.rewind();
                calls.fail((rank == own).then_some((number, mode)));
                let error = match step(&mut worker) {
                    // Another pipeline may have had all it needed, and learns of it afterwards.
                    Ok(_) if rank != own => step(&mut worker).unwrap_err(),
                    result => result.map(drop).unwrap_err(),
                };
                calls.fail(None);
                let (is_own, failure) = failure_of(&error);
                assert_eq!((is_own, failure.rank), (own == rank, rank), "call {number}: {failure}");
                let cause = match mode {
                    Mode::Error | Mode::After => "the transport failed: the cable is cut",
                    Mode::Panic => "panicked: the driver has gone mad",
                };
                assert_eq!(failure.cause, cause, "call {number}");
                let _ = worker.recover()?;
                assert_eq!(step(&mut worker)?, fresh, "after {failure}");
                // Or the next failure would come before the other pipeline is through.
                world.barrier()?;
                if is_own {
                    seen.push(failure.at.unwrap().part);
                }
            }
        }
        Ok::<_, Error>(seen)
    });
    ranks.unwrap()
}

fn every_call(mode: Mode) {
    without_hanging(move || {
        for seen in break_sums(Kind::ZbvZeroBubble, 1, mode) {
            assert_eq!(seen[0], StepPart::Start, "the vote");
            let ops = seen.iter().filter_map(|part| match part {
                StepPart::Action(Action::Compute(compute)) => Some(compute.op),
                _ => None,
            });
            let ops: BTreeSet<ComputeOp> = ops.collect();
            assert!(ops.contains(&ComputeOp::Forward), "{ops:?}");
            assert!(ops.contains(&ComputeOp::BackwardInput), "{ops:?}");
        }
    });
}

#[test]
fn every_call_that_fails_ends_all_ranks() {
    every_call(Mode::Error);
}

#[test]
fn every_call_that_panics_ends_all_ranks() {
    every_call(Mode::Panic);
}

#[test]
fn every_call_that_fails_when_it_is_done_ends_all_ranks() {
    every_call(Mode::After);
}

#[test]
fn calls_that_fail_in_an_overlap_end_all_ranks() {
    without_hanging(|| {
        for mode in [Mode::Error, Mode::Panic] {
            break_sums(Kind::DualPipeV, 2, mode);
        }
    });
}

/// A group of which one rank comes late to its backward sums.
#[derive(Debug)]
struct Sleepy(Arc<dyn TensorParallelGroup>, Pass);

impl TensorParallelGroup for Sleepy {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn all_reduce(
        &self,
        tensor: &Tensor,
        combine: Combine,
        pass: Pass,
    ) -> candle_core::Result<Tensor> {
        if pass == self.1 {
            // Nobody ever sends: the wait is all there is to it.
            let (_sender, receiver) = std::sync::mpsc::channel::<()>();
            let _ = receiver.recv_timeout(Duration::from_millis(500));
        }
        self.0.all_reduce(tensor, combine, pass)
    }
}

#[test]
fn a_rank_that_does_not_come_to_a_step_is_named_among_more_ranks_than_a_pipeline_has() {
    let options = ThreadOptions { timeout: Duration::from_millis(150), ..ThreadOptions::default() };
    let grid = Grid { num_parts: 3, ..GRID };
    let programs = programs(&named(Kind::GPipe, 1, 1), grid);
    let told = threads(3, &options, |world| {
        let (mut worker, ..) = worker(&*world, &programs, grid, |end| end, |_, group| group)?;
        if world.rank() == 2 {
            // Away until the others have given up.
            while let Err(Error::Timeout { .. }) = world.recv(2, Tag(0)) {}
            while worker.recover().is_err() {}
            return Ok(String::new());
        }
        let late = worker.step(&batch(1)).unwrap_err().to_string();
        while worker.recover().is_err() {}
        Ok::<_, Error>(late)
    });
    for late in &told.unwrap()[..2] {
        assert!(late.contains("pipeline step 0, start: waited 1"), "{late}");
        assert!(late.contains("for rank 2 to do the same"), "{late}");
    }
}

#[test]
fn a_rank_that_does_not_come_to_a_sum_is_named() {
    let options = ThreadOptions { timeout: Duration::from_millis(150), ..ThreadOptions::default() };
    let grid = Grid { num_parts: 3, ..GRID };
    for (pass, action) in [(Pass::Forward, "action 0F0"), (Pass::Backward, "action 0B0")] {
        let programs = programs(&named(Kind::GPipe, 1, 1), grid);
        let told = threads(3, &options, |world| {
            let sleepy = |at: At, group: Arc<dyn TensorParallelGroup>| {
                if at.part == 1 { Arc::new(Sleepy(group, pass)) } else { group }
            };
            let (mut worker, ..) = worker(&*world, &programs, grid, |end| end, sleepy)?;
            let error = worker.step(&batch(1)).map(drop).unwrap_err();
            while worker.recover().is_err() {}
            Ok::<_, Error>(error)
        });
        let told = told.unwrap();
        let late = told.iter().filter(|error| {
            matches!(error, Error::Action { source: ActionError::LateSum { rank: 1, .. }, .. })
        });
        assert!(late.count() >= 1, "{told:?}");
        for error in &told {
            let text = error.to_string();
            assert!(text.contains(&format!("pipeline step 0, {action}: waited ")), "{text}");
            assert!(text.contains("for the tensor-parallel sum of rank 1; if its work"), "{text}");
        }
    }
}
