//! When everything happened, and what follows from it.

use serde::{Deserialize, Serialize};

use super::{Costs, MemoryPoint, Span, TimelineError, check, memory};
use crate::{Rank, Work};

/// When every action of a schedule happened, by rank, from time 0: simulated, in the units of the
/// [`Costs`], or measured.
///
/// In JSON it is `{"rows": [[{"action": "0F0", "start": 0.0, "end": 1.0}, ..], ..]}`, where an action
/// may also have `"moved"`, and `"held"` with `"peak"`, as [`Span`] says. Reading it checks it as
/// [`from_rows`](Self::from_rows) does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Document")]
pub struct Timeline {
    rows: Vec<Vec<Span>>,
}

/// A timeline that has been read and not been checked.
#[derive(Deserialize)]
struct Document {
    rows: Vec<Vec<Span>>,
}

impl TryFrom<Document> for Timeline {
    type Error = TimelineError;

    fn try_from(document: Document) -> Result<Self, TimelineError> {
        Self::from_rows(document.rows)
    }
}

impl Timeline {
    pub(super) fn new(rows: Vec<Vec<Span>>) -> Self {
        Self { rows }
    }

    /// A timeline that was measured, row `r` being rank `r`'s spans in the order of its actions.
    /// All ranks have one clock, which starts at 0; a little that the clocks are apart does no harm.
    ///
    /// # Errors
    /// Everything that is wrong: a time that is negative, not finite or above 1e290, an end before its
    /// start, an action that happened twice, a rank that computes two things at once, and a forward
    /// that is missing, of the stages and microbatches that are named at all; a size that is
    /// negative, not finite or above 1e60, a peak below what is held, and a message where nothing
    /// is sent or received.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Span, Timeline};
    ///
    /// let span = |action: &str, start, end| Span::new(action.parse().unwrap(), start, end);
    /// let row = vec![span("0F0", 0.0, 1.2), span("0B0", 1.3, 3.7)];
    /// assert_eq!(Timeline::from_rows(vec![row])?.makespan(), 3.7);
    ///
    /// let row = vec![span("0F0", 0.0, 1.2), span("0B0", 1.3, 0.7)];
    /// let error = Timeline::from_rows(vec![row]).unwrap_err();
    /// assert_eq!(error.to_string(), "rank 0, step 1, 0B0: ends at 0.7, before its start at 1.3");
    /// # Ok::<(), autopipe_schedule::TimelineError>(())
    /// ```
    pub fn from_rows(rows: Vec<Vec<Span>>) -> Result<Self, TimelineError> {
        check::check(&rows)?;
        Ok(Self { rows })
    }

    /// The spans by rank, in the order of the schedule's rows.
    #[must_use]
    pub fn rows(&self) -> &[Vec<Span>] {
        &self.rows
    }

    /// The spans of a rank, in the order of its row; empty if there is no such rank.
    #[must_use]
    pub fn row(&self, rank: Rank) -> &[Span] {
        self.rows.get(rank.index()).map_or(&[], Vec::as_slice)
    }

    /// When the last action ends.
    #[must_use]
    pub fn makespan(&self) -> f64 {
        self.rows.iter().flatten().map(|span| span.end).fold(0.0, f64::max)
    }

    /// The longest time from a rank's first computation to the end of its last: a step's cost when
    /// steps follow each other and every rank may start the next as soon as it is done with this.
    #[must_use]
    pub fn span(&self) -> f64 {
        let span = |row: &Vec<Span>| {
            let first = computes(row).next().map(|(_, span)| span.start);
            let last = computes(row).next_back().map(|(_, span)| span.end);
            first.zip(last).map_or(0.0, |(first, last)| last - first)
        };
        self.rows.iter().map(span).fold(0.0, f64::max)
    }

    /// How long the busiest rank computes.
    #[must_use]
    pub fn work(&self) -> f64 {
        let work = |row: &Vec<Span>| computes(row).map(|(_, span)| span.duration()).sum();
        self.rows.iter().map(work).fold(0.0, f64::max)
    }

    /// Which part of the [`span`](Self::span) even the busiest rank waits: 0 for none. This is the
    /// bubble rate of the Zero Bubble paper, (cost - m T) / cost.
    #[must_use]
    pub fn bubble_rate(&self) -> f64 {
        rate(self.span(), self.work())
    }

    /// The same part of the [`makespan`](Self::makespan), as of a single step.
    #[must_use]
    pub fn makespan_bubble_rate(&self) -> f64 {
        rate(self.makespan(), self.work())
    }

    /// Which part of the time of all ranks together, each from 0 to the makespan, they compute
    /// nothing. This and the rates above ask only what the spans say, so that what was measured and
    /// what was simulated are judged alike.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Costs, Extent, Kind, generate, simulate_plan};
    ///
    /// let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
    /// let timeline = simulate_plan(&generate(Kind::OneFOneB, &extent)?, &"F=2:1:1:1".parse()?);
    /// let bubble = timeline.makespan_bubble_rate(); // of the busiest rank
    /// assert!(timeline.idle_rate() > bubble && bubble == timeline.bubble_rate());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn idle_rate(&self) -> f64 {
        let works = self.rows.iter().flat_map(|row| computes(row));
        let work = works.map(|(_, span)| span.duration()).sum();
        rate(self.rows.len() as f64 * self.makespan(), work).max(0.0)
    }

    /// Whether anything goes backward; if nothing does, the timeline is of an evaluation, which
    /// keeps no activations.
    #[must_use]
    pub fn has_backward(&self) -> bool {
        let mut works = self.rows.iter().flat_map(|row| computes(row));
        works.any(|(work, _)| work.parts().any(|part| part.op.frees()))
    }

    /// The most activations alive at once, by rank: pairs of stage and microbatch from the start of
    /// their forward to the end of their `B` or `W`. An evaluation keeps none.
    #[must_use]
    pub fn peak_activations(&self) -> Vec<usize> {
        memory::peak_activations(self)
    }

    /// What each rank holds over time: one point whenever that changes. Where spans say what was
    /// held, it is that; otherwise the costs say it. Without either, an evaluation holds nothing and
    /// has no points.
    #[must_use]
    pub fn memory(&self, costs: &Costs) -> Vec<Vec<MemoryPoint>> {
        memory::curves(self, costs)
    }

    /// The most that each rank holds at once, as measured, or as the costs say it.
    #[must_use]
    pub fn peak_bytes(&self, costs: &Costs) -> Vec<f64> {
        memory::peak_bytes(self, costs)
    }

    /// The same timeline with sizes: what the costs say that messages move and ranks hold, in place
    /// of what the spans have said.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Costs, Held, csv, simulate_plan};
    ///
    /// let costs: Costs = "activation=100,workspace_b=20,resident=1000".parse()?;
    /// let plan = csv::read_plan("0F0,0B0\n".as_bytes())?;
    /// let timeline = simulate_plan(&plan, &costs).with_sizes(&costs);
    /// let held = timeline.rows()[0].iter().filter_map(|span| span.held);
    /// let expected = [Held { end: 1100.0, peak: 1100.0 }, Held { end: 1000.0, peak: 1120.0 }];
    /// assert!(held.eq(expected));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_sizes(&self, costs: &Costs) -> Self {
        Self { rows: memory::with_sizes(self, costs) }
    }
}

fn rate(whole: f64, work: f64) -> f64 {
    if whole > 0.0 { (whole - work) / whole } else { 0.0 }
}

/// What a rank computes, with its spans.
pub(super) fn computes(row: &[Span]) -> impl DoubleEndedIterator<Item = (Work, &Span)> {
    row.iter().filter_map(|span| span.action.work().map(|work| (work, span)))
}
