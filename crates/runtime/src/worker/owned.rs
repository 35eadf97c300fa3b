//! What a rank owns of its stages' parameters: what optimisers work on, and checkpoints are made of.

use autopipe_nn::{Parameter, Parameters};
use autopipe_schedule::{Action, Stage};
use candle_core::Tensor;

use super::Worker;
use crate::communicator::{AllGather, Tag};
use crate::error::communication;
use crate::{ActionError, Communicator, Error, Place, StepPart};

impl Worker {
    /// What this rank owns of its stages' parameters, in stage order: what an optimiser works on.
    ///
    /// Where parameters are shared out ([`Sharded`](super::Sharded)), these are slices of them: parameters of the same
    /// names with numbers and gradients of their own, which a step leaves there, beside those that are
    /// not shared out. Elsewhere they are the parameters of [`stages`](Self::stages).
    pub fn owned(&self) -> impl Iterator<Item = (Stage, &Parameters)> {
        self.stages().map(|(id, parameters)| {
            let shards = self.replicas.as_ref().and_then(|replicas| replicas.shards());
            (id, shards.and_then(|shards| shards.owned(id)).unwrap_or(parameters))
        })
    }

    /// Forgets all gradients: those of [`owned`](Self::owned), and those of steps after which more
    /// were to come, which no rank has been told yet. All ranks have to call it or none.
    pub fn zero_grad(&mut self) {
        for stage in self.stages.values() {
            stage.parameters().zero_grad();
        }
        if let Some(replicas) = &mut self.replicas {
            replicas.zero_grad();
        }
    }

    /// Puts the slices of a parameter together, or those of its gradient or of what an optimiser
    /// remembers of it, in the parameter's whole shape: for a checkpoint. `parameter` is one of
    /// [`owned`](Self::owned), and `part` what this rank has for it, of its shape; of a parameter that
    /// is not shared out it comes back as it is. Where tensor-parallel ranks cut the parameter, the whole is
    /// what this rank has of it ([`TensorParallel::all_gather`](super::TensorParallel::all_gather)). All ranks that share the stage make the same calls in
    /// the same order, between steps, and all get the result.
    ///
    /// # Errors
    /// If `part` is not of the parameter's shape, the world has failed, or not all ranks take part in
    /// time. The world is then told, and has to [`recover`](Self::recover).
    pub fn gather(
        &self,
        stage: Stage,
        parameter: &Parameter,
        part: &Tensor,
    ) -> Result<Tensor, Error> {
        let shards = self.replicas.as_ref().and_then(|replicas| replicas.shards());
        let Some(shards) = shards.filter(|_| parameter.is_slice()) else { return Ok(part.clone()) };
        let at = Place { step: self.num_steps, part: StepPart::Action(Action::Unshard(stage)) };
        gather(shards.comm(), stage, parameter, part).map_err(|source| self.tell(at, source))
    }
}

fn gather(
    comm: &dyn Communicator,
    stage: Stage,
    parameter: &Parameter,
    part: &Tensor,
) -> Result<Tensor, ActionError> {
    comm.check().map_err(communication)?;
    let whole = parameter.whole_shape();
    let own = part.detach().reshape(parameter.num_elements())?.force_contiguous()?;
    let awaited = Action::Unshard(stage);
    let gather = AllGather::begin(comm, Tag::of_slices(stage), awaited, vec![Some(own)])?;
    let by_rank = gather.finish(comm)?;
    let slices: Vec<&Tensor> = by_rank.iter().flatten().flatten().collect();
    Ok(Tensor::cat(&slices, 0)?.reshape(whole)?)
}
