//! How long samples are, and what follows for rows and steps.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use autopipe::splitter::short;
use autopipe_config::{ModelSource, Recipe};
use autopipe_trainer::Error;
use autopipe_trainer::data::{Documents, Encoder, EncoderOptions, Samples as _, TokenFiles};

use super::data::Form;
use super::draft::{Draft, Steps};

/// The longest row, where the model takes longer ones: memory grows with it.
const MAX_SEQ_LEN: usize = 1024;

/// Rows of samples are a multiple of so many tokens.
const MULTIPLE: usize = 32;

/// Samples that are looked at, and the tokens after which no more are.
const MAX_SAMPLES: u64 = 256;
const MAX_TOKENS: usize = 1 << 20;

/// The fewest rows of what is cut into rows as it comes.
const MIN_ROWS: f64 = 16.0;

/// How often a model with weights is to read the data, and the fewest and most steps of that.
const EPOCHS: f64 = 3.0;
const STEPS: (usize, usize) = (20, 1000);

/// What was found of the data.
pub(super) struct Measured {
    /// `None` if the data are tokens, not samples.
    samples: Option<Lengths>,
    /// Tokens of everything, about.
    num_tokens: f64,
}

struct Lengths {
    num_samples: u64,
    /// In tokens, of those that were read, in ascending order.
    read: Vec<usize>,
}

/// Reads some of the data as a run of the recipe would.
///
/// # Errors
/// If the run could not read them, or the model does not know the tokenizer's tokens.
pub(super) fn measure(recipe: &Recipe, form: &Form, vocab_size: usize) -> anyhow::Result<Measured> {
    let base_dir = Path::new(".");
    let dataset = &recipe.dataset;
    let source = dataset.sources.first().context("the recipe has no data")?;
    if *form == Form::Tokens {
        let files = TokenFiles::open(&source.paths, base_dir, source.token_dtype, vocab_size)?;
        return Ok(Measured { samples: None, num_tokens: float(files.num_tokens()) });
    }
    let encoder = Encoder::open(&EncoderOptions {
        tokenizer: &dataset.tokenizer,
        model_folder: match &recipe.model.source {
            ModelSource::Pretrained { folder } | ModelSource::ScratchLike { folder, .. } => {
                Some(Path::new(folder))
            }
            ModelSource::Scratch { .. } => None,
        },
        chat_template: dataset.chat_template.as_deref().map(Path::new),
        learn: dataset.learn,
        base_dir,
    })?;
    let needed = encoder.tokenizer().num_tokens().unwrap_or(0);
    if vocab_size < needed {
        return Err(Error::Vocabulary { vocab_size, needed }.into());
    }
    let mut documents = Documents::open(source, Arc::new(encoder), base_dir)?;
    let num_samples = documents.num_samples();
    let num_read = num_samples.min(MAX_SAMPLES);
    let (mut read, mut sum) = (Vec::new(), 0);
    for number in 0..num_read {
        // From all over the file, the first among them.
        let sample = documents.read(spread(num_samples, number, num_read))?;
        sum += sample.tokens.len();
        read.push(sample.tokens.len());
        if sum > MAX_TOKENS {
            break;
        }
    }
    read.sort_unstable();
    let mean = float(sum as u64) / float(read.len() as u64).max(1.0);
    let num_tokens = mean * float(num_samples);
    Ok(Measured { samples: Some(Lengths { num_samples, read }), num_tokens })
}

/// `all * number / parts`, which fits because it is below `all`.
fn spread(all: u64, number: u64, parts: u64) -> u64 {
    let part = u128::from(all) * u128::from(number) / u128::from(parts.max(1));
    u64::try_from(part).unwrap_or(all)
}

impl Measured {
    /// How many tokens a row should have: of samples the longest that was read, of everything else as
    /// many as there may be, but not all there are.
    pub(super) fn seq_len(&self, form: &Form, max_positions: usize) -> usize {
        let max = MAX_SEQ_LEN.min(max_positions.max(1));
        match &self.samples {
            Some(lengths) if form.is_apart() => {
                let longest = lengths.read.last().copied().unwrap_or(1);
                longest.next_multiple_of(MULTIPLE).min(max)
            }
            Some(_) | None => {
                let mut seq_len = max;
                while seq_len > 1 && MIN_ROWS * float(seq_len as u64) > self.num_tokens {
                    seq_len /= 2;
                }
                seq_len
            }
        }
    }

    /// As many steps as it takes to read the data some times; of random weights as many as there may be.
    pub(super) fn steps(&self, draft: &Draft) -> Steps {
        let tokens_of_step = float(draft.batch_size as u64) * float(draft.seq_len as u64);
        let steps = (EPOCHS * self.num_tokens / tokens_of_step).ceil();
        let (least, most) = STEPS;
        if draft.has_weights {
            // A float becomes the nearest number there is.
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "it is above 0, and what is too large is cut"
            )]
            Steps::of((steps as usize).clamp(least, most))
        } else {
            Steps::of(most)
        }
    }

    /// How many samples were read.
    pub(super) fn num_read(&self) -> usize {
        self.samples.as_ref().map_or(0, |lengths| lengths.read.len())
    }

    /// How many of them have more tokens than a row.
    pub(super) fn num_longer(&self, seq_len: usize) -> usize {
        let lengths = self.samples.iter().flat_map(|lengths| &lengths.read);
        lengths.filter(|len| **len > seq_len.saturating_add(1)).count()
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = short(self.num_tokens.round());
        match &self.samples {
            None => write!(f, "{tokens} tokens"),
            Some(Lengths { num_samples, read }) => {
                let about = if read.len() as u64 == *num_samples { "" } else { "about " };
                let samples = if *num_samples == 1 { "sample" } else { "samples" };
                write!(f, "{num_samples} {samples}, {about}{tokens} tokens")
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count is no different at the 16th digit")]
fn float(count: u64) -> f64 {
    count as f64
}
