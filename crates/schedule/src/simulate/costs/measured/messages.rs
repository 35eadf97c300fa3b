//! How long messages took, and how large they were.

use std::collections::BTreeMap;

use super::middle::lower_middle;
use super::{CostKey, PerStage};
use crate::simulate::costs::{MOST, edge};
use crate::{Action, Direction, MicroBatch, Span, Timeline, Transfer};

/// By edge, latency and size, as far as they are known.
pub(super) fn of_edges(timeline: &Timeline, num_stages: usize) -> BTreeMap<CostKey, PerStage> {
    let num_edges = num_stages.saturating_sub(1);
    let sizes = sizes(timeline);
    let size_of = |microbatch: MicroBatch| sizes.get(microbatch.index()).copied().unwrap_or(1.0);
    let mut of_edges = vec![Vec::new(); num_edges];
    for (edge, microbatch, moved) in moved(timeline) {
        if let Some(of_edge) = of_edges.get_mut(edge)
            && size_of(microbatch) > 0.0
        {
            of_edge.push(moved / size_of(microbatch));
        }
    }
    let mut given = BTreeMap::new();
    let latencies = latencies(timeline, num_edges);
    if latencies.iter().any(|&latency| latency > 0.0) {
        given.insert(CostKey::Latency, latencies.into());
    }
    if of_edges.iter().any(|of_edge| !of_edge.is_empty()) {
        let bytes = |of_edge| lower_middle(Some(of_edge)).unwrap_or(0.0).min(MOST);
        let bytes: Vec<f64> = of_edges.iter().map(bytes).collect();
        given.insert(CostKey::MessageBytes, bytes.into());
    }
    given
}

/// By microbatch, how many times as large its messages are as the median of their edges; empty if
/// all are alike.
pub(super) fn sizes(timeline: &Timeline) -> Vec<f64> {
    let mut of_edges: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (edge, _, moved) in moved(timeline) {
        of_edges.entry(edge).or_default().push(moved);
    }
    let usual: BTreeMap<usize, f64> = of_edges
        .into_iter()
        .filter_map(|(edge, moved)| Some((edge, lower_middle(Some(&moved))?)))
        .filter(|&(_, usual)| usual > 0.0)
        .collect();
    let mut ratios: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (edge, microbatch, moved) in moved(timeline) {
        if let Some(usual) = usual.get(&edge) {
            ratios.entry(microbatch.index()).or_default().push((moved / usual).min(MOST));
        }
    }
    let num_microbatches = ratios.keys().next_back().map_or(0, |last| last + 1);
    let size = |microbatch| lower_middle(ratios.get(&microbatch)).unwrap_or(1.0);
    let sizes: Vec<f64> = (0..num_microbatches).map(size).collect();
    if sizes.iter().all(|&size| size == 1.0) { Vec::new() } else { sizes }
}

/// What messages have moved: on which edge, of which microbatch, and how much.
fn moved(timeline: &Timeline) -> impl Iterator<Item = (usize, MicroBatch, f64)> {
    timeline.rows().iter().flatten().filter_map(|span| {
        let (lower, microbatch) = edge(span.action)?;
        Some((lower.index(), microbatch, span.moved?))
    })
}

/// By edge, the least time of a message; 0 if none had to be waited for.
fn latencies(timeline: &Timeline, num_edges: usize) -> Vec<f64> {
    let send = |span: &Span| match span.action {
        Action::Send(transfer) => Some((transfer, *span)),
        _ => None,
    };
    let sends: BTreeMap<Transfer, Span> =
        timeline.rows().iter().flatten().filter_map(send).collect();
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
