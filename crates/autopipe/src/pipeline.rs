//! `AutoPipeline`: where configuration, mesh, partition, program and ranks meet.

use std::collections::BTreeMap;

use autopipe_config::PipelineConfig;
use autopipe_mesh::{Axis, DeviceMesh};
use autopipe_runtime::{
    Batch, Communicator, LossFn, Model, Parameters, StepOutput, Worker, WorkerParts,
};
use autopipe_schedule::{Plan, Rank, Timeline};
use candle_core::Device;

use crate::plan::plan;
use crate::{Error, PipelineInfo, PipelinePlan};

/// One rank's pipeline: every rank makes its own from the same configuration, builds it, and then
/// takes the same steps.
pub struct AutoPipeline {
    config: PipelineConfig,
    mesh: DeviceMesh,
    world: Box<dyn Communicator>,
    device: Device,
    table: Option<Plan>,
    built: Option<Built>,
}

/// What `build` makes.
pub(crate) struct Built {
    pub(crate) worker: Worker,
    pub(crate) plan: PipelinePlan,
    /// Per local stage, the modules as a listing shows them.
    pub(crate) modules: Vec<Vec<String>>,
}

impl std::fmt::Debug for AutoPipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AutoPipeline")
            .field("config", &self.config)
            .field("device", &self.device)
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

impl AutoPipeline {
    /// A pipeline along the mesh's axis `pp`; `world` is this rank's end of all ranks of the mesh.
    ///
    /// # Errors
    /// If options contradict each other or would do nothing, the mesh has no such axis, other axes are
    /// larger than one, or mesh and world differ in size.
    pub fn new(
        config: PipelineConfig,
        mesh: DeviceMesh,
        world: Box<dyn Communicator>,
        device: Device,
    ) -> Result<Self, Error> {
        config.check().map_err(Error::Config)?;
        config.check_supported().map_err(Error::Unsupported)?;
        if mesh.world_size() != world.size() {
            return Err(Error::WorldSize { mesh: mesh.world_size(), world: world.size() });
        }
        mesh.size(&Axis::PP)?;
        for (axis, size) in mesh.axes() {
            if *axis != Axis::PP && size > 1 {
                return Err(Error::Axis { axis: axis.to_string(), size });
            }
        }
        Ok(Self { config, mesh, world, device, table: None, built: None })
    }

    /// Runs `table`, read from `pp_schedule_csv` or made by hand, instead of a named schedule.
    #[must_use]
    pub fn with_schedule(self, table: Plan) -> Self {
        Self { table: Some(table), ..self }
    }

    /// Splits the model, proves the schedule, and builds this rank's stages. The same call has to be
    /// made on all ranks. Called again, it starts anew.
    ///
    /// # Errors
    /// Everything about configuration, model and schedule is found before any weight is loaded.
    pub fn build(&mut self, model: &dyn Model, loss: LossFn) -> Result<&mut Self, Error> {
        let graph = model.graph();
        let plan = plan(&self.config, self.table.as_ref(), self.mesh.size(&Axis::PP)?, &graph)?;
        let rank = self.world.rank();
        let group = self.mesh.group(&Axis::PP, rank)?;
        // The group's first rank names it; along an axis, ranks grow with the coordinate.
        let comm = self.world.split(group[0], rank)?;

        let mut stages = BTreeMap::new();
        let mut modules = Vec::new();
        let mut mine = plan.programs.train.placement().stages_of(Rank::new(comm.rank())).to_vec();
        mine.sort_unstable();
        for stage in mine {
            let names = plan.partition.stages()[stage.index()].modules();
            let part = model
                .build_stage(names, &self.device)
                .map_err(|source| Error::Stage { stage: stage.index(), source })?;
            modules.push(crate::summary::module_list(&graph, names));
            stages.insert(stage, part);
        }
        let parts = WorkerParts {
            programs: plan.programs.clone(),
            stages,
            routes: Some(plan.routes.clone()),
            loss,
            scale_grads: self.config.scale_grads_in_schedule,
        };
        let worker = Worker::new(comm, parts)?;
        self.built = Some(Built { worker, plan, modules });
        Ok(self)
    }

    pub(crate) fn built(&self) -> Option<&Built> {
        self.built.as_ref()
    }

    fn built_mut(&mut self, method: &'static str) -> Result<&mut Built, Error> {
        self.built.as_mut().ok_or(Error::NotBuilt { method })
    }

    /// Trains on one batch: adds its gradients to those of the local parts' parameters.
    ///
    /// # Errors
    /// Before [`build`](Self::build), or when an action fails here or on another rank.
    pub fn step(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        Ok(self.built_mut("step")?.worker.step(batch)?)
    }

    /// As [`step`](Self::step), and tells when every action of every rank happened, in seconds: to
    /// be compared with what [`simulate`](crate::schedule::simulate) predicts. All ranks of the
    /// pipeline have to call it.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_measured(&mut self, batch: &Batch) -> Result<(StepOutput, Timeline), Error> {
        Ok(self.built_mut("step_measured")?.worker.step_measured(batch)?)
    }

    /// Computes the losses of one batch without touching gradients.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        Ok(self.built_mut("eval")?.worker.eval(batch)?)
    }

    /// As [`eval`](Self::eval), and keeps the last stage's outputs of every microbatch on the rank
    /// that owns it.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval_with_outputs(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        Ok(self.built_mut("eval_with_outputs")?.worker.eval_with_outputs(batch)?)
    }

    /// Announces the next batches' sequence length. Shapes are computed in every step, so there is
    /// nothing to prepare, and accumulated gradients stay as they are.
    ///
    /// # Errors
    /// Before [`build`](Self::build), as in the original.
    pub fn update_seq_len(&mut self, _seq_len: usize) -> Result<(), Error> {
        self.built_mut("update_seq_len").map(drop)
    }

    /// The parameters of this rank's stages, in the order of [`PipelineInfo::stages`].
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn parts(&self) -> Result<Vec<&Parameters>, Error> {
        let built = self.built.as_ref().ok_or(Error::NotBuilt { method: "parts" })?;
        Ok(built.worker.stages().map(|(_, parameters)| parameters).collect())
    }

    /// What is planned for all ranks.
    ///
    /// # Errors
    /// Before [`build`](Self::build).
    pub fn plan(&self) -> Result<&PipelinePlan, Error> {
        self.built.as_ref().map(|built| &built.plan).ok_or(Error::NotBuilt { method: "plan" })
    }

    /// What is on this rank; all empty before [`build`](Self::build).
    pub fn info(&self) -> PipelineInfo {
        let Some(built) = &self.built else { return PipelineInfo::default() };
        let stages: Vec<usize> = built.worker.stages().map(|(stage, _)| stage.index()).collect();
        let num_stages = built.plan.partition.num_stages();
        PipelineInfo {
            enabled: true,
            schedule: Some(built.plan.schedule.clone()),
            has_first_stage: stages.contains(&0),
            has_last_stage: stages.contains(&(num_stages - 1)),
            stages,
            num_stages,
            num_microbatches: built.plan.table.num_microbatches(),
        }
    }

    /// Where this rank's stages are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The configuration given to [`new`](Self::new).
    pub fn config(&self) -> &PipelineConfig {
        &self.config
    }

    /// The mesh given to [`new`](Self::new).
    pub fn mesh(&self) -> &DeviceMesh {
        &self.mesh
    }

    /// This rank's end of the whole world.
    pub fn world(&self) -> &dyn Communicator {
        &*self.world
    }
}
