//! Hands out rows, batch by batch, and knows where it stands.

use autopipe_config::{Arrange, OnError, TooLong};

use super::batch::BatchRows;
use super::mix::Mix;
use super::random::rng;
use super::row::Row;
use super::sample_rows::{SampleOptions, SampleRows};
use super::source::{Fate, Rows, Source};
use super::token_rows::{TokenRows, Tokens};
use super::{Batch, Corpus, Position, Samples, TokenFiles, VOCAB_SIZE};
use crate::Error;
pub use open::DataContext;
pub use problem::LoaderProblem;
use rand_chacha::rand_core::RngCore as _;

mod open;
mod problem;

/// What a source has.
#[derive(Debug)]
pub enum Content {
    /// Text of which each byte is a token.
    Text(Corpus),
    /// Tokens.
    Tokens(TokenFiles),
    /// Documents, prompts with completions, or conversations.
    Samples(Box<dyn Samples>),
}

/// How big a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceSize {
    /// Tokens that are cut into rows.
    Tokens {
        /// Files that have any.
        num_files: usize,
        /// Files that have none and were left out.
        num_empty: usize,
        /// Rows of an epoch.
        num_rows: u64,
    },
    /// Samples. How many rows they make is known when they have been read.
    Samples {
        /// Samples of an epoch.
        num_samples: u64,
    },
}

/// How rows are made, whatever they are made of.
#[derive(Clone, Copy, Debug)]
pub struct LoaderOptions {
    /// Tokens of each row.
    pub seq_len: usize,
    /// What the order of each epoch and the mix of sources depend on.
    pub seed: u64,
    /// Tokens are below this.
    pub vocab_size: usize,
    /// What stands where a row has no token. Nothing is learnt there.
    pub pad_token: u32,
    /// How samples become rows. Tokens and text of bytes are cut into rows as they come.
    pub arrange: Arrange,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// What becomes of samples that are longer than a row, in a stream apart.
    pub too_long: TooLong,
    /// What becomes of records that cannot be read.
    pub on_error: OnError,
}

/// Rows without end, of one source or several, or one rank's part of them.
///
/// An epoch of a source is everything in it once, in an order of its own that depends on seed and
/// epoch only. A batch in which an epoch ends goes on with the next one, so that all batches have
/// the same size; a row does not, so that the last of an epoch of samples may be short.
///
/// Of several sources, each row comes from one that is drawn by the weights, and each source has
/// epochs of its own.
#[derive(Clone, Debug)]
pub struct Loader {
    /// At least one.
    sources: Vec<Source>,
    mix: Mix,
    seq_len: usize,
    pad_token: u32,
    arrange: Arrange,
    shard: Shard,
    num_rows: u64,
    row: Row,
}

/// A part of every batch.
#[derive(Clone, Copy, Debug)]
struct Shard {
    index: usize,
    /// More than `index`.
    count: usize,
}

impl Loader {
    /// The sequences of a text in shuffled order; a token is a byte.
    ///
    /// # Errors
    /// If the corpus has not one sequence of that length.
    pub fn new(corpus: Corpus, seq_len: usize, seed: u64) -> Result<Self, Error> {
        let options = LoaderOptions {
            seq_len,
            seed,
            vocab_size: VOCAB_SIZE,
            pad_token: 0,
            arrange: Arrange::Stream,
            shuffle: true,
            too_long: TooLong::Truncate,
            on_error: OnError::Stop,
        };
        Self::of(vec![(Content::Text(corpus), 1.0)], &options)
    }

    /// The rows of some sources, each with its weight.
    ///
    /// # Errors
    /// If there is no source, one is too small for a row or has no samples, a weight is not above 0,
    /// or the model does not know a token that is needed.
    pub fn of(sources: Vec<(Content, f64)>, options: &LoaderOptions) -> Result<Self, Error> {
        let &LoaderOptions { seq_len, seed, vocab_size, pad_token, arrange, .. } = options;
        if seq_len == 0 {
            return Err(Error::Zero { name: "seq_len" });
        }
        if pad_token as usize >= vocab_size {
            return Err(LoaderProblem::PadToken { pad_token, vocab_size }.into());
        }
        let weights: Vec<f64> = sources.iter().map(|&(_, weight)| weight).collect();
        let mix = Mix::new(&weights, seed)?;
        let sources = (1..).zip(sources).map(|(number, (content, _))| {
            let seed = options.shuffle.then(|| source_seed(seed, number));
            Source::new(number, rows(content, options)?, seed)
        });
        Ok(Self {
            sources: sources.collect::<Result<_, Error>>()?,
            mix,
            seq_len,
            pad_token,
            arrange,
            shard: Shard { index: 0, count: 1 },
            num_rows: 0,
            row: Row::default(),
        })
    }

    /// One rank's part of the data: of as many batches as there are parts, one after the other, the
    /// one with its number. All parts together see what one alone would see in batches as much larger,
    /// and have the same position.
    ///
    /// # Errors
    /// If there is no such part.
    pub fn with_shard(self, index: usize, count: usize) -> Result<Self, Error> {
        if index >= count {
            return Err(LoaderProblem::Shard { index, count }.into());
        }
        Ok(Self { shard: Shard { index, count }, ..self })
    }

    /// Goes to where a loader of the same sources and options stood.
    ///
    /// # Errors
    /// If the position is of other sources, or of more than they have. The loader then stays where it
    /// was.
    pub fn seek(&mut self, position: &Position) -> Result<(), Error> {
        let sources = self.sources.len();
        if position.sources.len() != sources {
            let position = position.sources.len();
            return Err(LoaderProblem::NumSources { position, sources }.into());
        }
        for (source, position) in self.sources.iter_mut().zip(&position.sources) {
            source.check(position)?;
        }
        self.go_to(position);
        Ok(())
    }

    /// Where the next batch starts.
    pub fn position(&self) -> Position {
        let sources = self.sources.iter().map(Source::position).collect();
        Position { num_rows: self.num_rows, sources }
    }

    /// Times that the data have been handed out up to a position of this loader, with the part of the
    /// time that has begun; of several sources on average over what there is in all of them.
    pub fn epoch_at(&self, position: &Position) -> f64 {
        let (mut done, mut all) = (0.0, 0.0);
        for (source, position) in self.sources.iter().zip(&position.sources) {
            done += source.num_done(position);
            all += source.len();
        }
        done / all
    }

    /// Tokens per row.
    pub fn seq_len(&self) -> usize {
        self.seq_len
    }

    /// How samples become rows.
    pub fn arrange(&self) -> Arrange {
        self.arrange
    }

    /// Rows of tokens, or samples, in an epoch of each source.
    pub fn epoch_lens(&self) -> Vec<u64> {
        self.sources.iter().map(Source::epoch_len).collect()
    }

    /// How big each source is.
    pub fn sizes(&self) -> Vec<SourceSize> {
        self.sources.iter().map(Source::size).collect()
    }

    /// The next `batch_size` rows of this part.
    ///
    /// # Errors
    /// If data cannot be read, have changed or have nothing to learn from, or memory is short. The
    /// loader then stays where it was.
    pub fn next_batch(&mut self, batch_size: usize) -> Result<Batch, Error> {
        let before = self.position();
        let batch =
            self.read_batch(batch_size, |loader, fate| loader.next_row(fate).map(|()| true));
        if batch.is_err() {
            self.go_to(&before);
        }
        // Rows without end: there is always a batch.
        batch?.ok_or(Error::Zero { name: "batch_size" })
    }

    /// A batch of the rows that `next` leaves in the loader, until it says that there are no more; of
    /// what is missing then nothing is learnt. `None` if there is none for any part.
    pub(super) fn read_batch(
        &mut self,
        batch_size: usize,
        mut next: impl FnMut(&mut Self, Fate) -> Result<bool, Error>,
    ) -> Result<Option<Batch>, Error> {
        if batch_size == 0 {
            return Err(Error::Zero { name: "batch_size" });
        }
        let Shard { index, count } = self.shard;
        let has_positions = self.arrange == Arrange::Pack;
        let mut rows = BatchRows::new(batch_size, self.seq_len, has_positions)?;
        let mut any = false;
        for part in 0..count {
            let fate = if part == index { Fate::Read } else { Fate::Pass };
            for _ in 0..batch_size {
                let found = next(self, fate)?;
                any |= found;
                if !found {
                    self.row.clear();
                }
                if fate == Fate::Read {
                    rows.push(&mut self.row, self.pad_token);
                }
            }
        }
        if any { rows.into_batch().map(Some) } else { Ok(None) }
    }

    /// Leaves the next row in the loader.
    fn next_row(&mut self, fate: Fate) -> Result<(), Error> {
        let number = self.mix.source_of(self.num_rows);
        self.sources[number].next(&mut self.row, fate)?;
        self.num_rows = self.num_rows.wrapping_add(1);
        Ok(())
    }

    /// Leaves the next row in the loader, of a source that has not ended; `false` if all have. A source
    /// that has leaves its turns to those after it.
    pub(super) fn next_row_of_pass(
        &mut self,
        has_ended: &mut [bool],
        fate: Fate,
    ) -> Result<bool, Error> {
        let drawn = self.mix.source_of(self.num_rows);
        let num_sources = self.sources.len();
        for number in (drawn..num_sources).chain(0..drawn) {
            if has_ended[number] {
                continue;
            }
            if self.sources[number].next_of_epoch(&mut self.row, fate)? {
                self.num_rows = self.num_rows.wrapping_add(1);
                return Ok(true);
            }
            has_ended[number] = true;
        }
        Ok(false)
    }

    /// Goes where this loader has been, or has been found to be able to stand.
    pub(super) fn go_to(&mut self, position: &Position) {
        self.num_rows = position.num_rows;
        for (source, &position) in self.sources.iter_mut().zip(&position.sources) {
            source.go_to(position);
        }
    }

    /// Where every loader of these sources begins.
    pub(super) fn start(&self) -> Position {
        let sources = vec![super::SourcePosition::default(); self.sources.len()];
        Position { num_rows: 0, sources }
    }
}

fn rows(content: Content, options: &LoaderOptions) -> Result<Rows, Error> {
    let &LoaderOptions { seq_len, vocab_size, arrange, too_long, on_error, .. } = options;
    let tokens = |tokens| TokenRows::new(tokens, seq_len, vocab_size).map(Rows::Tokens);
    match content {
        Content::Text(_) if vocab_size < VOCAB_SIZE => {
            Err(Error::Vocabulary { vocab_size, needed: VOCAB_SIZE })
        }
        Content::Text(corpus) => tokens(Tokens::Text(corpus)),
        Content::Tokens(files) => tokens(Tokens::Files(files)),
        Content::Samples(samples) => {
            let options = SampleOptions { seq_len, vocab_size, arrange, too_long, on_error };
            Ok(Rows::Samples(SampleRows::new(samples, options)))
        }
    }
}

/// The seed of a source's orders, so that sources of one length do not go hand in hand. The first
/// has the run's own: one source alone is as if there were no others.
fn source_seed(seed: u64, number: usize) -> u64 {
    if number == 1 { seed } else { rng(seed, number).next_u64() }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
