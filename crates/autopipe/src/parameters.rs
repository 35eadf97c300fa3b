//! What a rank has of the model's parameters, and which of all ranks stands for which.

use std::collections::BTreeSet;

use autopipe_runtime::{Parameter, Parameters};
use candle_core::Tensor;

use crate::{AutoPipeline, Error};

impl AutoPipeline {
    /// What this rank has of its stages' parameters, in the order of [`PipelineInfo::stages`](crate::PipelineInfo::stages): what an
    /// optimiser works on, whole parameters or slices of those that are shared out over ranks.
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn parts(&self) -> Result<Vec<&Parameters>, Error> {
        let built = self.built().ok_or(Error::NotBuilt { method: "parts" })?;
        Ok(built.worker.owned().map(|(_, parameters)| parameters).collect())
    }

    /// Forgets all gradients, those too of steps after which more were to come. All ranks have to
    /// call it or none.
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn zero_grad(&mut self) -> Result<(), Error> {
        self.ready("zero_grad")?.worker.zero_grad();
        Ok(())
    }

    /// Whether a parameter of this name is a copy of one whose owner is on another stage. There is one
    /// owner of each tensor over all ranks of a pipeline: what counts or saves every tensor once leaves
    /// copies out, and an optimiser takes them like any other parameter.
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn is_copy(&self, name: &str) -> Result<bool, Error> {
        let built = self.built().ok_or(Error::NotBuilt { method: "is_copy" })?;
        Ok(built.plan.partition.tied().iter().any(|tied| tied.parameter == name))
    }

    /// The [`parts`](Self::parts) without [copies](Self::is_copy): over all ranks of a pipeline each tensor
    /// of the model once. Of the ranks that share parameters out or have parts of the matrices, each has
    /// what is whole: for a sum over all ranks there is [`counted`](Self::counted). What they hold is
    /// shared with the parts.
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn owned_parts(&self) -> Result<Vec<Parameters>, Error> {
        let built = self.built().ok_or(Error::NotBuilt { method: "owned_parts" })?;
        let tied = built.plan.partition.tied().iter();
        let copies: BTreeSet<&str> = tied.map(|tied| tied.parameter.as_str()).collect();
        let owned = |part: &Parameters| part.filter(|parameter| !copies.contains(parameter.name()));
        Ok(built.worker.owned().map(|(_, parameters)| owned(parameters)).collect())
    }

    /// The parameters of [`owned_parts`](Self::owned_parts) for which this rank stands, among all that
    /// have the same numbers: over all ranks of the world each number of the model once. A norm over all
    /// gradients is made of these.
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn counted(&self) -> Result<Vec<Parameter>, Error> {
        let (replicate, shard) = (self.replicate_index(), self.shard_index());
        let tensor = self.tensor_index();
        let is_counted = |parameter: &Parameter| {
            // Each of the ranks that share has other slices, and the same of what is whole; so have those
            // that have parts of the matrices.
            let has_own = parameter.is_slice() || shard == 0;
            replicate == 0 && has_own && (parameter.cut().is_some() || tensor == 0)
        };
        let owned = self.owned_parts()?;
        let all = owned.iter().flatten();
        Ok(all.filter(|parameter| is_counted(parameter)).cloned().collect())
    }

    /// Puts together what the ranks have that share the parameters of a part out, or have parts of its
    /// matrices: of one of its parameters the slices and the parts, those of its gradient, or of what an
    /// optimiser remembers of it. `tensor` is this rank's, of the parameter's shape, and the result has
    /// the shape that the parameter has in the model; of one that is neither shared out nor cut it is
    /// the same tensor. All those ranks have to make the same calls in the same order between steps,
    /// and all get the result.
    ///
    /// # Errors
    /// Before [`build`](Self::build), if there is no such part or `tensor` is not of the parameter's
    /// shape, or as [`step`](Self::step).
    pub fn gather(
        &self,
        part: usize,
        parameter: &Parameter,
        tensor: &Tensor,
    ) -> Result<Tensor, Error> {
        let built = self.built().ok_or(Error::NotBuilt { method: "gather" })?;
        let (stage, _) = built
            .worker
            .owned()
            .nth(part)
            .ok_or_else(|| Error::NoSuchPart { part, num_parts: built.worker.owned().count() })?;
        let own = built.worker.gather(stage, parameter, tensor)?;
        let (Some(ranks), Some(cut)) = (self.tensor_ranks(), parameter.cut()) else {
            return Ok(own);
        };
        let joined = cut.join(&ranks.all_gather(&own)?).map_err(candle_core::Error::from);
        Ok(joined.map_err(autopipe_runtime::Error::from)?)
    }
}
