//! What a recipe comes to: model, data, plan and run folder, checked before any rank starts.

use std::sync::{Arc, Mutex, PoisonError};

use autopipe::schedule::{Extent, Kind, Plan, generate};
use autopipe::splitter::{BatchShape, ModuleGraph};
use autopipe::{
    Axis, DataParallel, DeviceMesh, MeshSizes, ParameterBytes, PipelineConfig, PipelinePlan,
    Replica, Shards, Split, Workload, plan_side_by_side,
};
use autopipe_config::{LrDecayStyle, Recipe};
use autopipe_models::AutoModel;

use super::data::{described, training_data, validation_data};
use super::data_order::{data_order, same_data, same_order};
use super::from_recipe::{data_parallel, num_ranks, pipeline_config, read_schedule, split_of};
use super::gpus::nccl_takes;
use super::model::{model_of, trained_dtype};
use super::optimizer::{idle_groups, parameter_bytes};
use super::options::TrainOptions;
use super::resume::{Origin, Restored, origin, restored_model};
use super::space::checkpoint_bytes;
use crate::data::{Evaluation, Loader, Reader, WindowShape, feed};
use crate::device::no_gpu;
use crate::state::TrainingState;
use crate::{Decay, Error, Event, LrSchedule, RunDir};

/// Everything that the ranks of a run share.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) options: &'a TrainOptions,
    /// Whether the ranks of this machine compute on GPUs, of which each opens its own.
    pub(super) is_on_gpu: bool,
    pub(super) config: PipelineConfig,
    pub(super) mesh: DeviceMesh,
    /// Those who write a checkpoint while training goes on have it as well.
    pub(super) model: Arc<AutoModel>,
    pub(super) plan: PipelinePlan,
    /// What predictions are made of.
    pub(super) workload: Workload,
    pub(super) lr: LrSchedule,
    /// Where the run begins in the data.
    pub(super) loader: Loader,
    /// Where the ranks' evaluations are cloned from.
    pub(super) evaluation: Option<Evaluation>,
    /// Where the run begins.
    pub(super) state: TrainingState,
    pub(super) restored: Option<Restored>,
    /// Once it is opened.
    pub(super) run_dir: Option<RunDir>,
    /// Whether there is a run already, which goes on.
    pub(super) is_same_run: bool,
    /// Of each checkpoint, about.
    pub(super) checkpoint_bytes: u64,
    /// What is read ahead for each rank, until it takes it.
    readers: Mutex<Vec<Option<Reader>>>,
}

impl<'a> Job<'a> {
    /// Looks at everything that can be looked at, so that all problems are told at once, and leaves
    /// nothing behind. Data are read for the ranks that are `here`.
    pub(super) fn prepare(
        recipe: &'a Recipe,
        options: &'a TrainOptions,
        here: Here,
    ) -> Result<Self, Vec<Error>> {
        let mut problems: Vec<Error> = Vec::new();
        let dtype = found(&mut problems, trained_dtype(&recipe.model));
        problems.extend(super::refused::refused(recipe, dtype).map(Error::Recipe));
        // Before anything is read: a rank without its GPU has nothing to do.
        let is_on_gpu = found(&mut problems, options.device.has_gpus());
        if options.nccl && is_on_gpu == Some(false) {
            problems.push(no_gpu());
        }
        if let (Here::All, true, Some(true)) = (here, options.nccl, is_on_gpu) {
            found(&mut problems, nccl_takes(num_ranks(recipe), options));
        }
        let pp_size = recipe.distributed.pp_size;
        let data_parallel = data_parallel(recipe);
        let config = pipeline_config(recipe);
        let tp_size = recipe.distributed.tp_size;
        let mesh = found(&mut problems, mesh_with(recipe));
        let origin = found(&mut problems, origin(recipe, options));
        let is_same_run = origin.as_ref().is_some_and(|origin| origin.is_same_run);
        let restored = origin.as_ref().and_then(|origin| origin.restored.as_ref());
        let model = dtype.and_then(|dtype| {
            let model = match restored {
                Some(restored) => restored_model(recipe, restored, dtype),
                None => model_of(recipe, dtype),
            };
            found(&mut problems, model)
        });
        if let Some(model) = &model {
            problems.extend(misfits(model, recipe));
            problems.extend(idle_groups(recipe, &model.as_model().graph()).err());
            problems.extend(model.check_tensor_parallel(tp_size).err().map(Error::from));
        }
        let table = found(&mut problems, read_schedule(&config));
        let way = found(&mut problems, split_of(recipe));
        let bytes = dtype.and_then(|dtype| found(&mut problems, parameter_bytes(recipe, dtype)));
        let decided = match (&model, &table, &way, bytes) {
            (Some(model), Some(table), Some(way), Some(bytes)) => {
                let graph = model.as_model().graph();
                let defers = recipe.distributed.defer_fsdp_grad_sync;
                let shards = data_parallel.shards(defers).among_tensor_parallel(tp_size);
                let workload =
                    Workload { shards, ..workload(&config, recipe.dataset.seq_len, bytes) };
                let sizes = (pp_size, data_parallel);
                let decided = decide(&config, table.as_ref(), sizes, &graph, way, &workload);
                let decided = found(&mut problems, decided.map_err(Error::from));
                let bytes = checkpoint_bytes(recipe, &graph, bytes);
                decided.map(|(config, plan)| (config, plan, workload, bytes))
            }
            _ => None,
        };
        let lr = found(&mut problems, learning_rate(recipe));
        let training = found(&mut problems, training_data(recipe, model.as_ref()));
        let validation = found(&mut problems, validation_data(recipe, model.as_ref()));
        let data = training.zip(validation);
        let done = restored.map_or(0, |restored| restored.state.step);
        problems.extend(untraceable(recipe, options, done));
        let begun = data.and_then(|(mut loader, evaluation)| {
            let mut state = match restored {
                Some(restored) => {
                    let mut state = restored.state.clone();
                    // Another run's best is none of this one.
                    state.best = state.best.filter(|_| is_same_run);
                    state
                }
                None => {
                    let name = recipe.optimizer.name.as_str();
                    TrainingState::beginning(name, loader.position())
                }
            };
            let lens = loader.epoch_lens();
            found(&mut problems, same_data(&state.epoch_lens, &lens))?;
            let order = data_order(recipe, loader.arrange());
            found(&mut problems, same_order(&state.data_order, &order))?;
            state.data_order = order;
            state.epoch_lens = lens;
            found(&mut problems, loader.seek(&state.position))?;
            // Of a run that will not be nothing is read, however many ranks it asks for.
            let mesh = mesh.as_ref().filter(|_| problems.is_empty())?;
            let readers = found(&mut problems, readers(recipe, &loader, mesh, here))?;
            Some((loader, evaluation, state, readers))
        });
        let is_whole = problems.is_empty();
        match (mesh, model, decided, lr, begun, origin) {
            (
                Some(mesh),
                Some(model),
                Some((config, plan, workload, checkpoint_bytes)),
                Some(lr),
                Some((loader, evaluation, state, readers)),
                Some(Origin { restored, is_same_run }),
            ) if is_whole => Ok(Self {
                recipe,
                options,
                is_on_gpu: is_on_gpu.unwrap_or(false),
                config,
                mesh,
                model: Arc::new(model),
                plan,
                workload,
                lr,
                loader,
                evaluation,
                state,
                restored,
                run_dir: None,
                is_same_run,
                checkpoint_bytes,
                readers: Mutex::new(readers),
            }),
            _ => Err(problems),
        }
    }

    /// What the observer hears first.
    pub(super) fn planned(&self) -> Event {
        let summary = super::summary::summary(self);
        let on = if self.is_on_gpu { "Ranks of this machine on its GPUs\n" } else { "" };
        let summary = format!("{summary}\n{on}Data {}", described(&self.loader));
        Event::Planned { summary, num_steps: self.num_steps() }
    }

    /// What the observer hears of a run that goes on.
    pub(super) fn resumed(&self) -> Option<Event> {
        let Restored { folder, state, .. } = self.restored.as_ref()?;
        Some(Event::Resumed { step: state.step, path: folder.clone() })
    }

    pub(super) fn num_ranks(&self) -> usize {
        self.mesh.world_size()
    }

    pub(super) fn num_steps(&self) -> usize {
        self.recipe.step_scheduler.max_steps
    }

    /// What a pipeline's ranks evaluate on: its part of the rows.
    pub(super) fn evaluation_of(&self, replica: Replica) -> Result<Option<Evaluation>, Error> {
        let Replica { index, count } = replica;
        let part = |evaluation: &Evaluation| evaluation.clone().with_shard(index, count);
        self.evaluation.as_ref().map(part).transpose()
    }

    /// What is read ahead for a rank of the world, which takes it once.
    pub(super) fn windows_of(&self, rank: usize) -> Result<Reader, Error> {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.get_mut(rank).and_then(Option::take).ok_or(Error::Zero { name: "num_readers" })
    }

    /// What all ranks together could compute at best, in operations per second.
    pub(super) fn peak_flops(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "there are few ranks")]
        let num_ranks = self.num_ranks() as f64;
        self.recipe.metrics.peak_tflops.map(|peak| peak * 1e12 * num_ranks)
    }
}

/// Which ranks are in this process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Here {
    /// All of them, as threads.
    All,
    /// One, which is the process.
    Rank(usize),
}

/// By rank of the world, what is read ahead for those that are here: by one thread for each pipeline.
fn readers(
    recipe: &Recipe,
    loader: &Loader,
    mesh: &DeviceMesh,
    here: Here,
) -> Result<Vec<Option<Reader>>, Error> {
    let scheduler = &recipe.step_scheduler;
    let num_replicas = data_parallel(recipe).num_pipelines();
    let num_batches = scheduler.num_accumulation_steps(num_replicas)?;
    let shape = WindowShape { batch_size: scheduler.local_batch_size, num_batches };
    let mut by_rank: Vec<Option<Reader>> = (0..mesh.world_size()).map(|_| None).collect();
    let is_here = |rank: usize| match here {
        Here::All => true,
        Here::Rank(here) => rank == here,
    };
    let replicas = mesh.ranks().map(|rank| mesh.index(&Axis::DP, rank));
    let replicas: Vec<usize> = replicas.collect::<Result<_, _>>().map_err(autopipe::Error::from)?;
    for replica in 0..num_replicas {
        let ranks = by_rank.iter_mut().enumerate();
        let places: Vec<_> =
            ranks.filter(|&(rank, _)| replicas[rank] == replica && is_here(rank)).collect();
        if places.is_empty() {
            continue;
        }
        let part = loader.clone().with_shard(replica, num_replicas)?;
        let readers = feed(part, shape, places.len(), recipe.dataset.prefetch)?;
        for ((_, place), reader) in places.into_iter().zip(readers) {
            *place = Some(reader);
        }
    }
    Ok(by_rank)
}

/// Why a trace that is asked for would not be written.
fn untraceable(recipe: &Recipe, options: &TrainOptions, done: usize) -> Option<Error> {
    let step = options.trace_step?;
    let reason = if !recipe.checkpoint.enabled {
        "the run has no folder; set `checkpoint.enabled`"
    } else if step == 0 || step > recipe.step_scheduler.max_steps {
        "steps are counted from 1 to `step_scheduler.max_steps`"
    } else if step <= done {
        "the run has taken it already; name a later one"
    } else {
        return None;
    };
    Some(Error::Trace { step, reason })
}

/// The plan of as many pipelines of as many ranks, and the configuration by which every rank comes to the
/// same.
pub(crate) fn decide(
    config: &PipelineConfig,
    table: Option<&Plan>,
    (pp_size, data_parallel): (usize, DataParallel),
    graph: &ModuleGraph,
    way: &Split,
    workload: &Workload,
) -> Result<(PipelineConfig, PipelinePlan), autopipe::Error> {
    let config = autopipe::split(config, table, pp_size, graph, way, workload)?;
    let plan = plan_side_by_side(&config, table, pp_size, graph, data_parallel)?;
    Ok((config, plan))
}

/// What goes through the pipeline, and what it takes to train its parameters.
pub(crate) fn workload(
    config: &PipelineConfig,
    seq_len: usize,
    parameter_bytes: ParameterBytes,
) -> Workload {
    Workload {
        microbatch: BatchShape { batch_size: config.pp_microbatch_size, seq_len },
        parameter_bytes,
        shards: Shards::NONE,
        speed: None,
        memory_limit: None,
    }
}

/// The value, or its problem with the others.
pub(crate) fn found<T>(problems: &mut Vec<Error>, result: Result<T, Error>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// The mesh of all ranks of a run.
fn mesh_with(recipe: &Recipe) -> Result<DeviceMesh, Error> {
    let DataParallel { replicate, .. } = data_parallel(recipe);
    let distributed = &recipe.distributed;
    let sizes = MeshSizes {
        pp: distributed.pp_size,
        dp_replicate: replicate,
        tp: distributed.tp_size,
        ..MeshSizes::default()
    };
    Ok(DeviceMesh::for_training(num_ranks(recipe), &sizes).map_err(autopipe::Error::from)?)
}

/// The mesh of a pipeline and nothing else.
pub(crate) fn mesh_of(pp_size: usize) -> Result<DeviceMesh, Error> {
    Ok(DeviceMesh::new([("pp", pp_size)]).map_err(autopipe::Error::from)?)
}

/// A way to split that is asked for where there is one stage.
pub(crate) fn split_of_one(table: Option<&Plan>, split: &Split) -> Option<Error> {
    let is_one = table.is_some_and(|table| table.num_stages() == 1);
    let has_no_effect = is_one && *split != Split::default();
    has_no_effect.then(|| Error::SplitOfOne { split: split.clone() })
}

/// What each rank computes, by a schedule of a name; `None` stages on each are its usual number.
pub(crate) fn table_of(
    kind: Kind,
    num_ranks: usize,
    stages_per_rank: Option<usize>,
    num_microbatches: usize,
) -> Result<Plan, Error> {
    let usual = || kind.stages_per_rank().usual();
    let stages_per_rank = stages_per_rank.unwrap_or_else(usual);
    let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
    Ok(generate(kind, &extent).map_err(autopipe::Error::from)?)
}

/// What of the recipe the model cannot do.
fn misfits(model: &AutoModel, recipe: &Recipe) -> Vec<Error> {
    let mut problems = Vec::new();
    let max = model.max_position_embeddings();
    let lengths = [Some(&recipe.dataset), recipe.validation_dataset.as_ref()];
    for seq_len in lengths.into_iter().flatten().map(|dataset| dataset.seq_len) {
        if seq_len > max {
            problems.push(Error::SequenceTooLong { seq_len, max });
        }
    }
    problems
}

/// The way down of `wsd` is this part of all steps, unless the recipe says more.
const WSD_PART: usize = 10;

fn learning_rate(recipe: &Recipe) -> Result<LrSchedule, Error> {
    let scheduler = &recipe.lr_scheduler;
    let min_lr = scheduler.min_lr;
    if recipe.step_scheduler.max_steps == 0 {
        // Nothing is trained, so that nobody asks for a rate.
        return LrSchedule::new(1.0, Decay::Constant, 0, 1);
    }
    let num_steps = scheduler.lr_decay_steps.unwrap_or(recipe.step_scheduler.max_steps);
    let after_warmup = num_steps.saturating_sub(scheduler.lr_warmup_steps);
    let of_usual_length = (num_steps / WSD_PART).max(1).min(after_warmup);
    let decay = match scheduler.lr_decay_style {
        LrDecayStyle::Constant => Decay::Constant,
        LrDecayStyle::Linear => Decay::Linear { min_lr },
        LrDecayStyle::Cosine => Decay::Cosine { min_lr },
        LrDecayStyle::Wsd => Decay::Wsd {
            min_lr,
            num_decay_steps: scheduler.wsd_decay_steps.unwrap_or(of_usual_length),
            style: scheduler.lr_wsd_decay_style,
        },
    };
    LrSchedule::new(recipe.optimizer.lr, decay, scheduler.lr_warmup_steps, num_steps)?
        .with_init_lr(scheduler.init_lr)
}
