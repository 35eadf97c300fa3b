//! One source of rows, epoch after epoch.

use super::order::Order;
use super::row::Row;
use super::sample_rows::{Cursor, SampleRows};
use super::token_rows::TokenRows;
use super::{LoaderProblem, Skipped, SourcePosition, SourceSize};
use crate::Error;

/// Rows of one kind, and where in them it stands.
#[derive(Clone, Debug)]
pub(super) struct Source {
    /// Counted from 1, for messages.
    number: usize,
    rows: Rows,
    order: Order,
    position: SourcePosition,
}

#[derive(Clone, Debug)]
pub(super) enum Rows {
    Tokens(TokenRows),
    Samples(SampleRows),
}

impl Rows {
    /// How many things an epoch puts in order, and what they are.
    fn len(&self) -> (u64, &'static str) {
        match self {
            Self::Tokens(rows) => (rows.num_rows(), "sequences"),
            Self::Samples(rows) => (rows.num_samples(), "samples"),
        }
    }
}

/// What becomes of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is read.
    Read,
    /// It is passed over, and what is read of it for that is of no use.
    Pass,
}

impl Source {
    /// Stands at the beginning. With a `seed`, each epoch has an order of its own.
    ///
    /// # Errors
    /// If there is nothing in it.
    pub(super) fn new(number: usize, rows: Rows, seed: Option<u64>) -> Result<Self, Error> {
        let (len, _) = rows.len();
        if len == 0 {
            return Err(LoaderProblem::NoSamples { source_number: number }.into());
        }
        let order = match seed {
            Some(seed) => Order::shuffled(len, seed),
            None => Order::unchanged(len),
        };
        Ok(Self { number, rows, order, position: SourcePosition::default() })
    }

    pub(super) fn size(&self) -> SourceSize {
        match &self.rows {
            Rows::Tokens(rows) => {
                let (num_files, num_empty) = rows.num_files();
                SourceSize::Tokens { num_files, num_empty, num_rows: rows.num_rows() }
            }
            Rows::Samples(rows) => SourceSize::Samples { num_samples: rows.num_samples() },
        }
    }

    /// Rows of tokens, or samples, of an epoch.
    pub(super) fn epoch_len(&self) -> u64 {
        self.rows.len().0
    }

    /// How many things there are in it, at least 1.
    #[expect(clippy::cast_precision_loss, reason = "it is for a report")]
    pub(super) fn len(&self) -> f64 {
        self.order.len() as f64
    }

    /// How many it is done with at a position, in all epochs.
    #[expect(clippy::cast_precision_loss, reason = "it is for a report")]
    pub(super) fn num_done(&self, position: &SourcePosition) -> f64 {
        position.epoch as f64 * self.len() + position.index as f64
    }

    pub(super) fn position(&self) -> SourcePosition {
        self.position
    }

    /// Goes where this source has been, or has been looked at.
    pub(super) fn go_to(&mut self, position: SourcePosition) {
        self.position = position;
    }

    /// Whether this source can stand there.
    pub(super) fn check(&mut self, position: &SourcePosition) -> Result<(), Error> {
        let source_number = self.number;
        let (len, what) = self.rows.len();
        let &SourcePosition { index, offset, .. } = position;
        if index > len {
            return Err(LoaderProblem::Index { source_number, index, len, what }.into());
        }
        let max = match &mut self.rows {
            Rows::Samples(rows) if offset > 0 => {
                let mut position = *position;
                rows.max_offset(&mut Cursor { order: &mut self.order, position: &mut position })?
            }
            Rows::Tokens(_) | Rows::Samples(_) => 0,
        };
        if offset > max {
            return Err(LoaderProblem::Offset { source_number, offset, len: max }.into());
        }
        Ok(())
    }

    /// The next row, of the next epoch if this one has no more.
    ///
    /// # Errors
    /// If a whole epoch has none, or it cannot be read. The position is then of no use.
    pub(super) fn next(&mut self, row: &mut Row, fate: Fate) -> Result<(), Error> {
        while !self.next_of_epoch(row, fate)? {
            self.position.next_epoch();
        }
        Ok(())
    }

    /// The next row of this epoch; `false` if it has no more.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn next_of_epoch(&mut self, row: &mut Row, fate: Fate) -> Result<bool, Error> {
        let before = self.position;
        let found = match &mut self.rows {
            Rows::Tokens(_) if before.index >= self.order.len() => false,
            Rows::Tokens(rows) => {
                if fate == Fate::Read {
                    rows.read(self.order.at(before.epoch, before.index), row)?;
                }
                self.position.index += 1;
                true
            }
            // How many samples a row takes is known when they have been read.
            Rows::Samples(rows) => {
                let cursor = &mut Cursor { order: &mut self.order, position: &mut self.position };
                rows.next_of_epoch(cursor, row)?
            }
        };
        match &mut self.rows {
            Rows::Samples(rows) if !found && before.is_epoch_start() => {
                let (now, before) = (self.position.skipped, before.skipped);
                let skipped = Skipped {
                    bad: now.bad - before.bad,
                    too_long: now.too_long - before.too_long,
                    unlabelled: now.unlabelled - before.unlabelled,
                };
                let (num_samples, first) = (rows.num_samples(), rows.take_first_bad());
                let source_number = self.number;
                Err(LoaderProblem::EmptyEpoch { source_number, num_samples, skipped, first }.into())
            }
            Rows::Samples(_) | Rows::Tokens(_) => Ok(found),
        }
    }
}
