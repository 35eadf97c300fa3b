//! What a recipe comes to: model, data, plan and run folder, checked before any rank starts.

use std::path::Path;

use autopipe::schedule::csv;
use autopipe::{DeviceMesh, PipelineConfig, PipelinePlan, plan};
use autopipe_config::{LrDecayStyle, ModelSource, Recipe};
use autopipe_models::{AutoModel, from_config, load_folder};

use crate::data::{Corpus, Loader, VOCAB_SIZE};
use crate::{Decay, Error, Event, LrSchedule, RunDir};

/// Everything that the ranks of a run share. Each opens the data for itself.
pub(super) struct Job<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) config: PipelineConfig,
    pub(super) mesh: DeviceMesh,
    pub(super) model: AutoModel,
    pub(super) plan: PipelinePlan,
    pub(super) lr: LrSchedule,
    pub(super) run_dir: Option<RunDir>,
    num_documents: usize,
    num_sequences: u64,
}

impl<'a> Job<'a> {
    pub(super) fn prepare(recipe: &'a Recipe) -> Result<Self, Error> {
        let pp_size = recipe.distributed.pp_size;
        let mesh = DeviceMesh::new([("pp", pp_size)]).map_err(autopipe::Error::from)?;
        let config = pipeline_config(recipe);
        let model = match &recipe.model {
            ModelSource::Pretrained { folder } => load_folder(Path::new(folder))?,
            ModelSource::Scratch { config } => from_config(config, recipe.rng.seed)?,
        };
        check_fits(&model, recipe)?;
        let table = match &config.pp_schedule_csv {
            None => None,
            Some(path) => {
                let file = std::fs::File::open(path)
                    .map_err(|source| Error::ReadSchedule { path: path.into(), source })?;
                Some(
                    csv::read_plan(file)
                        .map_err(|source| Error::Schedule { path: path.into(), source })?,
                )
            }
        };
        let plan = plan(&config, table.as_ref(), pp_size, &model.as_model().graph())?;
        let lr = learning_rate(recipe)?;
        let loader = open_data(recipe)?;
        // Last, because it leaves a folder behind.
        let checkpoint = &recipe.checkpoint;
        let run_dir =
            checkpoint.enabled.then(|| RunDir::create(&checkpoint.checkpoint_dir)).transpose()?;
        Ok(Self {
            recipe,
            config,
            mesh,
            model,
            plan,
            lr,
            run_dir,
            num_documents: loader.corpus().documents().len(),
            num_sequences: loader.num_sequences(),
        })
    }

    /// What the observer hears first.
    pub(super) fn planned(&self) -> Event {
        Event::Planned {
            summary: super::summary::summary(self),
            num_documents: self.num_documents,
            num_sequences: self.num_sequences,
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
        let per_step = self.recipe.step_scheduler.global_batch_size * self.recipe.dataset.seq_len;
        per_step.saturating_mul(self.num_steps())
    }
}

/// The recipe's pipeline; without one, the whole batch goes through a pipeline of one stage.
fn pipeline_config(recipe: &Recipe) -> PipelineConfig {
    let batch_size = recipe.step_scheduler.local_batch_size;
    recipe.distributed.pipeline.clone().unwrap_or_else(|| PipelineConfig {
        pp_microbatch_size: batch_size,
        pp_batch_size: batch_size,
        loss_fn: Some(recipe.loss_fn),
        ..PipelineConfig::default()
    })
}

/// A rank's own way through the data: the same on each.
pub(super) fn open_data(recipe: &Recipe) -> Result<Loader, Error> {
    let corpus = Corpus::open(&recipe.dataset.paths, Path::new("."))?;
    Loader::new(corpus, recipe.dataset.seq_len, recipe.rng.seed)
}

fn check_fits(model: &AutoModel, recipe: &Recipe) -> Result<(), Error> {
    if model.vocab_size() < VOCAB_SIZE {
        return Err(Error::Vocabulary { vocab_size: model.vocab_size(), needed: VOCAB_SIZE });
    }
    let (seq_len, max) = (recipe.dataset.seq_len, model.max_position_embeddings());
    if seq_len > max {
        return Err(Error::SequenceTooLong { seq_len, max });
    }
    Ok(())
}

fn learning_rate(recipe: &Recipe) -> Result<LrSchedule, Error> {
    let scheduler = &recipe.lr_scheduler;
    let min_lr = scheduler.min_lr;
    let decay = match scheduler.lr_decay_style {
        LrDecayStyle::Constant => Decay::Constant,
        LrDecayStyle::Linear => Decay::Linear { min_lr },
        LrDecayStyle::Cosine => Decay::Cosine { min_lr },
    };
    LrSchedule::new(
        recipe.optimizer.lr,
        decay,
        scheduler.lr_warmup_steps,
        recipe.step_scheduler.max_steps,
    )
}
