//! The recipe of a training run: one type per section of the file, and the reading of the whole.

mod activation_checkpointing;
mod agree;
mod checkpoint;
mod clip_grad_norm;
mod dataset;
mod distributed;
mod loss;
mod lr_scheduler;
mod metrics;
mod model;
mod mp_policy;
mod optimizer;
mod other;
mod peft;
mod rng;
mod source;
mod step_scheduler;
#[cfg(test)]
mod tests;

pub use activation_checkpointing::ActivationCheckpointing;
pub use checkpoint::Checkpoint;
pub use clip_grad_norm::{ClipGradNorm, NormType};
pub use dataset::{Arrange, Dataset, Learn, OnError, Tokenizer, TooLong};
pub use distributed::{Distributed, Strategy};
pub use lr_scheduler::{LrDecayStyle, LrScheduler, WsdDecayStyle};
pub use metrics::Metrics;
pub use model::{Model, ModelSource};
pub use mp_policy::MpPolicy;
pub use optimizer::{OnNonFinite, Optimizer, OptimizerName, ParamGroup};
pub use peft::{Adapters, Peft};
pub use rng::Rng;
pub use source::{DataFormat, Source, TokenDtype};
pub use step_scheduler::{StepScheduler, UnevenBatch};

use self::{agree::Sections, dataset::Role};
use crate::{
    LossName, Problem, RecipeErrors,
    document::{OVERRIDE, Written, parse},
    report::Texts,
    section::{MaySection, Problems, Reported, Section},
};

/// The recipe of a training run, read and checked.
///
/// The sections and keys have NeMo AutoModel's names. Paths are as written: what they are relative
/// to is up to the caller.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Recipe {
    /// How many samples a step takes, and how many steps there are.
    pub step_scheduler: StepScheduler,
    /// Where randomness begins.
    pub rng: Rng,
    /// How many ranks there are of each kind, and the pipeline.
    pub distributed: Distributed,
    /// Which model is trained, and from which weights.
    pub model: Model,
    /// The adapters that are trained in its place, if any.
    pub peft: Option<Peft>,
    /// What it reads.
    pub dataset: Dataset,
    /// What it is evaluated on, if anything.
    pub validation_dataset: Option<Dataset>,
    /// How gradients change the weights.
    pub optimizer: Optimizer,
    /// How the learning rate changes.
    pub lr_scheduler: LrScheduler,
    /// How large gradients may be.
    pub clip_grad_norm: ClipGradNorm,
    /// What is minimised.
    pub loss_fn: LossName,
    /// Where and whether the state is saved.
    pub checkpoint: Checkpoint,
    /// What is measured, and where it is written.
    pub metrics: Metrics,
    /// What is probably not meant as written, although it can be run.
    pub warnings: Vec<Problem>,
    written: Written,
}

impl Recipe {
    /// Reads a recipe from YAML or JSON. `file` is how messages name it; nothing is opened.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, column and key. Only a text that is not YAML
    /// at all has that as its one problem.
    pub fn parse(text: &str, file: &str) -> Result<Recipe, RecipeErrors> {
        Recipe::parse_with(text, file, &[] as &[&str])
    }

    /// Reads a recipe of which some values are set from outside. An override is
    /// `section.key=value`, the value in YAML; it takes the place of what the text says, and of two
    /// for one key the later counts. A section on the way is made if it is missing.
    ///
    /// ```
    /// # let text = "
    /// # step_scheduler: { global_batch_size: 8, local_batch_size: 8, max_steps: 3 }
    /// # model: { pretrained_model_name_or_path: models/tiny }
    /// # dataset: { paths: [a.txt], seq_len: 32 }
    /// # optimizer: { lr: 1e-3 }
    /// # ";
    /// use autopipe_config::Recipe;
    ///
    /// let overrides = ["distributed.pp_size=4", "distributed.pipeline={pp_schedule: gpipe}"];
    /// let recipe = Recipe::parse_with(text, "recipe.yaml", &overrides)?;
    /// assert_eq!(recipe.distributed.pp_size, 4);
    ///
    /// let errors = Recipe::parse_with(text, "recipe.yaml", &["rng.seed=-1"]).unwrap_err();
    /// assert!(errors.to_string().starts_with("--set:1:10: rng.seed: -1 is negative"));
    /// # Ok::<(), autopipe_config::RecipeErrors>(())
    /// ```
    ///
    /// # Errors
    /// Everything that is wrong with the text and the overrides, together.
    pub fn parse_with(
        text: &str,
        file: &str,
        overrides: &[impl AsRef<str>],
    ) -> Result<Recipe, RecipeErrors> {
        let overrides = overrides.iter().map(|text| (OVERRIDE.into(), text.as_ref().into()));
        let texts = Texts::new([(file.into(), text.into())].into_iter().chain(overrides));
        let problems = Problems::new(texts);
        let document = parse(&problems);
        let recipe = document.and_then(|root| {
            let recipe = Section::read_root(&root, &problems, read)?;
            Ok((recipe, root))
        });
        let ((recipe, root), warnings, texts) = problems.finish(recipe)?;
        Ok(Recipe { warnings, written: Written { texts, root }, ..recipe })
    }

    /// A problem of a key, such as `distributed.tp_size` or `dataset.paths[0]`, that somebody else has
    /// found: it is shown where the key is written, or else the nearest section around it.
    ///
    /// ```
    /// # let text = "
    /// # step_scheduler: { global_batch_size: 8, local_batch_size: 8, max_steps: 3 }
    /// # model: { pretrained_model_name_or_path: models/tiny }
    /// # dataset: { paths: [a.txt], seq_len: 32 }
    /// # optimizer: { lr: 1e-3 }
    /// # ";
    /// use autopipe_config::{Recipe, RecipeErrors};
    ///
    /// let recipe = Recipe::parse(text, "recipe.yaml")?;
    /// let problem = recipe.problem("dataset.paths[0]", "no such file", None);
    /// let errors = RecipeErrors::from(problem);
    /// assert!(errors.to_string().starts_with("recipe.yaml:4:20: dataset.paths[0]: no such file"));
    /// # Ok::<(), RecipeErrors>(())
    /// ```
    #[must_use]
    pub fn problem(&self, key: &str, message: impl Into<String>, help: Option<&str>) -> Problem {
        self.written.problem(key, message.into(), help.map(Into::into))
    }
}

/// Reads every section before it gives up, so that one reading finds all problems.
pub(crate) fn read(root: &mut Section<'_>) -> Result<Recipe, Reported> {
    let steps = root.required("step_scheduler", "", step_scheduler::Draft::read);
    let rng = rng::read(root);
    let mut distributed = root.within("distributed", "", distributed::Draft::read);
    let model_doc = "Which model is trained, and from which weights.";
    let model = root.required("model", model_doc, Model::read);
    let peft = root.within("peft", "", Peft::read);
    let dataset = root.required("dataset", "", |s| dataset::read(s, Role::Training));
    let dataset = dataset.flatten();
    let validation = Role::Validation(dataset.as_ref().ok());
    let validation = MaySection(|section: &mut Section<'_>| dataset::read(section, validation));
    let validation_dataset = root.field("validation_dataset", "", validation);
    let optimizer = root.within("optimizer", "", optimizer::Draft::read);
    let lr_scheduler = root.within("lr_scheduler", "", lr_scheduler::Draft::read);
    let clip_grad_norm = root.within("clip_grad_norm", "", clip_grad_norm::Draft::read);
    let loss_fn = loss::read(root);
    let checkpoint = root.within("checkpoint", "", checkpoint::Draft::read);
    let metrics = root.within("metrics", "", metrics::Draft::read);
    other::read(root);

    let sections = Sections {
        root,
        steps: steps.as_ref().ok(),
        dataset: dataset.as_ref().ok(),
        optimizer: optimizer.as_ref().ok(),
        loss_fn: loss_fn.ok(),
        has_validation: validation_dataset.as_ref().ok().map(Option::is_some),
        merges: matches!(&peft, Ok(Ok(Some(peft))) if peft.merge),
    };
    sections.check_steps(distributed.as_ref().ok());
    sections.check_purpose();
    if let Ok(distributed) = &mut distributed {
        sections.settle_pipeline(distributed);
    }
    if let Ok(lr_scheduler) = &lr_scheduler {
        sections.check_lr(lr_scheduler);
    }
    if let Ok(checkpoint) = &checkpoint {
        sections.check_checkpoint(checkpoint.enabled);
    }

    Ok(Recipe {
        step_scheduler: steps?.settle()?,
        rng: rng?,
        distributed: distributed?.settle()?,
        model: model??,
        peft: peft??,
        dataset: dataset?,
        validation_dataset: validation_dataset?,
        optimizer: optimizer?.settle()?,
        lr_scheduler: lr_scheduler?.settle()?,
        clip_grad_norm: clip_grad_norm?.settle()?,
        loss_fn: loss_fn?,
        checkpoint: checkpoint?.settle()?,
        metrics: metrics?.settle()?,
        warnings: Vec::new(),
        written: Written::default(),
    })
}
