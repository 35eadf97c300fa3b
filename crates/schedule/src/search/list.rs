//! List scheduling: a clock runs, and a free rank takes the first of its preferences that is ready.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::instance::{Instance, Step};

/// What decides between steps that are ready.
#[derive(Clone, Debug)]
pub(super) struct Taste {
    /// The kinds of F and I, the most wanted first.
    pub(super) order: [Step; 4],
    /// By rank, how many microbatches its first chunk may have between F and I.
    pub(super) most_in_flight: Vec<usize>,
    /// The least part of W that a known gap needs to have for W to go in.
    pub(super) least_gap: f64,
}

/// A rank at its present time.
#[derive(Clone, Default)]
struct Desk {
    free: f64,
    counts: [usize; Step::NUM],
    memory: u64,
    oldest: usize,
    inputs: Vec<Step>,
    row: Vec<Step>,
}

/// Rows of F and I in the order in which the ranks take them; none if the tastes lead nowhere.
///
/// Of two chunks the second always keeps room for one forward. So some microbatch can always go all
/// the way, and there is no deadlock by memory.
pub(super) fn list(instance: &Instance, taste: &Taste) -> Option<Vec<Vec<Step>>> {
    let m = instance.num_microbatches;
    let mut arrivals = vec![[const { Vec::new() }; 4]; instance.num_ranks];
    for (rank, by_step) in arrivals.iter_mut().enumerate() {
        for (step, times) in by_step.iter_mut().enumerate() {
            let first = rank == 0 && step == Step::F0.index();
            *times = vec![if first { 0.0 } else { f64::INFINITY }; m];
        }
    }
    let mut desks = vec![Desk::default(); instance.num_ranks];
    // Times are not negative, so that their bits have their order.
    let mut events = BinaryHeap::from([Reverse((0.0_f64.to_bits(), 0))]);
    while let Some(Reverse((bits, rank))) = events.pop() {
        let now = f64::from_bits(bits);
        if desks[rank].free > now {
            continue;
        }
        let Some(step) = choose(instance, taste, &desks[rank], &arrivals[rank], rank, now) else {
            continue;
        };
        let desk = &mut desks[rank];
        let microbatch = desk.counts[step.index()];
        desk.counts[step.index()] += 1;
        desk.free = now + instance.durations[rank][step.index()];
        events.push(Reverse((desk.free.to_bits(), rank)));
        match step {
            Step::W0 | Step::W1 => {
                desk.oldest += 1;
                desk.memory -= instance.weight_input;
                continue;
            }
            Step::F0 | Step::F1 => desk.memory += instance.activation,
            Step::I0 | Step::I1 => {
                desk.memory -= instance.activation - instance.weight_input;
                desk.inputs.push(step);
            }
        }
        desk.row.push(step);
        let end = desk.free;
        if let Some((taker, kind, delay)) = follow(instance, rank, step) {
            arrivals[taker][kind.index()][microbatch] = end + delay;
            events.push(Reverse(((end + delay).to_bits(), taker)));
        }
    }
    let done = |desk: &Desk| desk.row.len() == 2 * instance.num_chunks * m;
    desks.iter().all(done).then(|| desks.into_iter().map(|desk| desk.row).collect())
}

/// Who waits for a step's result, and for how long it travels.
fn follow(instance: &Instance, rank: usize, step: Step) -> Option<(usize, Step, f64)> {
    let stage = instance.stage(rank, step.chunk());
    let forward = step.is_forward();
    let (next, delay) = if !forward {
        (stage.checked_sub(1)?, instance.hop(stage.checked_sub(1)?))
    } else if stage + 1 < instance.num_stages() {
        (stage + 1, instance.hop(stage))
    } else {
        (stage, 0.0)
    };
    let turns = forward && stage + 1 == instance.num_stages();
    let kind = match (forward && !turns, instance.chunk(next) == 0) {
        (true, true) => Step::F0,
        (true, false) => Step::F1,
        (false, true) => Step::I0,
        (false, false) => Step::I1,
    };
    Some((instance.rank(next), kind, delay))
}

/// The first choice that is ready at this time, if there is one.
fn choose(
    instance: &Instance,
    taste: &Taste,
    desk: &Desk,
    arrivals: &[Vec<f64>; 4],
    rank: usize,
    now: f64,
) -> Option<Step> {
    let mut next_arrival = f64::INFINITY;
    let mut needs_room = false;
    for &step in &taste.order {
        let Some(&arrival) = arrivals[step.index()].get(desk.counts[step.index()]) else {
            continue;
        };
        if arrival > now {
            next_arrival = next_arrival.min(arrival);
            continue;
        }
        match step {
            Step::I0 | Step::I1 => return Some(step),
            Step::F0 => {
                let back = if instance.num_chunks == 2 { Step::F1 } else { Step::I0 };
                let in_flight = desk.counts[Step::F0.index()] - desk.counts[back.index()];
                // Checked: a limit has room for an activation of each chunk, so their sum is in range.
                let needed = (0..instance.num_chunks).map(|_| instance.activation).sum();
                if in_flight >= taste.most_in_flight[rank] {
                    continue;
                }
                if instance.has_room(rank, desk.memory, needed) {
                    return Some(step);
                }
            }
            Step::F1 => {
                if instance.has_room(rank, desk.memory, instance.activation) {
                    return Some(step);
                }
            }
            Step::W0 | Step::W1 => {}
        }
        needs_room = true;
    }
    let weight = desk.inputs.get(desk.oldest)?.weight();
    let takes = instance.durations[rank][weight.index()];
    (needs_room || next_arrival - now >= taste.least_gap * takes).then_some(weight)
}
