//! From one long row of tokens to rows of a batch: any of them at once, wherever it is.

use super::row::Row;
use super::{Corpus, LoaderProblem, TokenFiles};
use crate::Error;

/// Tokens that lie one after the other.
#[derive(Clone, Debug)]
pub(super) enum Tokens {
    /// The bytes of text.
    Text(Corpus),
    /// Those of files.
    Files(TokenFiles),
}

/// Tokens that are cut into rows of one length.
#[derive(Clone, Debug)]
pub(super) struct TokenRows {
    tokens: Tokens,
    /// At least 1, and less than there are tokens.
    seq_len: usize,
    vocab_size: usize,
    /// Of one row, with the label after its last input.
    buffer: Vec<u32>,
}

impl TokenRows {
    /// Rows of `seq_len` tokens, at least 1; all tokens are below `vocab_size`.
    ///
    /// # Errors
    /// If there is not one row.
    pub(super) fn new(tokens: Tokens, seq_len: usize, vocab_size: usize) -> Result<Self, Error> {
        let rows = Self { tokens, seq_len, vocab_size, buffer: Vec::new() };
        let num_tokens = rows.num_tokens();
        match &rows.tokens {
            _ if rows.num_rows() > 0 => Ok(rows),
            Tokens::Text(_) => Err(Error::CorpusTooShort { seq_len: seq_len as u64, num_tokens }),
            Tokens::Files(_) => Err(LoaderProblem::TooFewTokens { seq_len, num_tokens }.into()),
        }
    }

    fn num_tokens(&self) -> u64 {
        match &self.tokens {
            Tokens::Text(corpus) => corpus.num_tokens(),
            Tokens::Files(files) => files.num_tokens(),
        }
    }

    /// How many files there is something in, and in how many others nothing.
    pub(super) fn num_files(&self) -> (usize, usize) {
        match &self.tokens {
            Tokens::Text(corpus) => (corpus.documents().len(), corpus.num_empty()),
            Tokens::Files(files) => (files.num_files(), files.num_empty()),
        }
    }

    /// At least 1.
    pub(super) fn num_rows(&self) -> u64 {
        // The last label of a row is the first input of the next: one token more than inputs.
        self.num_tokens().saturating_sub(1) / self.seq_len as u64
    }

    /// Puts the row of a number below [`num_rows`](Self::num_rows) in the place of `row`.
    pub(super) fn read(&mut self, number: u64, row: &mut Row) -> Result<(), Error> {
        let (start, len) = (number * self.seq_len as u64, self.seq_len + 1);
        self.buffer.clear();
        match &mut self.tokens {
            Tokens::Text(corpus) => {
                let mut bytes = vec![0; len];
                corpus.read(start, &mut bytes)?;
                self.buffer.extend(bytes.into_iter().map(u32::from));
            }
            Tokens::Files(files) => files.read(start, len, self.vocab_size, &mut self.buffer)?,
        }
        row.clear();
        row.push(&self.buffer, std::iter::repeat(true));
        Ok(())
    }
}
