//! Costs from a run that was measured.

use std::collections::BTreeMap;

use super::{CostKey, Costs, PerStage};
use crate::{Action, Direction, Span, Timeline, Transfer};

impl Costs {
    /// What a run has cost: the exact time of every computation, and of every collective and
    /// optimiser step.
    ///
    /// The latency of an edge between two stages is the least that one of its messages took, from
    /// its send's start to its receive's end. Only messages count whose receive had to wait, and
    /// those first whose receive was posted before the send; an edge without such messages has none.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Costs, Extent, Kind, generate, lower, simulate, validate};
    ///
    /// let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
    /// let program = validate(lower(&generate(Kind::OneFOneB, &extent)?))?;
    /// let run = simulate(&program, &Costs::uniform(3.0, 4.0, 2.0, 0.5)?); // as if measured
    /// assert_eq!(simulate(&program, &Costs::measured(&run)), run);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn measured(timeline: &Timeline) -> Self {
        let mut actions = BTreeMap::new();
        let mut sends: BTreeMap<Transfer, Span> = BTreeMap::new();
        for &span in timeline.rows().iter().flatten() {
            match span.action {
                // What only runs beside the rank may have waited for its turn as well, and the
                // ranks of a tie group for each other: the shortest time is the best guess.
                Action::Unshard(_)
                | Action::ReduceGrad(_)
                | Action::ReduceTied { .. }
                | Action::Compute(_)
                | Action::Overlap(_)
                | Action::Reshard(_)
                | Action::OptimizerStep(_) => {
                    let time: &mut f64 = actions.entry(span.action).or_insert(f64::INFINITY);
                    *time = time.min(span.duration());
                }
                Action::Send(transfer) => {
                    sends.insert(transfer, span);
                }
                Action::Recv(_) | Action::WaitSend(_) | Action::WaitReduceGrad(_) => {}
            }
        }
        let latencies = latencies(timeline, &sends);
        let mut given = BTreeMap::new();
        if !latencies.is_empty() {
            given.insert(CostKey::Latency, PerStage::Each(latencies));
        }
        let costs = Self { given, actions, ..Self::UNIT };
        costs.checked(Vec::new()).expect("a timeline has no times but finite ones, 0 or more")
    }
}

/// By edge, the least time of a message; empty if nothing was sent.
fn latencies(timeline: &Timeline, sends: &BTreeMap<Transfer, Span>) -> Vec<f64> {
    // By edge, the least of those whose receive was early, and of the others.
    let mut least: BTreeMap<usize, [f64; 2]> = BTreeMap::new();
    for &recv in timeline.rows().iter().flatten() {
        let Action::Recv(transfer) = recv.action else { continue };
        let Some(stage) = transfer.direction.sender_to(transfer.stage) else { continue };
        let Some(send) = sends.get(&Transfer { stage, ..transfer }) else { continue };
        if recv.end <= recv.start {
            continue;
        }
        let edge = match transfer.direction {
            Direction::Forward => stage.index(),
            Direction::Backward => transfer.stage.index(),
        };
        let least = least.entry(edge).or_insert([f64::INFINITY; 2]);
        let least = &mut least[usize::from(recv.start > send.start)];
        *least = least.min((recv.end - send.start).max(0.0));
    }
    let num_edges = least.keys().next_back().map_or(0, |last| last + 1);
    let latency = |edge| match least.get(&edge) {
        None => 0.0,
        Some(&[early, late]) => {
            if early.is_finite() {
                early
            } else {
                late
            }
        }
    };
    (0..num_edges).map(latency).collect()
}
