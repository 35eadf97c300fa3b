//! What a recipe comes to: model, data, plan and run folder, checked before any rank starts.

use std::path::Path;

use autopipe::schedule::{Extent, Kind, Plan, generate};
use autopipe::splitter::{BatchShape, ModuleGraph};
use autopipe::{
    DeviceMesh, ParameterBytes, PipelineConfig, PipelinePlan, Shards, Split, Workload, plan, split,
};
use autopipe_config::{LrDecayStyle, Recipe};
use autopipe_models::AutoModel;
use candle_core::DType;

use super::from_recipe::{pipeline_config, read_schedule, split_of};
use super::model::{model_of, trained_dtype};
use crate::data::{Corpus, Loader, SourceSize, VOCAB_SIZE};
use crate::{Decay, Error, Event, LrSchedule, RunDir};

/// Everything that the ranks of a run share.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) config: PipelineConfig,
    pub(super) mesh: DeviceMesh,
    pub(super) model: AutoModel,
    pub(super) plan: PipelinePlan,
    pub(super) lr: LrSchedule,
    /// Where the ranks' loaders are cloned from: what is in the files is found once.
    pub(super) loader: Loader,
    /// Label tokens of an optimiser step: text has no padding, so all count.
    pub(super) tokens_per_step: usize,
    pub(super) run_dir: Option<RunDir>,
}

impl<'a> Job<'a> {
    /// Looks at everything that can be looked at, so that all problems are told at once.
    pub(super) fn prepare(recipe: &'a Recipe) -> Result<Self, Vec<Error>> {
        let mut problems: Vec<Error> = Vec::new();
        let dtype = found(&mut problems, trained_dtype(&recipe.model));
        problems.extend(super::refused::refused(recipe, dtype).map(Error::Recipe));
        let pp_size = recipe.distributed.pp_size;
        let config = pipeline_config(recipe);
        let mesh = found(&mut problems, mesh_of(pp_size));
        let model = dtype.and_then(|dtype| found(&mut problems, model_of(recipe, dtype)));
        if let Some(model) = &model {
            problems.extend(misfits(model, recipe));
        }
        let table = found(&mut problems, read_schedule(&config));
        let way = found(&mut problems, split_of(recipe));
        let decided = match (&model, &table, &way) {
            (Some(model), Some(table), Some(way)) => {
                let graph = model.as_model().graph();
                let workload = workload(&config, recipe.dataset.seq_len, model.dtype());
                let decided = decide(&config, table.as_ref(), pp_size, &graph, way, &workload);
                found(&mut problems, decided.map_err(Error::from))
            }
            _ => None,
        };
        let (config, plan) = match decided {
            Some((config, plan)) => (config, Some(plan)),
            None => (config, None),
        };
        let lr = found(&mut problems, learning_rate(recipe));
        let loader = found(&mut problems, open_data(recipe));
        let tokens_per_step = found(&mut problems, tokens_per_step(recipe));
        let run_dir = if problems.is_empty() {
            // Last, because it leaves a folder behind.
            let checkpoint = &recipe.checkpoint;
            let run_dir = checkpoint.enabled.then(|| RunDir::create(&checkpoint.checkpoint_dir));
            found(&mut problems, run_dir.transpose())
        } else {
            None
        };
        match (mesh, model, plan, lr, loader, tokens_per_step, run_dir) {
            (
                Some(mesh),
                Some(model),
                Some(plan),
                Some(lr),
                Some(loader),
                Some(tokens_per_step),
                Some(run_dir),
            ) => {
                Ok(Self { recipe, config, mesh, model, plan, lr, loader, tokens_per_step, run_dir })
            }
            _ => Err(problems),
        }
    }

    /// What the observer hears first.
    pub(super) fn planned(&self) -> Event {
        let (mut num_documents, mut num_empty, mut num_sequences) = (0, 0, 0);
        for size in self.loader.sizes() {
            match size {
                SourceSize::Tokens { num_files, num_empty: empty, num_rows } => {
                    num_documents += num_files;
                    num_empty += empty;
                    num_sequences += num_rows;
                }
                SourceSize::Samples { num_samples } => num_sequences += num_samples,
            }
        }
        Event::Planned {
            summary: super::summary::summary(self),
            num_documents,
            num_empty,
            num_sequences,
            num_steps: self.num_steps(),
        }
    }

    pub(super) fn pp_size(&self) -> usize {
        self.mesh.world_size()
    }

    pub(super) fn num_steps(&self) -> usize {
        self.recipe.step_scheduler.max_steps
    }

    /// Label tokens of the whole run.
    pub(super) fn num_tokens(&self) -> usize {
        self.tokens_per_step.saturating_mul(self.num_steps())
    }
}

/// The plan, and the configuration by which every rank comes to the same.
pub(crate) fn decide(
    config: &PipelineConfig,
    table: Option<&Plan>,
    pp_size: usize,
    graph: &ModuleGraph,
    way: &Split,
    workload: &Workload,
) -> Result<(PipelineConfig, PipelinePlan), autopipe::Error> {
    let config = split(config, table, pp_size, graph, way, workload)?;
    let plan = plan(&config, table, pp_size, graph)?;
    Ok((config, plan))
}

/// What goes through the pipeline: weights of this type, trained with AdamW.
pub(crate) fn workload(config: &PipelineConfig, seq_len: usize, dtype: DType) -> Workload {
    Workload {
        microbatch: BatchShape { batch_size: config.pp_microbatch_size, seq_len },
        parameter_bytes: ParameterBytes::adamw(dtype.size_in_bytes()),
        shards: Shards::NONE,
        speed: None,
        memory_limit: None,
    }
}

/// The value, or its problem with the others.
pub(crate) fn found<T>(problems: &mut Vec<Error>, result: Result<T, Error>) -> Option<T> {
    result.map_err(|problem| problems.push(problem)).ok()
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

fn tokens_per_step(recipe: &Recipe) -> Result<usize, Error> {
    let global_batch_size = recipe.step_scheduler.global_batch_size;
    let seq_len = recipe.dataset.seq_len;
    let too_large = Error::StepTooLarge { global_batch_size, seq_len };
    global_batch_size.checked_mul(seq_len).ok_or(too_large)
}

fn open_data(recipe: &Recipe) -> Result<Loader, Error> {
    let paths: Vec<&String> = recipe.dataset.sources.iter().flat_map(|s| &s.paths).collect();
    let corpus = Corpus::open(&paths, Path::new("."))?;
    Loader::new(corpus, recipe.dataset.seq_len, recipe.rng.seed)
}

/// What of the recipe the model cannot do.
fn misfits(model: &AutoModel, recipe: &Recipe) -> Vec<Error> {
    let mut problems = Vec::new();
    let (vocab_size, needed) = (model.vocab_size(), VOCAB_SIZE);
    if vocab_size < needed {
        problems.push(Error::Vocabulary { vocab_size, needed });
    }
    let (seq_len, max) = (recipe.dataset.seq_len, model.max_position_embeddings());
    if seq_len > max {
        problems.push(Error::SequenceTooLong { seq_len, max });
    }
    problems
}

/// The way down of `wsd` is this part of all steps, unless the recipe says more.
const WSD_PART: usize = 10;

fn learning_rate(recipe: &Recipe) -> Result<LrSchedule, Error> {
    let scheduler = &recipe.lr_scheduler;
    let min_lr = scheduler.min_lr;
    let num_steps = scheduler.lr_decay_steps.unwrap_or(recipe.step_scheduler.max_steps);
    let decay = match scheduler.lr_decay_style {
        LrDecayStyle::Constant => Decay::Constant,
        LrDecayStyle::Linear => Decay::Linear { min_lr },
        LrDecayStyle::Cosine => Decay::Cosine { min_lr },
        LrDecayStyle::Wsd => Decay::Wsd {
            min_lr,
            num_decay_steps: scheduler.wsd_decay_steps.unwrap_or(num_steps / WSD_PART),
            style: scheduler.lr_wsd_decay_style,
        },
    };
    LrSchedule::new(recipe.optimizer.lr, decay, scheduler.lr_warmup_steps, num_steps)?
        .with_init_lr(scheduler.init_lr)
}
