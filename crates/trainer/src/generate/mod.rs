//! Text from a model: one token after the other, each of what the model makes of all before it.
//!
//! The model keeps nothing from one token to the next, so that each costs a forward of the whole
//! sequence: for a look at what a checkpoint has learnt, not for serving it.

mod end;
mod problem;
mod sample;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::PathBuf;

use autopipe::{Keywords, StageModel};
use autopipe_models::{self as models, Lora, load_folder_with};
use candle_core::{DType, Device, Tensor};

use crate::tokenizer::{TextStream, Tokenizer};
use crate::whole::build_whole;
use crate::{Error, Stopwatch};
use end::end_tokens;
pub(crate) use end::named_ends;
pub use problem::{GenerateProblem, SamplingProblem};
use sample::Picker;
pub use sample::Sampling;

/// What is generated, and of what.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// A Hugging Face folder with weights.
    pub model: PathBuf,
    /// A folder of adapters to the model, as PEFT or a training run leaves it.
    pub adapter: Option<PathBuf>,
    /// The text to go on with.
    pub prompt: String,
    /// How many tokens follow at most.
    pub max_new_tokens: usize,
    /// How tokens are drawn; `None` takes the likeliest.
    pub sampling: Option<Sampling>,
}

/// What has been generated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generated {
    /// Tokens of the prompt.
    pub num_prompt_tokens: usize,
    /// Tokens that followed, without the one that ended the text.
    pub num_new_tokens: usize,
    /// How long those took, in seconds: not the loading of the model.
    pub seconds: f64,
    /// Why there are no more.
    pub end: End,
    /// Whether tokens were bytes, for want of a tokenizer.
    pub is_bytes: bool,
    /// How many tokens the model knows.
    pub vocab_size: usize,
}

/// Why no more was generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The model ended the text.
    Token {
        /// With this token.
        token: u32,
    },
    /// There are as many tokens as were asked for.
    MaxNewTokens,
    /// The sequence is as long as the model's positions reach.
    MaxPositions {
        /// That many.
        max: usize,
    },
    /// Whoever was told wanted no more.
    Stopped,
}

/// Goes on with a prompt, and tells `on_text` each piece of text as it comes.
///
/// # Errors
/// If the model or its tokenizer cannot be read, the prompt is empty or does not fit the model, or
/// what the model computes is no number.
pub fn generate(
    options: &Options,
    on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
) -> Result<Generated, Error> {
    let lora = options.adapter.as_ref().map(|folder| Lora::load(folder)).transpose()?;
    let model = load_folder_with(&options.model, models::Options { lora, ..Default::default() })?;
    let tokenizer = Tokenizer::open(&options.model)?;
    let (vocab_size, max) = (model.vocab_size(), model.max_position_embeddings());
    if let Some(needed) = tokenizer.num_tokens()
        && vocab_size < needed
    {
        return Err(Error::Vocabulary { vocab_size, needed });
    }
    let ends = end_tokens(&options.model, &tokenizer)?;
    let mut tokens = tokenizer.encode(&options.prompt)?;
    check(&tokens, vocab_size, max)?;
    let num_prompt_tokens = tokens.len();
    let mut source = Source {
        stage: build_whole(&model)?,
        // A token beyond those of the tokenizer would be no text.
        num_tokens: tokenizer.num_tokens().unwrap_or(vocab_size),
        picker: Picker::new(options.sampling),
    };

    let stopwatch = Stopwatch::start();
    let mut stream = TextStream::new(&tokenizer, &tokens);
    let end = loop {
        if tokens.len() - num_prompt_tokens >= options.max_new_tokens {
            break End::MaxNewTokens;
        }
        if tokens.len() > max {
            break End::MaxPositions { max };
        }
        let token = source.next(&tokens)?;
        if ends.contains(&token) {
            break End::Token { token };
        }
        tokens.push(token);
        let text = stream.push(token)?;
        if !text.is_empty() && on_text(&text).is_break() {
            break End::Stopped;
        }
    };
    let seconds = stopwatch.seconds();
    let rest = stream.finish()?;
    if !rest.is_empty() && end != End::Stopped {
        // Nothing comes after it that could be stopped.
        let _ = on_text(&rest);
    }
    Ok(Generated {
        num_prompt_tokens,
        num_new_tokens: tokens.len() - num_prompt_tokens,
        seconds,
        end,
        is_bytes: matches!(tokenizer, Tokenizer::Bytes),
        vocab_size,
    })
}

fn check(prompt: &[u32], vocab_size: usize, max: usize) -> Result<(), GenerateProblem> {
    let is_known = |token: u32| usize::try_from(token).is_ok_and(|token| token < vocab_size);
    if let Some(&token) = prompt.iter().find(|token| !is_known(**token)) {
        return Err(GenerateProblem::Token { token, vocab_size });
    }
    match prompt.len() {
        0 => Err(GenerateProblem::EmptyPrompt),
        num_tokens if num_tokens > max => Err(GenerateProblem::LongPrompt { num_tokens, max }),
        _ => Ok(()),
    }
}

/// Where tokens come from.
struct Source {
    stage: Box<dyn StageModel>,
    num_tokens: usize,
    picker: Picker,
}

impl Source {
    /// The token that follows.
    fn next(&mut self, tokens: &[u32]) -> Result<u32, Error> {
        let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
        let stage = &self.stage;
        let outputs = stage.parameters().no_grad(|| stage.forward(&[input], &Keywords::new()))?;
        let last = outputs[0].narrow(1, tokens.len() - 1, 1)?.narrow(2, 0, self.num_tokens)?;
        let logits: Vec<f32> = last.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?;
        Ok(self.picker.pick(&logits)?)
    }
}
