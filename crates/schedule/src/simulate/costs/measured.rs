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
        let mut actions: BTreeMap<Action, f64> = BTreeMap::new();
        let mut sends: BTreeMap<Transfer, Span> = BTreeMap::new();
        // By tie group, the actions, and the time of the last rank to come: the others waited.
        let mut ties: BTreeMap<u16, (Vec<Action>, f64)> = BTreeMap::new();
        for row in timeline.rows() {
            // When the last collective was over, which the next one had to wait for.
            let mut stream: f64 = 0.0;
            let mut last_ties: BTreeMap<u16, f64> = BTreeMap::new();
            for &span in row {
                match span.action {
                    Action::Compute(_)
                    | Action::Overlap(_)
                    | Action::Reshard(_)
                    | Action::OptimizerStep(_) => {
                        actions.insert(span.action, span.duration());
                    }
                    Action::Unshard(_) | Action::ReduceGrad(_) => {
                        let time = (span.end - span.start.max(stream)).max(0.0);
                        // A stage may be unsharded several times.
                        let least = actions.entry(span.action).or_insert(time);
                        *least = least.min(time);
                        stream = stream.max(span.end);
                    }
                    Action::ReduceTied { group, .. } => {
                        let tie = ties.entry(group).or_insert((Vec::new(), f64::INFINITY));
                        tie.0.push(span.action);
                        last_ties.insert(group, span.duration());
                    }
                    Action::Send(transfer) => {
                        sends.insert(transfer, span);
                    }
                    Action::Recv(_) | Action::WaitSend(_) | Action::WaitReduceGrad(_) => {}
                }
            }
            for (group, time) in last_ties {
                ties.entry(group).and_modify(|tie| tie.1 = tie.1.min(time));
            }
        }
        actions.extend(
            ties.into_values()
                .flat_map(|(members, time)| members.into_iter().map(move |action| (action, time))),
        );
        let latencies = latencies(timeline, &sends);
        let mut given = BTreeMap::new();
        if !latencies.is_empty() {
            given.insert(CostKey::Latency, PerStage::Each(latencies));
        }
        // A timeline has no times but finite ones, 0 or more.
        Self { given, actions, ..Self::UNIT }.worked_out()
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
