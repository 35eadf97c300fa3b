//! `autopipe generate`: a model's text, as it comes.

use std::io::{self, Write as _};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use anyhow::Context as _;
use autopipe_trainer::ThreadOptions;
use autopipe_trainer::generate::{End, Generated, Options, Sampling, generate};

use crate::args::GenerateText;
use crate::hub;
use crate::output;
use crate::schedule::figures::counted;
use crate::threads;

/// `autopipe generate`.
///
/// # Errors
/// If the model or its tokenizer cannot be read, the prompt does not fit it, or standard output takes
/// no more for another reason than that nobody reads it.
pub(crate) fn run(args: &GenerateText) -> anyhow::Result<()> {
    let seed = args.seed.unwrap_or(0);
    let sampling = match args.temperature {
        Some(temperature) => Some(Sampling::new(temperature, args.top_k, args.top_p, seed)?),
        None => None,
    };
    let options = Options {
        model: hub::resolve(&args.model)?,
        adapter: args.adapter.clone(),
        prompt: args.prompt.clone(),
        max_new_tokens: args.max_new_tokens,
        sampling,
    };
    let one_rank = ThreadOptions {
        threads_per_rank: args.threads.and_then(|num| NonZeroUsize::new(num.into())),
        ..ThreadOptions::default()
    };
    threads::keep_memory();
    threads::tell_candle(one_rank.num_threads(1));

    let mut out = Stream::default();
    let generated = generate(&options, &mut |text| out.write(text))?;
    out.finish()?;
    if generated.is_bytes && generated.vocab_size > 256 {
        output::warning(&format!(
            "there is no tokenizer.json in `{}`: each token was taken for a byte, though the model \
             knows {} tokens",
            args.model.display(),
            generated.vocab_size
        ));
    }
    if let End::MaxPositions { max } = generated.end {
        output::warning(&format!(
            "the text ends here because the model has no more than {max} positions"
        ));
    }
    if args.verbose {
        output::message(&figures(&generated));
    }
    Ok(())
}

/// Standard output, a piece of text at a time.
#[derive(Default)]
struct Stream {
    /// What has gone wrong; nothing is written then any more.
    failed: Option<io::Error>,
    ends_a_line: bool,
}

impl Stream {
    fn write(&mut self, text: &str) -> ControlFlow<()> {
        self.ends_a_line = text.ends_with('\n');
        let mut out = io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// The end of the last line.
    fn finish(mut self) -> anyhow::Result<()> {
        if self.failed.is_none() && !self.ends_a_line {
            let _ = self.write("\n");
        }
        match self.failed {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to standard output")
            }
            _ => Ok(()),
        }
    }
}

fn figures(generated: &Generated) -> String {
    let Generated { num_prompt_tokens, num_new_tokens, seconds, end, .. } = *generated;
    #[expect(clippy::cast_precision_loss, reason = "a text has far fewer than 2^53 tokens")]
    let rate = if seconds > 0.0 { num_new_tokens as f64 / seconds } else { 0.0 };
    let end = match end {
        End::Token { token } => format!("ended by token {token}"),
        End::MaxNewTokens => "ended by --max-new-tokens".to_owned(),
        End::MaxPositions { max } => format!("ended by the model's {max} positions"),
        End::Stopped => "ended because nobody reads it".to_owned(),
    };
    format!(
        "{} after {} of prompt, {rate:.1} tokens/s, {end}",
        counted(num_new_tokens, "token"),
        num_prompt_tokens
    )
}
