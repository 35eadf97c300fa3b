//! Parameters of a rank's stages, shared out over ranks of other pipelines that have the same stages.

use std::collections::BTreeMap;

use autopipe_nn::{Parameter, Parameters};
use autopipe_schedule::{Action, Stage, ValidProgram};
use candle_core::{Shape, Tensor};

use super::{Programs, Replicas};
use crate::communicator::{AllGather, AllReduce, ReduceScatter, Slice, Tag, add_each};
use crate::{ActionError, Communicator, Error};

/// The ranks that have the same stages as this one in pipelines of their own, each of which trains on
/// batches of its own, and that share the stages' parameters out: torch's FSDP, or the third stage of
/// [ZeRO](https://arxiv.org/abs/1910.02054).
///
/// Each keeps a slice of every trainable parameter, of its gradient, and of what an optimiser remembers
/// of it ([`Worker::owned`](super::Worker::owned)). The whole parameter is there from the program's
/// `UNSHARD` to its `RESHARD`, and released elsewhere: whoever reads it then gets an error. Frozen
/// parameters are whole on every rank, as others may hold their numbers, and so are tied ones
/// ([`Tie`](super::Tie)), which the ranks keep equal as replicas do.
pub struct Sharded {
    /// This rank's end of their group.
    pub comm: Box<dyn Communicator>,
    /// Whether gradients are summed after every microbatch's backward, instead of once a stage's are
    /// complete: the same sums, sent as many times as there are microbatches, and no rank holds whole
    /// gradients longer than it takes to send them.
    pub each_microbatch: bool,
}

impl std::fmt::Debug for Sharded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sharded")
            .field("members", &self.comm.members())
            .field("each_microbatch", &self.each_microbatch)
            .finish()
    }
}

/// What a rank has of the parameters of its stages.
pub(super) struct Shards {
    sharded: Sharded,
    stages: BTreeMap<Stage, StageShards>,
}

struct StageShards {
    /// The parameters that are shared out. Their gradients are those of this rank alone.
    wholes: Vec<Parameter>,
    /// This rank's slices of them, in their order. Their gradients are those of all ranks.
    slices: Vec<Parameter>,
    /// The slices, and what is not shared out.
    owned: Parameters,
    held: Held,
    sum: Option<Sum>,
    /// What the ranks that share have summed and their replicas have not been told.
    partial: Vec<Option<Tensor>>,
}

/// What of a stage's numbers is here besides this rank's slices.
enum Held {
    Nothing,
    /// The others' slices are on their way.
    Arriving(AllGather),
    All,
}

/// A sum of gradients under way.
enum Sum {
    /// Over the ranks that share; then over the replicas, if they are `told`.
    Shared { scatter: ReduceScatter, told: bool },
    /// Of this rank's slices, over their replicas.
    Replicated(AllReduce),
}

impl StageShards {
    /// Adds a sum over all ranks that add to it at present to the slices' gradients.
    fn accumulate(&self, sums: Vec<Option<Tensor>>) -> candle_core::Result<()> {
        self.slices
            .iter()
            .zip(sums)
            .try_for_each(|(slice, sum)| sum.map_or(Ok(()), |sum| slice.accumulate(&sum)))
    }

    /// Takes what the ranks that share have summed, of which the replicas are to be told.
    fn add(
        &mut self,
        id: Stage,
        sums: Vec<Option<Tensor>>,
        told: bool,
        replicas: &Replicas,
    ) -> Result<(), ActionError> {
        if self.partial.is_empty() {
            self.partial = sums;
        } else {
            add_each(&mut self.partial, sums)?;
        }
        if told { self.tell(id, replicas) } else { Ok(()) }
    }

    /// Begins to sum the slices' gradients over their replicas.
    fn tell(&mut self, id: Stage, replicas: &Replicas) -> Result<(), ActionError> {
        let shapes: Vec<Shape> = self.slices.iter().map(|slice| slice.shape().clone()).collect();
        let mut own = std::mem::take(&mut self.partial);
        own.resize(shapes.len(), None);
        let (tag, awaited) = (Tag::of_grads(id), Action::ReduceGrad(id));
        let begun = AllReduce::begin(&*replicas.comm, tag, awaited, shapes, own)?;
        self.sum = Some(Sum::Replicated(begun));
        Ok(())
    }

    fn release(&self) -> candle_core::Result<()> {
        self.wholes.iter().try_for_each(|whole| Ok(whole.release()?))
    }
}

impl Shards {
    /// Cuts the parameters of this rank's stages, but for those that `is_tied`.
    ///
    /// # Errors
    /// If a program does not gather what it computes with, or does not sum the gradients; or if a
    /// parameter cannot be cut.
    pub(super) fn new<'a>(
        sharded: Sharded,
        programs: &Programs,
        stages: impl Iterator<Item = (Stage, &'a Parameters)>,
        is_tied: impl Fn(&Parameter) -> bool,
    ) -> Result<Self, Error> {
        let (rank, size) = (sharded.comm.rank(), sharded.comm.size());
        let mut own = BTreeMap::new();
        for (stage, parameters) in stages {
            let is_shared = |p: &Parameter| p.is_trainable() && !is_tied(p);
            let wholes: Vec<Parameter> =
                parameters.iter().filter(|p| is_shared(p)).cloned().collect();
            if !wholes.is_empty() {
                check(stage, programs)?;
            }
            let failed = |source| Error::NotCut { stage: stage.index(), source: Box::new(source) };
            let range = |p: &Parameter| {
                let slice = Slice::of(p.num_elements(), rank, size);
                is_shared(p).then_some(slice.start..slice.start + slice.len)
            };
            let owned = parameters.slices(range).map_err(failed)?;
            for whole in &wholes {
                whole.release().map_err(failed)?;
            }
            let slices = owned.iter().filter(|p| p.is_slice()).cloned().collect();
            let (sum, partial) = (None, Vec::new());
            let held = Held::Nothing;
            own.insert(stage, StageShards { wholes, slices, owned, held, sum, partial });
        }
        Ok(Self { sharded, stages: own })
    }

    pub(super) fn comm(&self) -> &dyn Communicator {
        &*self.sharded.comm
    }

    pub(super) fn each_microbatch(&self) -> bool {
        self.sharded.each_microbatch
    }

    /// What this rank has of a stage's parameters.
    pub(super) fn owned(&self, id: Stage) -> Option<&Parameters> {
        self.stages.get(&id).map(|stage| &stage.owned)
    }

    /// UNSHARD: asks for the others' slices, and does not wait for them.
    pub(super) fn unshard(&mut self, id: Stage) -> Result<(), ActionError> {
        let comm = &*self.sharded.comm;
        let Some(stage) = self.stages.get_mut(&id).filter(|stage| !stage.wholes.is_empty()) else {
            return Ok(());
        };
        // Copies: an optimiser may write to the slices before the last rank has read what was sent.
        let copy = |slice: &Parameter| slice.value().detach().force_contiguous().map(Some);
        let own = stage.slices.iter().map(copy).collect::<candle_core::Result<_>>()?;
        let gather = AllGather::begin(comm, Tag::of_slices(id), Action::Unshard(id), own)?;
        stage.held = Held::Arriving(gather);
        Ok(())
    }

    /// Before a computation of the stage: waits for what was asked for.
    pub(super) fn ready(&mut self, id: Stage) -> Result<(), ActionError> {
        let comm = &*self.sharded.comm;
        let Some(stage) = self.stages.get_mut(&id) else { return Ok(()) };
        match std::mem::replace(&mut stage.held, Held::Nothing) {
            Held::Arriving(gather) => {
                let by_rank = gather.finish(comm)?;
                stage.held = Held::All;
                for (place, whole) in stage.wholes.iter().enumerate() {
                    let slices = by_rank.iter().filter_map(|slices| slices[place].clone());
                    let slices: Vec<Tensor> = slices.collect();
                    whole.restore(&slices).map_err(candle_core::Error::from)?;
                }
            }
            held @ (Held::Nothing | Held::All) => stage.held = held,
        }
        Ok(())
    }

    /// RESHARD: gives all but this rank's slices up.
    pub(super) fn reshard(&mut self, id: Stage) -> Result<(), ActionError> {
        let comm = &*self.sharded.comm;
        let Some(stage) = self.stages.get_mut(&id) else { return Ok(()) };
        match std::mem::replace(&mut stage.held, Held::Nothing) {
            Held::Nothing => {}
            // Nothing was computed: the messages must not be taken for those of the next UNSHARD.
            Held::Arriving(gather) => drop(gather.finish(comm)?),
            Held::All => stage.release()?,
        }
        Ok(())
    }

    /// Whether the ranks that share sum after each microbatch: those that tell their replicas then
    /// have to.
    fn sums_each(&self, replicas: Option<&Replicas>) -> bool {
        self.each_microbatch() || tells_each(replicas)
    }

    /// A microbatch is to go backward: the sum over the former is waited for, which has held whole
    /// gradients up to then, so that there are never those of two stages.
    pub(super) fn before_backward(
        &mut self,
        replicas: Option<&Replicas>,
    ) -> Result<(), ActionError> {
        let comm = &*self.sharded.comm;
        if !self.sums_each(replicas) {
            return Ok(());
        }
        let mut stages = self.stages.iter_mut();
        stages.try_for_each(|(&id, stage)| finish_shared(stage, id, comm, replicas))
    }

    /// A microbatch has gone backward.
    pub(super) fn after_backward(
        &mut self,
        id: Stage,
        replicas: Option<&Replicas>,
    ) -> Result<(), ActionError> {
        if self.sums_each(replicas) {
            self.begin(id, tells_each(replicas), replicas)?;
        }
        Ok(())
    }

    /// REDUCE_GRAD: all microbatches have gone backward.
    pub(super) fn reduce(
        &mut self,
        id: Stage,
        more_to_come: bool,
        replicas: Option<&Replicas>,
    ) -> Result<(), ActionError> {
        if more_to_come {
            return Ok(());
        }
        if !self.sums_each(replicas) {
            return self.begin(id, true, replicas);
        }
        let Some(stage) = self.stages.get_mut(&id).filter(|stage| !stage.wholes.is_empty()) else {
            return Ok(());
        };
        let Some(replicas) = replicas.filter(|replicas| !replicas.each_microbatch) else {
            return Ok(());
        };
        match &mut stage.sum {
            Some(Sum::Shared { told, .. }) => *told = true,
            // The last microbatch's sum is there already.
            Some(Sum::Replicated(_)) | None => stage.tell(id, replicas)?,
        }
        Ok(())
    }

    /// Begins to sum the gradients that the whole parameters have.
    fn begin(
        &mut self,
        id: Stage,
        told: bool,
        replicas: Option<&Replicas>,
    ) -> Result<(), ActionError> {
        self.wait(id, replicas)?;
        let comm = &*self.sharded.comm;
        let Some(stage) = self.stages.get_mut(&id).filter(|stage| !stage.wholes.is_empty()) else {
            return Ok(());
        };
        let lens = stage.wholes.iter().map(Parameter::num_elements).collect();
        let own = stage.wholes.iter().map(Parameter::take_grad).collect();
        let (tag, awaited) = (Tag::of_grads(id), Action::ReduceGrad(id));
        let scatter = ReduceScatter::begin(comm, tag, awaited, lens, own)?;
        stage.sum = Some(Sum::Shared { scatter, told });
        Ok(())
    }

    /// WAIT_REDUCE_GRAD: waits for the sum that is under way, if one is, which the slices then have.
    pub(super) fn wait(
        &mut self,
        id: Stage,
        replicas: Option<&Replicas>,
    ) -> Result<(), ActionError> {
        let comm = &*self.sharded.comm;
        let Some(stage) = self.stages.get_mut(&id) else { return Ok(()) };
        finish_shared(stage, id, comm, replicas)?;
        match (stage.sum.take(), replicas) {
            (Some(Sum::Replicated(sum)), Some(replicas)) => {
                let sums = sum.finish(&*replicas.comm)?;
                Ok(stage.accumulate(sums)?)
            }
            _ => Ok(()),
        }
    }

    /// Brings the sums under way on as far as nobody has to wait.
    pub(super) fn advance(&mut self, replicas: Option<&Replicas>) -> Result<(), ActionError> {
        let comm = &*self.sharded.comm;
        for (&id, stage) in &mut self.stages {
            match (&mut stage.sum, replicas) {
                (Some(Sum::Shared { scatter, .. }), _) => {
                    if scatter.is_ready(comm)? {
                        finish_shared(stage, id, comm, replicas)?;
                    }
                }
                (Some(Sum::Replicated(sum)), Some(replicas)) => sum.advance(&*replicas.comm)?,
                (Some(Sum::Replicated(_)), None) | (None, _) => {}
            }
        }
        Ok(())
    }

    /// Drops what a failed step left but for gradients: its sums, and the parameters it had gathered.
    pub(super) fn forget(&mut self) {
        for stage in self.stages.values_mut() {
            stage.sum = None;
            stage.held = Held::Nothing;
            // Of a parameter that could be released at first, and is the same.
            let _ = stage.release();
        }
    }

    /// Forgets all gradients, and sums that the replicas have not been told.
    pub(super) fn zero_grad(&mut self) {
        for stage in self.stages.values_mut() {
            stage.partial.clear();
            stage.owned.zero_grad();
        }
    }
}

fn tells_each(replicas: Option<&Replicas>) -> bool {
    replicas.is_some_and(|replicas| replicas.each_microbatch)
}

/// Waits for a sum over the ranks that share, if one is under way.
fn finish_shared(
    stage: &mut StageShards,
    id: Stage,
    comm: &dyn Communicator,
    replicas: Option<&Replicas>,
) -> Result<(), ActionError> {
    match stage.sum.take() {
        Some(Sum::Shared { mut scatter, told }) => {
            if let Some(replicas) = replicas {
                let sums = scatter.finish(comm)?;
                return stage.add(id, sums, told, replicas);
            }
            let slices = &stage.slices;
            scatter.finish_each(comm, |place, sum| {
                sum.map_or(Ok(()), |sum| slices[place].accumulate(&sum))
            })
        }
        sum @ (Some(Sum::Replicated(_)) | None) => {
            stage.sum = sum;
            Ok(())
        }
    }
}

/// Checks that a stage's parameters are whole where the programs compute with them, which validation
/// says of a stage that is gathered at all, and that its gradients are summed.
fn check(stage: Stage, programs: &Programs) -> Result<(), Error> {
    let training =
        [Action::Unshard(stage), Action::ReduceGrad(stage), Action::WaitReduceGrad(stage)];
    let missing = |program: &ValidProgram, wanted: &[Action]| {
        let has = |wanted: &Action| program.rows().iter().flatten().any(|action| action == wanted);
        wanted.iter().copied().find(|wanted| !has(wanted))
    };
    let evaluation = [Action::Unshard(stage)];
    let action = missing(&programs.train, &training).or(missing(&programs.eval, &evaluation));
    action.map_or(Ok(()), |action| Err(Error::NotSharded { stage: stage.index(), action }))
}
