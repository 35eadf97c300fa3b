//! The rule that every rank comes to its end, if sends do not wait and receives do.

use super::{Located, Rule, Violation};
use crate::walk::{Visit, walk};
use crate::{Action, Compute, Placement, Rank, Transfer};

/// Checks messages that are matched and in order.
pub(super) fn check(rows: &[Vec<Action>], placement: &Placement, found: &mut Vec<Violation>) {
    if let Err(steps) = walk(rows, placement, &mut Nothing) {
        let waits = circle(rows, placement, &steps);
        let at = waits.iter().flat_map(|&(recv, send)| [recv, send]).collect();
        found.push(Violation { at, rule: Rule::Deadlock { waits } });
    }
}

/// Only whether the ranks come to their ends is of interest.
struct Nothing;

impl Visit for Nothing {
    type Message = ();

    fn compute(&mut self, _: Rank, _: Compute) {}

    fn send(&mut self, _: Rank, _: Transfer) {}

    fn recv(&mut self, _: Rank, _: Transfer, (): ()) {}
}

/// From ranks that stand still, a circle of receives, each with the send that it waits for.
fn circle(rows: &[Vec<Action>], placement: &Placement, steps: &[usize]) -> Vec<(Located, Located)> {
    let first = (0..rows.len()).find(|&rank| steps[rank] < rows[rank].len()).map(Rank::new);
    let mut rank = first.expect("no progress: some rank stands still");
    let mut path: Vec<(Located, Located)> = Vec::new();
    // Where on the path each rank is. Whoever is waited for stands still too, so some rank returns.
    let mut visited: Vec<Option<usize>> = vec![None; rows.len()];
    loop {
        if let Some(start) = visited[rank.index()] {
            return path.split_off(start);
        }
        visited[rank.index()] = Some(path.len());
        let (recv, send) = wait(rows, placement, steps, rank);
        path.push((recv, send));
        rank = send.rank;
    }
}

/// What a rank that stands still waits for.
fn wait(
    rows: &[Vec<Action>],
    placement: &Placement,
    steps: &[usize],
    rank: Rank,
) -> (Located, Located) {
    let step = steps[rank.index()];
    let action = rows[rank.index()][step];
    let awaited = action.counterpart().expect("only receives wait, and they have their sends");
    let from = placement.rank_of(awaited.stage());
    let start = steps[from.index()];
    let behind = rows[from.index()][start..].iter().position(|&action| action == awaited);
    let distance = behind.expect("matched: what is waited for is still to be sent");
    (
        Located { rank, step, action },
        Located { rank: from, step: start + distance, action: awaited },
    )
}
