//! A pipeline with a fault that can be put anywhere: in what a stage computes, or in a call of its
//! communicator.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use autopipe_nn::{Linear, Parameter, Parameters};
use autopipe_runtime::communicator::{PostedRecv, Reduction, Tag};
use autopipe_runtime::{
    Communicator, Error, Failure, Guard, Keywords, Programs, RankError, StageModel, ThreadOptions,
    Tie, Worker, WorkerParts, threads,
};
use autopipe_schedule::lower::{Lowering, lower_with};
use autopipe_schedule::{
    Action, ComputeOp, Extent, Kind, Rank, Stage, ValidProgram, generate, validate,
};
use candle_core::{CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail};

use crate::net::{WIDTH, loss, programs};

/// What a stage computes for a microbatch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    Forward,
    InputGrad,
    WeightGrad,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Effect {
    Error,
    Panic,
    /// The result is multiplied by this.
    Times(f64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Fault {
    pub(crate) work: Work,
    pub(crate) stage: usize,
    pub(crate) microbatch: usize,
    pub(crate) effect: Effect,
}

/// Where a rank's fault is, if it has one.
#[derive(Debug, Default)]
pub(crate) struct Switch(Mutex<Option<Fault>>);

impl Switch {
    pub(crate) fn set(&self, fault: Option<Fault>) {
        *self.0.lock().unwrap() = fault;
    }

    fn trip(
        &self,
        work: Work,
        (stage, microbatch): (usize, usize),
        tensor: &Tensor,
    ) -> Result<Tensor> {
        let fault = *self.0.lock().unwrap();
        let here = |fault: &Fault| {
            (fault.work, fault.stage, fault.microbatch) == (work, stage, microbatch)
        };
        match fault.filter(here).map(|fault| fault.effect) {
            None => Ok(tensor.clone()),
            Some(Effect::Error) => bail!("out of order"),
            #[expect(clippy::panic, reason = "the fault that the tests look at")]
            Some(Effect::Panic) => panic!("gone mad"),
            Some(Effect::Times(factor)) => tensor * factor,
        }
    }
}

/// A linear layer that can fail at each of the three things that it does.
struct Faulty {
    linear: Linear,
    parameters: Parameters,
    stage: usize,
    /// The microbatches in the order of their forwards, which begins again in every step.
    order: Vec<usize>,
    num_forwards: Arc<AtomicUsize>,
    switch: Arc<Switch>,
}

/// The identity, whose backward can fail, and leaves work behind that can fail.
struct Trap {
    at: (usize, usize),
    weight: Parameter,
    switch: Arc<Switch>,
}

impl CustomOp1 for Trap {
    fn name(&self) -> &'static str {
        "trap"
    }

    fn cpu_fwd(&self, storage: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let values = storage.as_slice::<f64>()?[..layout.shape().elem_count()].to_vec();
        Ok((CpuStorage::F64(values), layout.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let (at, switch, nothing) = (self.at, Arc::clone(&self.switch), grad.detach());
        self.weight.defer(move |_| switch.trip(Work::WeightGrad, at, &nothing).map(drop))?;
        self.switch.trip(Work::InputGrad, self.at, grad).map(Some)
    }
}

impl StageModel for Faulty {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        let number = self.num_forwards.fetch_add(1, Ordering::Relaxed);
        let at = (self.stage, self.order[number]);
        let trap =
            Trap { at, weight: self.linear.weight().clone(), switch: Arc::clone(&self.switch) };
        let output = self.linear.forward(&inputs[0])?.tanh()?.apply_op1(trap)?;
        Ok(vec![self.switch.trip(Work::Forward, at, &output)?])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// How a call of a communicator goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Error,
    Panic,
    /// It does what it should and reports an error all the same.
    After,
}

/// Counts a rank's calls that take part in communication, and says which goes wrong.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    number: AtomicUsize,
    fails: Mutex<Option<(usize, Mode)>>,
}

impl Calls {
    /// How many there were since they were counted anew.
    pub(crate) fn number(&self) -> usize {
        self.number.load(Ordering::Relaxed)
    }

    /// Begins to count anew.
    pub(crate) fn rewind(&self) {
        self.number.store(0, Ordering::Relaxed);
    }

    /// Lets the call of this number go wrong, or none.
    pub(crate) fn fail(&self, fails: Option<(usize, Mode)>) {
        *self.fails.lock().unwrap() = fails;
    }
}

pub(crate) struct Flaky {
    pub(crate) inner: Box<dyn Communicator>,
    pub(crate) calls: Arc<Calls>,
}

type Answer<T> = std::result::Result<T, Error>;

impl Flaky {
    fn call<T>(&self, call: impl FnOnce(&dyn Communicator) -> Answer<T>) -> Answer<T> {
        let number = self.calls.number.fetch_add(1, Ordering::Relaxed);
        let fails = *self.calls.fails.lock().unwrap();
        let broken = || Error::Transport("the cable is cut".into());
        match fails.filter(|(fails, _)| *fails == number).map(|(_, mode)| mode) {
            None => call(&*self.inner),
            Some(Mode::Error) => Err(broken()),
            Some(Mode::After) => call(&*self.inner).and_then(|_| Err(broken())),
            #[expect(clippy::panic, reason = "the fault that the tests look at")]
            Some(Mode::Panic) => panic!("the driver has gone mad"),
        }
    }
}

impl Communicator for Flaky {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn members(&self) -> &[usize] {
        self.inner.members()
    }

    fn send(&self, tensors: Vec<Tensor>, to: usize, tag: Tag) -> Answer<()> {
        self.call(|inner| inner.send(tensors, to, tag))
    }

    fn post_recv(&self, from: usize, tag: Tag) -> Answer<PostedRecv> {
        self.call(|inner| inner.post_recv(from, tag))
    }

    fn has_arrived(&self, posted: &PostedRecv) -> Answer<bool> {
        self.call(|inner| inner.has_arrived(posted))
    }

    fn wait(&self, posted: PostedRecv) -> Answer<Vec<Tensor>> {
        self.call(|inner| inner.wait(posted))
    }

    fn all_reduce(&self, values: &[f64], reduction: Reduction) -> Answer<Vec<f64>> {
        self.call(|inner| inner.all_reduce(values, reduction))
    }

    fn barrier(&self) -> Answer<()> {
        self.call(|inner| inner.barrier())
    }

    fn split(&self, color: usize, key: usize) -> Answer<Box<dyn Communicator>> {
        self.inner.split(color, key)
    }

    fn abort(&self, failure: Failure) {
        self.inner.abort(failure);
    }

    fn check(&self) -> Answer<()> {
        self.inner.check()
    }

    fn reset(&self) -> Answer<()> {
        self.inner.reset()
    }
}

/// What a rank of the tests has in hand.
pub(crate) struct Bench {
    pub(crate) worker: Worker,
    pub(crate) switch: Arc<Switch>,
    pub(crate) calls: Arc<Calls>,
    num_forwards: Vec<Arc<AtomicUsize>>,
}

impl Bench {
    /// Begins to count forwards and calls anew: to be called before every step.
    pub(crate) fn rewind(&self) {
        self.calls.rewind();
        for number in &self.num_forwards {
            number.store(0, Ordering::Relaxed);
        }
    }
}

/// Programs of a schedule over two ranks of as many stages as are usual, and four microbatches, that
/// sum the gradients of the first stage and the last.
pub(crate) fn usual(kind: Kind) -> Programs {
    let stages_per_rank = kind.stages_per_rank().usual();
    let plan =
        generate(kind, &Extent { num_ranks: 2, stages_per_rank, num_microbatches: 4 }).unwrap();
    let tied = vec![vec![Stage::new(0), Stage::new(plan.num_stages() - 1)]];
    let program = lower_with(&plan, &Lowering { tied, ..Lowering::default() }).unwrap();
    Programs { train: Arc::new(validate(program).unwrap()), ..programs(&plan) }
}

/// What the programs of [`usual`] tie: the weights of stages.
fn tie(program: &ValidProgram) -> Tie {
    let sums = program.rows().iter().flatten().filter_map(|action| match action {
        Action::ReduceTied { stage, .. } => Some((*stage, vec![format!("{stage}.weight")])),
        _ => None,
    });
    Tie { copies: sums.collect() }
}

/// Runs `body` on every rank.
pub(crate) fn bench<T: Send>(
    programs: &Programs,
    guard: Guard,
    body: impl Fn(&mut Bench) -> Answer<T> + Sync,
) -> std::result::Result<Vec<T>, RankError<Error>> {
    let program = &programs.train;
    threads(program.num_ranks(), &ThreadOptions::default(), |world| {
        let rank = Rank::new(world.rank());
        let (switch, calls) = (Arc::new(Switch::default()), Arc::new(Calls::default()));
        let mut num_forwards = Vec::new();
        let stage = |&stage: &Stage| {
            let forwards = program
                .row(rank)
                .iter()
                .flat_map(|action| action.computes())
                .filter(|compute| compute.op == ComputeOp::Forward && compute.stage == stage);
            let counter = Arc::new(AtomicUsize::new(0));
            num_forwards.push(Arc::clone(&counter));
            let order = forwards.map(|compute| compute.microbatch.index()).collect();
            let switch = Arc::clone(&switch);
            (stage, faulty(stage.index(), order, counter, switch))
        };
        let parts = WorkerParts {
            programs: programs.clone(),
            stages: program.placement().stages_of(rank).iter().map(stage).collect(),
            routes: None,
            ties: vec![tie(program)],
            replicas: None,
            sharded: None,
            tensor_parallel: None,
            trained_from: Stage::new(0),
            loss: loss(),
            scale_grads: false,
            guard,
        };
        let flaky = Flaky { inner: world, calls: Arc::clone(&calls) };
        let worker = Worker::new(Box::new(flaky), parts)?;
        body(&mut Bench { worker, switch, calls, num_forwards })
    })
}

fn faulty(
    stage: usize,
    order: Vec<usize>,
    num_forwards: Arc<AtomicUsize>,
    switch: Arc<Switch>,
) -> Box<dyn StageModel> {
    let values = (0..WIDTH * WIDTH).map(|i| ((i * 7 + stage * 13) as f64).sin());
    let values = Tensor::from_iter(values, &Device::Cpu).unwrap();
    let mut parameters = Parameters::new();
    let values = values.reshape((WIDTH, WIDTH)).unwrap();
    let weight = parameters.add(&format!("{stage}.weight"), values, true).unwrap();
    let linear = Linear::new(weight, None).unwrap();
    Box::new(Faulty { linear, parameters, stage, order, num_forwards, switch })
}

/// What can go wrong in the stages during an action, by the rank's row.
pub(crate) fn works(action: Action) -> Vec<(Work, usize, usize)> {
    let of = |op| match op {
        ComputeOp::Forward => &[Work::Forward][..],
        ComputeOp::Backward => &[Work::InputGrad, Work::WeightGrad],
        ComputeOp::BackwardInput => &[Work::InputGrad],
        ComputeOp::BackwardWeight => &[Work::WeightGrad],
        ComputeOp::Recompute => &[],
    };
    let works = action.computes().flat_map(|compute| {
        of(compute.op).iter().map(move |&w| (w, compute.stage.index(), compute.microbatch.index()))
    });
    works.collect()
}
