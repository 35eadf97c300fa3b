//! What a worker tells its transport before each step: whether every rank has taken such a step before.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use autopipe_runtime::communicator::{PostedRecv, Reduction, Tag, Work};
use autopipe_runtime::{
    Batch, Communicator, Error, Failure, Outputs, Programs, Replicas, StageModel, StepOptions,
    ThreadOptions, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lowering, ReduceGrads, lower_with};
use autopipe_schedule::{Extent, Kind, Rank, Stage, generate, validate};
use candle_core::Tensor;

use crate::net::{Block, batch, layers_of, named, plain_parts, programs};

const MORE: StepOptions =
    StepOptions { outputs: Outputs::Drop, measure: false, more_to_come: true };

/// An end that notes what it is told.
#[derive(Clone)]
struct Noted {
    inner: Arc<dyn Communicator>,
    told: Arc<Mutex<Vec<Work>>>,
}

impl Noted {
    fn over(inner: Box<dyn Communicator>) -> Self {
        Self { inner: Arc::from(inner), told: Arc::default() }
    }

    fn take(&self) -> Vec<Work> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

impl Communicator for Noted {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn members(&self) -> &[usize] {
        self.inner.members()
    }

    fn begin_work(&self, work: Work) -> Result<(), Error> {
        self.told.lock().unwrap().push(work);
        Ok(())
    }

    fn send(&self, tensors: Vec<Tensor>, to: usize, tag: Tag) -> Result<(), Error> {
        self.inner.send(tensors, to, tag)
    }

    fn post_recv(&self, from: usize, tag: Tag) -> Result<PostedRecv, Error> {
        self.inner.post_recv(from, tag)
    }

    fn has_arrived(&self, posted: &PostedRecv) -> Result<bool, Error> {
        self.inner.has_arrived(posted)
    }

    fn wait(&self, posted: PostedRecv) -> Result<Vec<Tensor>, Error> {
        self.inner.wait(posted)
    }

    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Result<Vec<f64>, Error> {
        self.inner.all_reduce(values, reduction)
    }

    fn barrier(&self) -> Result<(), Error> {
        self.inner.barrier()
    }

    fn split(&self, color: usize, key: usize) -> Result<Box<dyn Communicator>, Error> {
        self.inner.split(color, key)
    }

    fn abort(&self, failure: Failure) {
        self.inner.abort(failure);
    }

    fn check(&self) -> Result<(), Error> {
        self.inner.check()
    }

    fn reset(&self) -> Result<(), Error> {
        self.inner.reset()
    }
}

/// The stages of a pipeline's rank.
fn stages(programs: &Programs, rank: usize) -> BTreeMap<Stage, Box<dyn StageModel>> {
    let num_stages = programs.train.num_stages();
    let mine = programs.train.placement().stages_of(Rank::new(rank));
    let make = |&stage: &Stage| {
        let layers = layers_of(6, num_stages, stage.index());
        (stage, Box::new(Block::new(layers, true)) as Box<dyn StageModel>)
    };
    mine.iter().map(make).collect()
}

fn worker(end: &Noted, programs: &Programs) -> Worker {
    let parts = plain_parts(programs, stages(programs, end.rank()));
    Worker::new(Box::new(end.clone()), parts).unwrap()
}

#[test]
fn a_kind_of_step_is_known_when_one_has_been_taken_to_its_end() {
    for kind in [Kind::OneFOneB, Kind::ZbvZeroBubble, Kind::InterleavedOneFOneB, Kind::DualPipeV] {
        let stages_per_rank = kind.stages_per_rank().usual();
        let extent = Extent { num_ranks: 2, stages_per_rank, num_microbatches: 4 };
        let programs = programs(&generate(kind, &extent).unwrap());
        let ran = threads(2, &ThreadOptions::default(), |world| {
            let end = Noted::over(world);
            let mut worker = worker(&end, &programs);
            let (plain, seeded) = (batch(8), batch(8).with_seed(7));
            let mut is_new = |take: &dyn Fn(&mut Worker) -> Result<(), Error>| {
                take(&mut worker).unwrap();
                let told = end.take();
                assert_eq!(told.len(), 1, "{kind:?}");
                told == [Work::New]
            };
            let eval = |batch: &Batch| {
                let batch = batch.clone();
                move |worker: &mut Worker| worker.eval(&batch).map(drop)
            };
            let step = |batch: &Batch, options| {
                let batch = batch.clone();
                move |worker: &mut Worker| worker.step_with(&batch, options).map(drop)
            };
            let (done, more) = (StepOptions::default(), MORE);
            assert!(is_new(&eval(&plain)), "the first evaluation");
            assert!(!is_new(&eval(&plain)), "the second");
            assert!(is_new(&step(&plain, more)), "an evaluation says nothing of training");
            assert!(is_new(&step(&plain, more)), "the optimiser has not worked yet");
            assert!(is_new(&step(&plain, done)), "nor has it now");
            assert!(!is_new(&step(&plain, more)), "the next batch");
            assert!(!is_new(&step(&plain, done)), "its last step");
            assert!(is_new(&step(&seeded, done)), "random numbers");
            assert!(!is_new(&step(&seeded, done)), "no others");
            assert!(!is_new(&eval(&seeded)), "an evaluation draws none");
            let measured = StepOptions { measure: true, ..done };
            assert!(!is_new(&step(&plain, measured)), "times are no other code");
            Ok::<_, Error>(())
        });
        ran.map(drop).unwrap();
    }
}

#[test]
fn what_is_new_to_one_rank_is_new_to_all() {
    let programs = programs(&named(Kind::OneFOneB, 3, 4));
    let ran = threads(3, &ThreadOptions::default(), |world| {
        let end = Noted::over(world);
        let mut first = worker(&end, &programs);
        first.step(&batch(8))?;
        first.step(&batch(8))?;
        assert_eq!(end.take(), [Work::New, Work::Known]);
        // One rank begins anew.
        let mut second = if end.rank() == 1 { worker(&end, &programs) } else { first };
        second.step(&batch(8))?;
        second.step(&batch(8))?;
        assert_eq!(end.take(), [Work::New, Work::Known], "rank {}", end.rank());
        Ok::<_, Error>(())
    });
    ran.map(drop).unwrap();
}

#[test]
fn what_was_known_before_a_failure_is_known_after_it() {
    let programs = programs(&named(Kind::OneFOneB, 2, 4));
    let ran = threads(2, &ThreadOptions::default(), |world| {
        let end = Noted::over(world);
        let mut worker = worker(&end, &programs);
        let fail = |worker: &mut Worker| {
            let cause = "enough".to_owned();
            worker.communicator().abort(Failure { rank: end.rank(), at: None, cause });
            worker.step(&batch(8)).map(drop).unwrap_err();
            worker.recover().map(drop)?;
            end.take();
            worker.step(&batch(8)).map(drop)
        };
        fail(&mut worker)?;
        assert_eq!(end.take(), [Work::New], "no step was whole");
        fail(&mut worker)?;
        assert_eq!(end.take(), [Work::Known]);
        Ok::<_, Error>(())
    });
    ran.map(drop).unwrap();
}

#[test]
fn replicas_hear_of_each_other_and_every_end_is_told() {
    let plan = named(Kind::OneFOneB, 2, 4);
    let lowering = Lowering { reduce_grads: ReduceGrads::Immediate, ..Lowering::default() };
    let train = Arc::new(validate(lower_with(&plan, &lowering).unwrap()).unwrap());
    let programs = Programs { train, ..programs(&plan) };
    let ran = threads(4, &ThreadOptions::default(), |world| {
        let (replica, place) = (world.rank() / 2, world.rank() % 2);
        let pipeline = Noted::over(world.split(replica, place)?);
        let among = Noted::over(world.split(place, replica)?);
        let make = || {
            let comm = Box::new(among.clone());
            let parts = WorkerParts {
                replicas: Some(Replicas { comm, each_microbatch: false }),
                ..plain_parts(&programs, stages(&programs, place))
            };
            Worker::new(Box::new(pipeline.clone()), parts)
        };
        let mut first = make()?;
        first.step(&batch(8))?;
        first.step(&batch(8))?;
        for end in [&pipeline, &among] {
            assert_eq!(end.take(), [Work::New, Work::Known]);
        }
        // The last rank of all begins anew: the first shares no group with it.
        let mut second = if world.rank() == 3 { make()? } else { first };
        second.step(&batch(8))?;
        second.step(&batch(8))?;
        for end in [&pipeline, &among] {
            assert_eq!(end.take(), [Work::New, Work::Known], "rank {}", world.rank());
        }
        Ok::<_, Error>(())
    });
    ran.map(drop).unwrap();
}
