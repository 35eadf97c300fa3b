//! When everything happened, and what follows from it.

use crate::{Action, ComputeOp, Rank, Work};

/// When an action happened.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// The action.
    pub action: Action,
    /// When a computation started, a send was sent, a receive was posted.
    pub start: f64,
    /// When a computation ended, a send was handed over, a receive's tensors were there. A receive
    /// may last while the rank computes.
    pub end: f64,
}

/// When every action of a program happened, by rank, from time 0 and in the units of the
/// [`Cost`](crate::Cost).
#[derive(Clone, Debug, PartialEq)]
pub struct Timeline {
    rows: Vec<Vec<Span>>,
}

impl Timeline {
    pub(super) fn new(rows: Vec<Vec<Span>>) -> Self {
        Self { rows }
    }

    /// The spans by rank, in the order of the program's rows.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Span>] {
        &self.rows
    }

    /// The spans of a rank, in the order of its row; empty if there is no such rank.
    #[must_use]
    pub fn row(&self, rank: Rank) -> &[Span] {
        self.rows.get(rank.index()).map_or(&[], Vec::as_slice)
    }

    /// When the last computation ends.
    #[must_use]
    pub fn makespan(&self) -> f64 {
        self.rows.iter().flat_map(|row| computes(row)).map(|(_, span)| span.end).fold(0.0, f64::max)
    }

    /// The longest time from a rank's first computation to its last: a step's cost when steps follow
    /// each other and every rank may start the next as soon as it is done with this one.
    #[must_use]
    pub fn span(&self) -> f64 {
        let span = |row: &Vec<Span>| {
            let first = computes(row).map(|(_, span)| span.start).next();
            let last = computes(row).map(|(_, span)| span.end).next_back();
            first.zip(last).map_or(0.0, |(first, last)| last - first)
        };
        self.rows.iter().map(span).fold(0.0, f64::max)
    }

    /// How long the busiest rank computes.
    #[must_use]
    pub fn work(&self) -> f64 {
        let work = |row: &Vec<Span>| computes(row).map(|(_, span)| span.end - span.start).sum();
        self.rows.iter().map(work).fold(0.0, f64::max)
    }

    /// Which part of the [`span`](Self::span) even the busiest rank waits: 0 for none. This is the
    /// bubble rate of the Zero Bubble paper, (cost - m T) / cost.
    #[must_use]
    pub fn bubble_rate(&self) -> f64 {
        let span = self.span();
        if span > 0.0 { (span - self.work()) / span } else { 0.0 }
    }

    /// The most activations alive at once, by rank: pairs of stage and microbatch after their
    /// forward and before the end of their backward. An evaluation keeps none.
    #[must_use]
    pub fn peak_activations(&self) -> Vec<usize> {
        let is_training = self
            .rows
            .iter()
            .flat_map(|row| computes(row))
            .any(|(work, _)| work.parts().any(|part| part.op.frees()));
        if !is_training {
            return vec![0; self.rows.len()];
        }
        self.rows.iter().map(|row| peak(row)).collect()
    }
}

fn computes(row: &[Span]) -> impl DoubleEndedIterator<Item = (Work, &Span)> {
    row.iter().filter_map(|span| span.action.work().map(|work| (work, span)))
}

fn peak(row: &[Span]) -> usize {
    let (mut alive, mut peak) = (0, 0);
    for part in computes(row).flat_map(|(work, _)| work.parts()) {
        if part.op == ComputeOp::Forward {
            alive += 1;
            peak = peak.max(alive);
        } else if part.op.frees() {
            alive -= 1;
        }
    }
    peak
}
