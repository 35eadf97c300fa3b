//! The data of a recipe, in the terms of the loaders.

use std::path::Path;
use std::sync::Arc;

use autopipe_config::{Dataset, ModelSource, Recipe};
use autopipe_models::AutoModel;

use crate::Error;
use crate::data::{DataContext, Encoder, EncoderOptions, Evaluation, Loader, SourceSize};

/// The data that the model is trained on.
pub(super) fn training_data(recipe: &Recipe, model: Option<&AutoModel>) -> Result<Loader, Error> {
    loader(&recipe.dataset, recipe, model)
}

/// The data that the model is evaluated on, if there is any.
pub(super) fn validation_data(
    recipe: &Recipe,
    model: Option<&AutoModel>,
) -> Result<Option<Evaluation>, Error> {
    let Some(dataset) = &recipe.validation_dataset else { return Ok(None) };
    let loader = loader(dataset, recipe, model)?;
    let batch_size = recipe.step_scheduler.local_batch_size;
    Evaluation::new(loader, batch_size, dataset.max_batches).map(Some)
}

/// Without a model, whose problem is told then, every token is one that it knows.
fn loader(dataset: &Dataset, recipe: &Recipe, model: Option<&AutoModel>) -> Result<Loader, Error> {
    let base_dir = Path::new(".");
    let folder = match &recipe.model.source {
        ModelSource::Pretrained { folder } | ModelSource::ScratchLike { folder, .. } => {
            Some(Path::new(folder))
        }
        ModelSource::Scratch { .. } => None,
    };
    let encoder = Encoder::open(&EncoderOptions {
        tokenizer: &dataset.tokenizer,
        model_folder: folder,
        chat_template: dataset.chat_template.as_deref().map(Path::new),
        learn: dataset.learn,
        base_dir,
    })?;
    let vocab_size = model.map_or(usize::MAX, AutoModel::vocab_size);
    if let Some(needed) = encoder.tokenizer().num_tokens()
        && vocab_size < needed
    {
        return Err(Error::Vocabulary { vocab_size, needed });
    }
    let pad_token = encoder.end();
    let context = DataContext {
        seed: recipe.rng.seed,
        vocab_size,
        pad_token,
        base_dir,
        encoder: Arc::new(encoder),
    };
    Loader::open(dataset, &context)
}

/// What there is to read, for a person.
pub(super) fn described(loader: &Loader) -> String {
    let of_source = |size: SourceSize| match size {
        SourceSize::Tokens { num_files, num_empty: 0, num_rows } => {
            format!("{num_files} files, {num_rows} sequences an epoch")
        }
        SourceSize::Tokens { num_files, num_empty, num_rows } => {
            format!("{num_files} files ({num_empty} empty left out), {num_rows} sequences an epoch")
        }
        SourceSize::Samples { num_samples } => format!("{num_samples} samples an epoch"),
    };
    loader.sizes().into_iter().map(of_source).collect::<Vec<_>>().join("; ")
}
