//! `AutoPipeline`: where configuration, mesh, partition, program and ranks meet.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe_config::{DType, PipelineConfig, Unsupported};
use autopipe_mesh::{AxisNames, DeviceMesh};
use autopipe_runtime::{
    Batch, Communicator, LossFn, Model, Recovered, Replicas, Sharded, StageModel, StepOptions,
    StepOutput, TensorParallel, TensorParallelGroup, Worker, WorkerParts,
};
use autopipe_schedule::{Rank, Stage};
use autopipe_splitter::{ElementType, ModuleGraph};
use candle_core::Device;

use crate::axes::{Along, Axes, Replica, along};
use crate::plan::plan_side_by_side;
use crate::{
    DataParallel, Error, ParallelizeFn, PartContext, PipelineArgs, PipelineInfo, PipelinePlan,
};

/// One rank's pipeline: every rank makes its own from the same arguments, builds it, and then takes
/// the same steps.
pub struct AutoPipeline {
    args: PipelineArgs,
    axis_names: AxisNames,
    device: Device,
    axes: Axes,
    /// The ranks that have other parts of the same matrices.
    tensor_parallel: Option<Arc<TensorParallel>>,
    world: Box<dyn Communicator>,
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
            .field("config", &self.args.config)
            .field("device", &self.device)
            .field("info", &self.info())
            .finish_non_exhaustive()
    }
}

impl AutoPipeline {
    /// A pipeline along one axis of the mesh; `world` is this rank's end of all ranks of the mesh.
    ///
    /// # Errors
    /// If options contradict each other or would do nothing, the mesh lacks the pipeline axis or
    /// another one that is named, axes are larger than one along which nothing is shared out yet, or
    /// mesh and world differ.
    pub fn new(args: PipelineArgs, mut world: Box<dyn Communicator>) -> Result<Self, Error> {
        args.config.check().map_err(Error::Config)?;
        args.config.check_supported().map_err(Error::Unsupported)?;
        let axis_names = args.names()?;
        let mesh = &args.world_mesh;
        if mesh.world_size() != world.size() {
            return Err(Error::WorldSize { mesh: mesh.world_size(), world: world.size() });
        }
        mesh.coord_from_rank(world.rank())?;
        let axes = Axes::of(mesh, &axis_names, world.rank())?;
        check_runnable(&args, axes.data_parallel().num_pipelines())?;
        let device = args.device(world.rank())?;
        world.set_device(&device);
        let tensor = axes.tensor.as_ref().map(|along| along.split(mesh, &*world)).transpose()?;
        let tensor_parallel = tensor.map(TensorParallel::new);
        Ok(Self { args, axis_names, device, axes, tensor_parallel, world, built: None })
    }

    /// Splits the model, proves the schedule, and builds this rank's stages. The same call has to be
    /// made on all ranks. Called again, it starts anew.
    ///
    /// Where matrices are cut among ranks ([`tensor_parallel`](Self::tensor_parallel)), the last stage's
    /// outputs are what the model says of them; of the built-in ones, logits of this rank's classes, of
    /// which `cross_entropy_sum_among` of autopipe-nn makes the loss.
    ///
    /// # Errors
    /// Everything about configuration, model and schedule is found before any weight is loaded.
    pub fn build(&mut self, model: &dyn Model, loss: LossFn) -> Result<&mut Self, Error> {
        self.build_with(model, loss, &mut |part, _| Ok(part))
    }

    /// As [`build`](Self::build), and hands each part to `parallelize` before the pipeline takes it.
    ///
    /// # Errors
    /// As [`build`](Self::build), and whatever `parallelize` cannot do.
    pub fn build_with(
        &mut self,
        model: &dyn Model,
        loss: LossFn,
        parallelize: &mut ParallelizeFn<'_>,
    ) -> Result<&mut Self, Error> {
        let graph = model.graph();
        let PipelineArgs { config, world_mesh, moe_mesh, table, .. } = &self.args;
        let pp = &self.axis_names.pp_axis_name;
        let data_parallel = self.axes.data_parallel();
        let pp_size = world_mesh.size(pp)?;
        let plan = plan_side_by_side(config, table.as_ref(), pp_size, &graph, data_parallel)?;
        let trained_from = plan.partition.trained_from().ok_or_else(|| Error::NothingToTrain {
            num_parameters: graph.modules().map(|module| module.parameters.len()).sum(),
        })?;
        check_dtype(config, &graph)?;
        let comm = along(pp, world_mesh, &*self.world)?;
        let split = |along: &Along| along.split(world_mesh, &*self.world);
        let each_microbatch = !self.args.defer_fsdp_grad_sync;
        let replicas = self.axes.replicate.as_ref().map(split).transpose()?;
        let replicas = replicas.map(|comm| Replicas { comm, each_microbatch });
        let sharded = self.axes.shard.as_ref().map(split).transpose()?;
        let sharded = sharded.map(|comm| Sharded { comm, each_microbatch });

        let num_stages = plan.partition.num_stages();
        let group = self.tensor_parallel();
        let context = |stage| PartContext {
            stage,
            num_stages,
            world_mesh,
            moe_mesh: moe_mesh.as_ref(),
            axis_names: &self.axis_names,
            tensor_parallel: group.as_ref(),
        };
        let mut stages = BTreeMap::new();
        let mut modules = Vec::new();
        let mut mine = plan.programs.train.placement().stages_of(Rank::new(comm.rank())).to_vec();
        mine.sort_unstable();
        for stage in mine {
            let index = stage.index();
            let names = plan.partition.stages()[index].modules();
            let part = match &group {
                Some(group) => model.build_stage_among(names, &self.device, group),
                None => model.build_stage(names, &self.device),
            };
            let part: Box<dyn StageModel> = part
                .and_then(|part| parallelize(part, &context(index)))
                .map_err(|source| Error::Stage { stage: index, source })?;
            modules.push(crate::summary::module_list(&graph, names));
            stages.insert(stage, part);
        }
        let parts = WorkerParts {
            programs: plan.programs.clone(),
            stages,
            routes: Some(plan.routes.clone()),
            ties: plan.ties.clone(),
            replicas,
            sharded,
            tensor_parallel: self.tensor_parallel.clone(),
            trained_from: Stage::new(trained_from),
            loss,
            scale_grads: config.scale_grads_in_schedule,
            guard: self.args.guard,
        };
        let mut worker = Worker::new(comm, parts)?;
        worker.set_seq_len(config.pp_seq_len);
        self.built = Some(Built { worker, plan, modules });
        Ok(self)
    }

    pub(crate) fn built(&self) -> Option<&Built> {
        self.built.as_ref()
    }

    pub(crate) fn ready(&mut self, method: &'static str) -> Result<&mut Built, Error> {
        self.built.as_mut().ok_or(Error::NotBuilt { method })
    }

    /// Trains on one batch: adds its gradients to those of the local parts' parameters.
    ///
    /// # Errors
    /// Before [`build`](Self::build), for a batch of another sequence length than `pp_seq_len`
    /// promises, or when an action fails here or on another rank.
    pub fn step(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        Ok(self.ready("step")?.worker.step(batch)?)
    }

    /// As [`step`](Self::step), and brings what else is asked for: the last stage's outputs, or when
    /// every action of every rank happened, in seconds, to be compared with what
    /// [`simulate`](crate::schedule::simulate) predicts. All ranks have to ask for the same.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn step_with(&mut self, batch: &Batch, options: StepOptions) -> Result<StepOutput, Error> {
        Ok(self.ready("step_with")?.worker.step_with(batch, options)?)
    }

    /// Computes the losses of one batch without touching gradients.
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval(&mut self, batch: &Batch) -> Result<StepOutput, Error> {
        Ok(self.ready("eval")?.worker.eval(batch)?)
    }

    /// As [`eval`](Self::eval), and brings what else is asked for, as
    /// [`step_with`](Self::step_with).
    ///
    /// # Errors
    /// As [`step`](Self::step).
    pub fn eval_with(&mut self, batch: &Batch, options: StepOptions) -> Result<StepOutput, Error> {
        Ok(self.ready("eval_with")?.worker.eval_with(batch, options)?)
    }

    /// Makes the pipeline usable again after a step that failed; all ranks of the world have to call
    /// it. What half a training step has left of gradients is cleared, and the result says so.
    ///
    /// # Errors
    /// Before [`build`](Self::build), if a rank has ended or does not come in time, or if the
    /// transport has no way back.
    pub fn recover(&mut self) -> Result<Recovered, Error> {
        let built = self.built.as_mut().ok_or(Error::NotBuilt { method: "recover" })?;
        Ok(built.worker.recover()?)
    }

    /// Announces the next batches' sequence length, dimension 1 of their first input, in place of
    /// `pp_seq_len`. Where that promises none, no batch is held to any length: shapes are computed
    /// in every step, there is nothing to prepare, and accumulated gradients stay as they are.
    ///
    /// # Errors
    /// Before [`build`](Self::build), as in the original.
    pub fn update_seq_len(&mut self, seq_len: usize) -> Result<(), Error> {
        let built = self.built.as_mut().ok_or(Error::NotBuilt { method: "update_seq_len" })?;
        let promised = built.worker.seq_len().map(|_| seq_len);
        built.worker.set_seq_len(promised);
        Ok(())
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

    /// Where this rank's stages are. A batch's token ids and labels may be on the host all the same;
    /// numbers that a model computes with belong here.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The configuration given to [`new`](Self::new).
    pub fn config(&self) -> &PipelineConfig {
        &self.args.config
    }

    /// The mesh given to [`new`](Self::new).
    pub fn mesh(&self) -> &DeviceMesh {
        &self.args.world_mesh
    }

    /// What the axes of the meshes are for, as given or inferred.
    pub fn axis_names(&self) -> &AxisNames {
        &self.axis_names
    }

    /// The pipeline of this rank, among those that train side by side.
    pub fn replica(&self) -> Replica {
        self.axes.replica()
    }

    /// How many pipelines train side by side, and of which kind.
    pub fn data_parallel(&self) -> DataParallel {
        self.axes.data_parallel()
    }

    /// Which set of parameters this rank's pipeline has, or has a share of, counted from 0.
    pub fn replicate_index(&self) -> usize {
        self.axes.replicate_index()
    }

    /// The ranks that each have a part of this one's matrices, if the mesh has an axis of them: what a
    /// loss of logits in parts sums by.
    pub fn tensor_parallel(&self) -> Option<Arc<dyn TensorParallelGroup>> {
        let group = self.tensor_parallel.as_ref()?;
        Some(Arc::<TensorParallel>::clone(group))
    }

    pub(crate) fn tensor_ranks(&self) -> Option<&TensorParallel> {
        self.tensor_parallel.as_deref()
    }

    /// This rank's number among those, which compute the same on the same batches.
    pub fn tensor_index(&self) -> usize {
        self.axes.tensor_index()
    }

    /// How many of those there are.
    pub fn tensor_size(&self) -> usize {
        self.axes.tensor_size()
    }

    /// The number of this rank's pipeline among those that share its set of parameters out.
    pub fn shard_index(&self) -> usize {
        self.axes.shard_index()
    }

    /// This rank's end of the whole world.
    pub fn world(&self) -> &dyn Communicator {
        &*self.world
    }
}

/// What can be planned but not run yet.
fn check_runnable(args: &PipelineArgs, num_pipelines: usize) -> Result<(), Error> {
    let mut unsupported = Vec::new();
    if !args.defer_fsdp_grad_sync && num_pipelines == 1 {
        let reason = "without data parallelism there are no gradients to sum over ranks";
        unsupported.push(Unsupported::new("defer_fsdp_grad_sync", false, reason));
    }
    if unsupported.is_empty() { Ok(()) } else { Err(Error::Unsupported(unsupported)) }
}

/// The dtype of a configuration is that of the tensors between the model's modules: it is the model
/// that computes in it. Tensors of integers may go beside them.
fn check_dtype(config: &PipelineConfig, graph: &ModuleGraph) -> Result<(), Error> {
    let Some(expected) = config.dtype else { return Ok(()) };
    for (from, to, tensors) in graph.edges() {
        for tensor in tensors {
            let dtype = match tensor.dtype {
                ElementType::F64 => DType::Float64,
                ElementType::F32 => DType::Float32,
                ElementType::F16 => DType::Float16,
                ElementType::Bf16 => DType::BFloat16,
                ElementType::I64 | ElementType::U32 | ElementType::U8 => continue,
            };
            if dtype != expected {
                let (from, to) = (from.name.clone(), to.name.clone());
                return Err(Error::DType { expected, dtype, from, to });
            }
        }
    }
    Ok(())
}
