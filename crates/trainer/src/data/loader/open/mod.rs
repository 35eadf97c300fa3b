//! From a recipe's data section to a loader.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use autopipe_config::{Arrange, DataFormat, Dataset, Source};

use super::{Content, Loader, LoaderOptions, LoaderProblem};
use crate::Error;
use crate::data::documents::format_by_name;
use crate::data::find::find;
use crate::data::tokens::is_token_file;
use crate::data::{Corpus, Documents, Encoder, TokenFiles};
use crate::tokenizer::Tokenizer;

/// What a data section does not say itself.
#[derive(Clone, Debug)]
pub struct DataContext<'a> {
    /// The run's.
    pub seed: u64,
    /// The model's.
    pub vocab_size: usize,
    /// What stands where a row has no token.
    pub pad_token: u32,
    /// Where relative patterns start.
    pub base_dir: &'a Path,
    /// What makes tokens of text and records.
    pub encoder: Arc<Encoder>,
}

impl Loader {
    /// Opens the sources of a data section.
    ///
    /// What a source has, its files' names tell where it does not say: tokens end in `.bin` or
    /// `.safetensors`, records in `.jsonl`, `.ndjson`, `.json` or `.parquet`, and all else is text.
    /// Tokens are cut into rows as they come, whatever the arrangement of samples beside them is.
    ///
    /// # Errors
    /// If files cannot be found or opened, or what is asked for them does not suit them, of all
    /// sources at once, or as [`of`](Self::of).
    pub fn open(dataset: &Dataset, context: &DataContext<'_>) -> Result<Self, Error> {
        let formats =
            all(dataset.sources.iter().map(|source| format_of(source, context.base_dir)))?;
        let options = LoaderOptions {
            seq_len: dataset.seq_len,
            seed: context.seed,
            vocab_size: context.vocab_size,
            pad_token: context.pad_token,
            arrange: arrangement(dataset, &formats)?,
            shuffle: dataset.shuffle,
            too_long: dataset.too_long,
            on_error: dataset.on_error,
        };
        let sources = dataset.sources.iter().zip(formats).zip(1..);
        let sources = all(sources.map(|((source, format), source_number)| {
            let content = open(source, format, options.arrange, context)?;
            let has_raw = matches!(&content, Content::Tokens(files) if files.has_raw());
            if source.token_dtype.is_some() && !has_raw {
                return Err(LoaderProblem::UnusedDtype { source_number }.into());
            }
            Ok((content, source.weight))
        }))?;
        Self::of(sources, &options)
    }
}

/// All values, or the problems of all that have none.
fn all<T>(results: impl Iterator<Item = Result<T, Error>>) -> Result<Vec<T>, Error> {
    let (mut values, mut problems) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(value) => values.push(value),
            Err(problem) => problems.push(problem),
        }
    }
    match problems.len() {
        0 => Ok(values),
        1 => Err(problems.remove(0)),
        _ => Err(Error::Sources(problems)),
    }
}

/// How samples become rows: as asked for, or as is usual for such files.
fn arrangement(dataset: &Dataset, formats: &[DataFormat]) -> Result<Arrange, Error> {
    let is_tokens = |format: &DataFormat| *format == DataFormat::Tokens;
    let is_plain = |format: &DataFormat| is_tokens(format) || *format == DataFormat::Text;
    match dataset.arrange {
        None if formats.iter().all(is_plain) => Ok(Arrange::Stream),
        None => Ok(Arrange::Pad),
        Some(arrange @ (Arrange::Pad | Arrange::Pack)) if formats.iter().all(is_tokens) => {
            Err(LoaderProblem::ArrangedTokens { arrange }.into())
        }
        Some(arrange) => Ok(arrange),
    }
}

/// The one place that knows which reader a source has.
fn open(
    source: &Source,
    format: DataFormat,
    arrange: Arrange,
    context: &DataContext<'_>,
) -> Result<Content, Error> {
    let &DataContext { base_dir, vocab_size, ref encoder, .. } = context;
    let is_bytes = matches!(encoder.tokenizer(), Tokenizer::Bytes);
    match format {
        DataFormat::Tokens => {
            let dtype = source.token_dtype;
            TokenFiles::open(&source.paths, base_dir, dtype, vocab_size).map(Content::Tokens)
        }
        DataFormat::Text if is_bytes && arrange == Arrange::Stream => {
            Corpus::open(&source.paths, base_dir).map(Content::Text)
        }
        DataFormat::Text | DataFormat::Jsonl | DataFormat::Parquet => {
            let documents = Documents::open(source, Arc::clone(encoder), base_dir)?;
            Ok(Content::Samples(Box::new(documents)))
        }
    }
}

/// What a source's files hold, as it says or as their names tell. Of files of several kinds the
/// first that is not text counts: all of them are samples then.
fn format_of(source: &Source, base_dir: &Path) -> Result<DataFormat, Error> {
    if let Some(format) = source.format {
        return Ok(format);
    }
    let (paths, problems) = find(&source.paths, base_dir);
    if !problems.is_empty() {
        return Err(Error::Corpus(problems));
    }
    let (tokens, others): (Vec<PathBuf>, Vec<PathBuf>) =
        paths.into_iter().partition(|path| is_token_file(path));
    match (tokens.into_iter().next(), others.first()) {
        (Some(tokens), Some(other)) => {
            Err(LoaderProblem::MixedFormats { tokens, other: other.clone() }.into())
        }
        (Some(_), None) => Ok(DataFormat::Tokens),
        (None, _) => {
            let mut formats = others.iter().map(|path| format_by_name(path));
            let records = formats.find(|format| *format != DataFormat::Text);
            Ok(records.unwrap_or(DataFormat::Text))
        }
    }
}

#[cfg(test)]
mod tests;
