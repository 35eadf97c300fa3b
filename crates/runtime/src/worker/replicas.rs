//! Gradients of a rank's stages, summed over the ranks of other pipelines that have the same stages.

use std::collections::BTreeMap;

use autopipe_nn::{Parameter, Parameters};
use autopipe_schedule::{Action, Stage};
use candle_core::{Shape, Tensor};

use super::shards::Shards;
use super::{Programs, Sharded, Worker};
use crate::communicator::{AllReduce, Tag, add_each};
use crate::{ActionError, Communicator, Error};

/// The ranks that have the same stages as this one in pipelines of their own, each of which trains on
/// batches of its own.
pub struct Replicas {
    /// This rank's end of their group.
    pub comm: Box<dyn Communicator>,
    /// Whether gradients are summed after every microbatch's backward, instead of once a stage's are
    /// complete: the same sums, sent as many times as there are microbatches.
    pub each_microbatch: bool,
}

impl std::fmt::Debug for Replicas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replicas")
            .field("members", &self.comm.members())
            .field("each_microbatch", &self.each_microbatch)
            .finish()
    }
}

/// What a rank knows of the ranks that have the same stages: of the sums over them, and of the
/// parameters that it shares with them.
pub(super) struct Synced {
    replicas: Option<Replicas>,
    shards: Option<Shards>,
    /// What is not shared out.
    stages: BTreeMap<Stage, StageGrads>,
    /// What several stages share, which is summed with their copies.
    tied: Vec<Parameter>,
    /// Whether what the parameters have was summed by former steps.
    is_summed: bool,
    /// Whether this step sums.
    is_active: bool,
    /// Whether more steps come before the gradients are used.
    more_to_come: bool,
}

/// The gradients of a stage. Those that are summed have left the parameters, into which the next
/// backward adds, and come back when all are.
struct StageGrads {
    parameters: Vec<Parameter>,
    pending: Option<AllReduce>,
    summed: Vec<Option<Tensor>>,
}

impl StageGrads {
    fn take(&self) -> Vec<Option<Tensor>> {
        self.parameters.iter().map(Parameter::take_grad).collect()
    }

    /// Adds a sum to those before.
    fn add(&mut self, sums: Vec<Option<Tensor>>) -> candle_core::Result<()> {
        if self.summed.is_empty() {
            self.summed = sums;
            return Ok(());
        }
        add_each(&mut self.summed, sums)
    }
}

impl Synced {
    /// # Errors
    /// If the program does not sum the gradients of a stage that is trained, or gather what is shared
    /// out.
    pub(super) fn new<'a>(
        replicas: Option<Replicas>,
        sharded: Option<Sharded>,
        programs: &Programs,
        stages: impl Iterator<Item = (Stage, &'a Parameters)> + Clone,
        tied: Vec<Parameter>,
    ) -> Result<Self, Error> {
        let is_tied =
            |parameter: &Parameter| tied.iter().any(|tied| tied.name() == parameter.name());
        let shards = sharded
            .map(|sharded| Shards::new(sharded, programs, stages.clone(), is_tied))
            .transpose()?;
        let mut own = BTreeMap::new();
        for (stage, parameters) in stages.filter(|_| shards.is_none()) {
            // What several stages share is summed when they have told each other.
            let parameters: Vec<Parameter> = parameters
                .iter()
                .filter(|parameter| parameter.is_trainable() && !is_tied(parameter))
                .cloned()
                .collect();
            let wanted = [Action::ReduceGrad(stage), Action::WaitReduceGrad(stage)];
            let mut actions = programs.train.rows().iter().flatten();
            let has = |wanted: &Action| actions.any(|action| action == wanted);
            if !parameters.is_empty() && !wanted.iter().all(has) {
                return Err(Error::NotReduced { stage: stage.index() });
            }
            own.insert(stage, StageGrads { parameters, pending: None, summed: Vec::new() });
        }
        Ok(Self {
            replicas,
            shards,
            stages: own,
            tied,
            is_summed: false,
            is_active: false,
            more_to_come: false,
        })
    }

    /// The groups of ranks that have the same stages: those that share parameters, then replicas.
    pub(super) fn comms(&self) -> impl Iterator<Item = &dyn Communicator> {
        let shards = self.shards.iter().map(Shards::comm);
        shards.chain(self.replicas.iter().map(|replicas| &*replicas.comm))
    }

    pub(super) fn shards(&self) -> Option<&Shards> {
        self.shards.as_ref()
    }

    fn each_microbatch(&self) -> bool {
        let of_shards = self.shards.as_ref().is_some_and(Shards::each_microbatch);
        of_shards || self.replicas.as_ref().is_some_and(|replicas| replicas.each_microbatch)
    }

    /// Whether this step sums.
    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// Whether what the parameters had before the step was summed already.
    pub(super) fn was_summed(&self) -> bool {
        self.is_summed
    }

    /// Whether the parameters have gradients that were summed already.
    pub(super) fn has_sums(&self) -> bool {
        let own = self.stages.values().flat_map(|stage| &stage.parameters);
        self.is_summed && own.chain(&self.tied).any(|parameter| parameter.grad().is_some())
    }

    /// Puts aside what former steps have summed, if any rank of the pipeline has such sums. A step
    /// after which more are to come does not sum; but what it adds to sums is summed in any case, for
    /// nobody could tell them apart.
    pub(super) fn begin_step(&mut self, more_to_come: bool, has_sums: bool) {
        self.is_summed = has_sums;
        self.is_active = !more_to_come || self.each_microbatch() || self.is_summed;
        self.more_to_come = more_to_come;
        if self.is_summed {
            for stage in self.stages.values_mut() {
                stage.summed = stage.take();
            }
        }
    }

    pub(super) fn end_step(&mut self) {
        self.is_summed = self.is_active;
    }

    /// Drops what a failed step has put aside, which is nothing if it was one of evaluation: gradients of
    /// former steps are then kept, and stay as summed as they are.
    pub(super) fn forget(&mut self) {
        for stage in self.stages.values_mut() {
            stage.pending = None;
            stage.summed.clear();
        }
        if let Some(shards) = &mut self.shards {
            shards.forget();
        }
    }

    /// Forgets all gradients that the stages do not have themselves.
    pub(super) fn zero_grad(&mut self) {
        if let Some(shards) = &mut self.shards {
            shards.zero_grad();
        }
    }

    /// The stage's next computation needs its parameters whole.
    pub(super) fn unshard(&mut self, stage: Stage) -> Result<(), ActionError> {
        self.shards.as_mut().map_or(Ok(()), |shards| shards.unshard(stage))
    }

    /// No computation needs them for a while.
    pub(super) fn reshard(&mut self, stage: Stage) -> Result<(), ActionError> {
        self.shards.as_mut().map_or(Ok(()), |shards| shards.reshard(stage))
    }

    /// A computation of the stage begins, which may add to its gradients.
    pub(super) fn ready(&mut self, stage: Stage, adds: bool) -> Result<(), ActionError> {
        let Some(shards) = &mut self.shards else { return Ok(()) };
        if adds {
            shards.before_backward(self.replicas.as_ref())?;
        }
        shards.ready(stage)
    }

    /// A microbatch has gone backward.
    pub(super) fn after_backward(&mut self, stage: Stage) -> Result<(), ActionError> {
        if let Some(shards) = &mut self.shards {
            return shards.after_backward(stage, self.replicas.as_ref());
        }
        if self.each_microbatch() && self.is_active {
            self.begin(stage)?;
        }
        Ok(())
    }

    /// All microbatches have gone backward.
    pub(super) fn reduce(&mut self, stage: Stage) -> Result<(), ActionError> {
        if let Some(shards) = &mut self.shards {
            return shards.reduce(stage, self.more_to_come, self.replicas.as_ref());
        }
        if !self.each_microbatch() && self.is_active {
            self.begin(stage)?;
        }
        Ok(())
    }

    fn begin(&mut self, id: Stage) -> Result<(), ActionError> {
        self.settle(id)?;
        let stage = self.stages.get_mut(&id).filter(|s| !s.parameters.is_empty());
        let (Some(stage), Some(replicas)) = (stage, &self.replicas) else { return Ok(()) };
        let shapes: Vec<Shape> = stage.parameters.iter().map(|p| p.shape().clone()).collect();
        let (tag, awaited) = (Tag::of_grads(id), Action::ReduceGrad(id));
        let own = stage.take();
        let begun = AllReduce::begin(&*replicas.comm, tag, awaited, shapes, own)?;
        stage.pending = Some(begun);
        Ok(())
    }

    /// Waits for the sum that is under way, if one is.
    fn settle(&mut self, id: Stage) -> Result<(), ActionError> {
        let (Some(stage), Some(replicas)) = (self.stages.get_mut(&id), &self.replicas) else {
            return Ok(());
        };
        let Some(pending) = stage.pending.take() else { return Ok(()) };
        let sums = pending.finish(&*replicas.comm)?;
        Ok(stage.add(sums)?)
    }

    /// Waits for a stage's gradients and gives them back to the parameters.
    pub(super) fn wait(&mut self, id: Stage) -> Result<(), ActionError> {
        if let Some(shards) = &mut self.shards {
            return shards.wait(id, self.replicas.as_ref());
        }
        if !self.is_active {
            return Ok(());
        }
        self.settle(id)?;
        let Some(stage) = self.stages.get_mut(&id) else { return Ok(()) };
        for (parameter, sum) in stage.parameters.iter().zip(stage.summed.drain(..)) {
            parameter.set_grad(sum);
        }
        Ok(())
    }

    /// Brings the sums under way on as far as nobody has to wait.
    pub(super) fn advance(&mut self) -> Result<(), ActionError> {
        if let Some(shards) = &mut self.shards {
            return shards.advance(self.replicas.as_ref());
        }
        let Some(replicas) = &self.replicas else { return Ok(()) };
        for stage in self.stages.values_mut() {
            if let Some(pending) = &mut stage.pending {
                pending.advance(&*replicas.comm)?;
            }
        }
        Ok(())
    }

    /// The sum of one tensor over all ranks that have the same stages, waited for.
    pub(super) fn sum(
        &self,
        tag: Tag,
        awaited: Action,
        shape: &Shape,
        own: Option<Tensor>,
    ) -> Result<Option<Tensor>, ActionError> {
        self.comms().try_fold(own, |own, comm| {
            let sum = AllReduce::begin(comm, tag, awaited, vec![shape.clone()], vec![own])?;
            Ok(sum.finish(comm)?.pop().flatten())
        })
    }
}

impl Worker {
    /// Brings what goes on beside the computations on.
    pub(super) fn advance_sums(&mut self) -> Result<(), ActionError> {
        self.replicas.as_mut().map_or(Ok(()), Synced::advance)
    }
}
