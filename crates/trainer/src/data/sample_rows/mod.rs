//! From samples to rows: one after the other, one a row, or as many as fit.

use autopipe_config::{Arrange, OnError, TooLong};

use super::order::Order;
use super::row::Row;
use super::{LoaderProblem, RecordProblem, Sample, Samples, SourcePosition};
use crate::Error;

/// What is done with samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleOptions {
    /// At least 1.
    pub(super) seq_len: usize,
    pub(super) vocab_size: usize,
    pub(super) arrange: Arrange,
    pub(super) too_long: TooLong,
    pub(super) on_error: OnError,
}

impl SampleOptions {
    /// The most tokens of a sample in one row, of which the last is a label only.
    fn max_tokens(&self) -> usize {
        self.seq_len.saturating_add(1)
    }
}

/// Where in the samples a source stands.
#[derive(Debug)]
pub(super) struct Cursor<'a> {
    pub(super) order: &'a mut Order,
    pub(super) position: &'a mut SourcePosition,
}

impl Cursor<'_> {
    /// The number of the sample that it stands at; `None` at the end of the epoch.
    fn number(&mut self) -> Option<u64> {
        let SourcePosition { epoch, index, .. } = *self.position;
        (index < self.order.len()).then(|| self.order.at(epoch, index))
    }

    /// Goes to the next sample.
    fn advance(&mut self) {
        self.position.index += 1;
        self.position.offset = 0;
    }
}

/// Samples that become rows.
#[derive(Debug)]
pub(super) struct SampleRows {
    samples: Box<dyn Samples>,
    options: SampleOptions,
    /// The sample looked at last, by its number: what does not fit into a row begins the next.
    last: Option<(u64, Sample)>,
    /// The first record of the epoch that cannot be read.
    first_bad: Option<Box<RecordProblem>>,
    /// What a row of a stream is made of, with its labels.
    stream: Sample,
}

/// A clone has read nothing yet.
impl Clone for SampleRows {
    fn clone(&self) -> Self {
        Self::new(self.samples.another(), self.options)
    }
}

impl SampleRows {
    pub(super) fn new(samples: Box<dyn Samples>, options: SampleOptions) -> Self {
        Self { samples, options, last: None, first_bad: None, stream: Sample::default() }
    }

    pub(super) fn num_samples(&self) -> u64 {
        self.samples.num_samples()
    }

    /// Puts the next row of the position's epoch in the place of `row`, and moves on; `false` if the
    /// epoch has no more. After an error the position is of no use.
    pub(super) fn next_of_epoch(
        &mut self,
        cursor: &mut Cursor<'_>,
        row: &mut Row,
    ) -> Result<bool, Error> {
        if cursor.position.is_epoch_start() {
            self.first_bad = None;
        }
        row.clear();
        match self.options.arrange {
            Arrange::Stream => self.stream(cursor, row)?,
            Arrange::Pad => {
                if let Some(sample) = self.next_sample(cursor)? {
                    push(row, sample);
                    cursor.advance();
                }
            }
            Arrange::Pack => self.pack(cursor, row)?,
        }
        Ok(row.num_tokens() > 0)
    }

    /// The first bad record that this epoch has met; nobody else gets it then.
    pub(super) fn take_first_bad(&mut self) -> Option<Box<RecordProblem>> {
        self.first_bad.take()
    }

    /// How many tokens lie before the end of the sample that a stream stands in, or in other
    /// arrangements before any that it could stand at: none.
    pub(super) fn max_offset(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, Error> {
        match (self.options.arrange, cursor.number()) {
            (Arrange::Stream, Some(number)) => {
                let num_tokens = self.samples.read(number)?.tokens.len();
                Ok((num_tokens as u64).saturating_sub(1))
            }
            (Arrange::Stream, None) | (Arrange::Pad | Arrange::Pack, _) => Ok(0),
        }
    }

    /// Samples until there is one token more than inputs: the last label is the next row's first input.
    fn stream(&mut self, cursor: &mut Cursor<'_>, row: &mut Row) -> Result<(), Error> {
        let max_tokens = self.options.max_tokens();
        let mut stream = std::mem::take(&mut self.stream);
        stream.tokens.clear();
        stream.is_label.clear();
        while let Some(sample) = self.next_sample(cursor)? {
            let start = usize::try_from(cursor.position.offset).unwrap_or(usize::MAX);
            let rest = sample.tokens.get(start..).unwrap_or_default();
            let taken = rest.len().min(max_tokens - stream.tokens.len());
            stream.tokens.extend(&rest[..taken]);
            let is_label = sample.is_label.iter().copied().chain(std::iter::repeat(false));
            stream.is_label.extend(is_label.skip(start).take(taken));
            if stream.tokens.len() == max_tokens {
                cursor.position.offset += taken.saturating_sub(1) as u64;
                break;
            }
            cursor.advance();
        }
        push(row, &stream);
        self.stream = stream;
        Ok(())
    }

    /// Samples until one does not fit. No later one is tried in its place, so that the position is one
    /// number.
    fn pack(&mut self, cursor: &mut Cursor<'_>, row: &mut Row) -> Result<(), Error> {
        let max_tokens = self.options.max_tokens();
        while let Some(sample) = self.next_sample(cursor)? {
            if row.num_tokens() + sample.tokens.len() > max_tokens {
                break;
            }
            push(row, sample);
            cursor.advance();
        }
        Ok(())
    }

    /// The sample that the position stands at, or the next that can be learnt from, to which the
    /// position then moves; `None` at the end of the epoch.
    fn next_sample(&mut self, cursor: &mut Cursor<'_>) -> Result<Option<&Sample>, Error> {
        while let Some(number) = cursor.number() {
            if self.last.as_ref().is_none_or(|(last, _)| *last != number) {
                self.last = None;
                let why = match self.samples.read(number) {
                    Ok(sample) => self.usable(number, sample)?,
                    Err(Error::Record(problem)) if self.options.on_error == OnError::Skip => {
                        self.first_bad.get_or_insert(problem);
                        Err(Unusable::Bad)
                    }
                    Err(error) => return Err(error),
                };
                match why {
                    Ok(sample) => self.last = Some((number, sample)),
                    Err(why) => {
                        let skipped = &mut cursor.position.skipped;
                        let count = match why {
                            Unusable::Bad => &mut skipped.bad,
                            Unusable::TooLong => &mut skipped.too_long,
                            Unusable::Unlabelled => &mut skipped.unlabelled,
                        };
                        *count = count.saturating_add(1);
                        cursor.advance();
                        continue;
                    }
                }
            }
            return Ok(self.last.as_ref().map(|(_, sample)| sample));
        }
        Ok(None)
    }

    /// The sample as it goes into rows, or why it does not.
    fn usable(&self, number: u64, mut sample: Sample) -> Result<Result<Sample, Unusable>, Error> {
        let SampleOptions { seq_len, vocab_size, arrange, too_long, .. } = self.options;
        let num_tokens = sample.tokens.len();
        let can_be_label = match arrange {
            // What comes before the first token is the end of another sample.
            Arrange::Stream => 0,
            Arrange::Pad | Arrange::Pack => {
                if num_tokens > self.options.max_tokens() {
                    match too_long {
                        TooLong::Truncate => sample.tokens.truncate(self.options.max_tokens()),
                        TooLong::Skip => return Ok(Err(Unusable::TooLong)),
                        TooLong::Stop => {
                            let problem =
                                LoaderProblem::SampleTooLong { number, num_tokens, seq_len };
                            return Err(problem.into());
                        }
                    }
                }
                1
            }
        };
        if let Some(&token) = sample.tokens.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(LoaderProblem::SampleToken { number, token, vocab_size }.into());
        }
        let is_label = sample.is_label.iter().take(sample.tokens.len()).skip(can_be_label);
        let has_label = is_label.copied().any(|is_label| is_label);
        Ok(if has_label { Ok(sample) } else { Err(Unusable::Unlabelled) })
    }
}

/// Why a sample is left out.
#[derive(Clone, Copy, Debug)]
enum Unusable {
    Bad,
    TooLong,
    Unlabelled,
}

fn push(row: &mut Row, sample: &Sample) {
    row.push(&sample.tokens, sample.is_label.iter().copied());
}

#[cfg(test)]
mod tests;
