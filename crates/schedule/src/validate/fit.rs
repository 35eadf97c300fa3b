//! The rule that the rows of a plan fit together: ranks that wait for each other's computations
//! come to their ends.

use super::circle::shortest;
use super::{Facts, Located, Wait};
use crate::{Action, Compute, ComputeOp, Direction, Parts, Rank, Work};

/// Whether all ranks come to their ends; if not, the shortest circle of ranks that wait for each
/// other. Each computes in its order and waits for what it needs of the others.
pub(super) fn run<T: Copy>(
    rows: &[Vec<T>],
    facts: &Facts,
    work: impl Fn(T) -> Option<Work> + Copy,
) -> Result<(), Vec<Wait>> {
    let num_cells = facts.placement.num_stages() * facts.num_microbatches;
    let mut run = Run { rows, facts, work, steps: vec![0; rows.len()], done: vec![0; num_cells] };
    let mut waits_for: Vec<Option<(usize, u8)>> = vec![None; rows.len()];
    let mut ready: Vec<usize> = (0..rows.len()).rev().collect();
    while let Some(rank) = ready.pop() {
        while let Some(&entry) = rows[rank].get(run.steps[rank]) {
            let parts = || work(entry).map_or(Parts::NONE, Work::parts);
            if let Some(compute) = parts().find_map(|part| run.missing(part)) {
                waits_for[rank] = Some(run.cell(compute));
                break;
            }
            run.steps[rank] += 1;
            for part in parts() {
                let Some(direction) = part.op.direction() else { continue };
                let (cell, bit) = run.cell(part);
                run.done[cell] |= bit;
                let user = facts.placement.receiver_of(direction, part.stage);
                let Some(user) = user.map(|(_, rank)| rank.index()) else { continue };
                if waits_for[user] == Some((cell, bit)) {
                    waits_for[user] = None;
                    ready.push(user);
                }
            }
        }
    }
    if rows.iter().zip(&run.steps).all(|(row, &step)| step == row.len()) {
        return Ok(());
    }
    let mut circle = shortest(&(0..rows.len()).map(|rank| run.waits(rank)).collect::<Vec<_>>());
    // Only now, for to look for them in all rows takes long.
    circle.iter_mut().for_each(|wait| run.locate(&mut wait.needs));
    Err(circle)
}

struct Run<'a, T, W> {
    rows: &'a [Vec<T>],
    facts: &'a Facts,
    work: W,
    steps: Vec<usize>,
    /// By cell, a bit for each direction in which it is computed.
    done: Vec<u8>,
}

impl<T: Copy, W: Fn(T) -> Option<Work> + Copy> Run<'_, T, W> {
    /// Where it is noted that a computation is done.
    fn cell(&self, compute: Compute) -> (usize, u8) {
        let cell = compute.stage.index() * self.facts.num_microbatches + compute.microbatch.index();
        (cell, if compute.op == ComputeOp::Forward { 1 } else { 2 })
    }

    /// The neighbour's computation that one needs and that is not done. Its backward may be a `B`
    /// or an `I`.
    fn missing(&self, compute: Compute) -> Option<Compute> {
        let direction = compute.op.direction()?;
        let (stage, _) = self.facts.placement.sender_to(direction, compute.stage)?;
        let op = match direction {
            Direction::Forward => ComputeOp::Forward,
            Direction::Backward => ComputeOp::Backward,
        };
        let needs = Compute { op, stage, ..compute };
        let (cell, bit) = self.cell(needs);
        (self.done[cell] & bit == 0).then_some(needs)
    }

    /// What a rank waits for; where that stands is left open.
    fn waits(&self, rank: usize) -> Vec<Wait> {
        let step = self.steps[rank];
        let entry = self.rows[rank].get(step).and_then(|&entry| (self.work)(entry));
        let missing = entry.into_iter().flat_map(|work| {
            work.parts().filter_map(move |part| self.missing(part).map(|needs| (work, needs)))
        });
        let wait = |(work, needs): (Work, Compute)| {
            let at = Located { rank: Rank::new(rank), step, action: Action::from(work) };
            let rank = self.facts.placement.rank_of(needs.stage);
            Wait { at, needs: Located { rank, step: 0, action: needs.into() } }
        };
        missing.map(wait).collect()
    }

    /// Finds a computation in its rank's row, where a backward may be a `B` or an `I`.
    fn locate(&self, needs: &mut Located) {
        let Action::Compute(needed) = needs.action else { return };
        let is_it =
            |part: &Compute| part.op.direction().is_some() && self.cell(*part) == self.cell(needed);
        let place = |(step, &entry): (usize, &T)| {
            let mut parts = (self.work)(entry).into_iter().flat_map(Work::parts);
            Some((step, parts.find(is_it)?))
        };
        let found = self.rows[needs.rank.index()].iter().enumerate().find_map(place);
        let (step, part) = found.expect("complete: what is needed is computed somewhere");
        (needs.step, needs.action) = (step, part.into());
    }
}
