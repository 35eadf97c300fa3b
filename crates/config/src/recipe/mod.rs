//! The recipe of a training run: one type per section of the file, and the reading of the whole.

mod checkpoint;
mod dataset;
mod distributed;
mod lr_scheduler;
mod model;
mod optimizer;
mod pipeline;
mod rng;
mod step_scheduler;
#[cfg(test)]
mod tests;

pub use checkpoint::Checkpoint;
pub use dataset::{Dataset, Tokenizer};
pub use distributed::Distributed;
pub use lr_scheduler::{LrDecayStyle, LrScheduler};
pub use model::ModelSource;
pub use optimizer::{ClipGradNorm, Optimizer, OptimizerName};
pub use rng::Rng;
pub use step_scheduler::StepScheduler;

use crate::{
    LossName, Problem, RecipeErrors,
    document::parse,
    section::{Problems, Reported, Section, choice},
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
    pub model: ModelSource,
    /// What it reads.
    pub dataset: Dataset,
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
    /// What is probably not meant as written, although it can be run.
    pub warnings: Vec<Problem>,
}

impl Recipe {
    /// Reads a recipe from YAML or JSON. `file` is how messages name it; nothing is opened.
    ///
    /// # Errors
    /// Everything that is wrong, each with its line, column and key. Only a text that is not YAML
    /// at all, or gives a key twice, has that as its one problem.
    pub fn parse(text: &str, file: &str) -> Result<Recipe, RecipeErrors> {
        let problems = Problems::new(file, text);
        let recipe = read(text, &problems);
        let (recipe, warnings) = problems.finish(recipe)?;
        Ok(Recipe { warnings, ..recipe })
    }
}

/// Reads every section before it gives up, so that one reading finds all problems.
fn read(text: &str, problems: &Problems<'_>) -> Result<Recipe, Reported> {
    let document = parse(text, problems)?;
    let mut root = Section::root(&document, problems)?;

    // A section is given what it has to agree with; hence the order.
    let steps = root.required_section("step_scheduler").and_then(StepScheduler::read);
    let rng = root.section("rng").and_then(Rng::read);
    let loss_fn = root.or("loss_fn", LossName::MaskedCrossEntropy, choice);
    let distributed = root.section("distributed").and_then(|section| {
        let loss_fn = loss_fn.unwrap_or(LossName::MaskedCrossEntropy);
        Distributed::read(section, steps.as_ref().ok(), loss_fn)
    });
    let model = root.required_section("model").and_then(ModelSource::read);
    let dataset = root.required_section("dataset").and_then(Dataset::read);
    let optimizer = root.required_section("optimizer").and_then(Optimizer::read);
    let lr_scheduler = root.section("lr_scheduler").and_then(|section| {
        LrScheduler::read(section, steps.as_ref().ok(), optimizer.as_ref().ok())
    });
    let clip_grad_norm = root.section("clip_grad_norm").and_then(ClipGradNorm::read);
    let checkpoint = root
        .section("checkpoint")
        .and_then(|section| Checkpoint::read(section, steps.as_ref().ok()));
    root.finish();

    Ok(Recipe {
        step_scheduler: steps?,
        rng: rng?,
        distributed: distributed?,
        model: model?,
        dataset: dataset?,
        optimizer: optimizer?,
        lr_scheduler: lr_scheduler?,
        clip_grad_norm: clip_grad_norm?,
        loss_fn: loss_fn?,
        checkpoint: checkpoint?,
        warnings: Vec::new(),
    })
}
