//! Times rows of F and I, and puts the W into their gaps.

use super::instance::{Instance, Step};

/// When a W that waits gets its turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Patience {
    /// The part of W that a gap needs to have for W to go in.
    pub(super) least_gap: f64,
    /// How many W may wait at most.
    pub(super) most_waiting: usize,
}

/// Complete rows with their figures.
#[derive(Clone, Debug)]
pub(super) struct Filled {
    pub(super) rows: Vec<Vec<Step>>,
    /// By rank, from the first start to the last end.
    pub(super) spans: Vec<f64>,
    pub(super) makespan: f64,
}

impl Filled {
    /// The longest span.
    pub(super) fn cost(&self) -> f64 {
        self.spans.iter().fold(0.0, |longest, &span| f64::max(longest, span))
    }
}

/// When the stages' work is done, and how far the ranks are.
struct Clock<'a> {
    instance: &'a Instance,
    /// By direction, stage and microbatch, the end; infinite until it is known.
    ends: [Vec<f64>; 2],
}

impl Clock<'_> {
    /// When the tensors for a step are there; none if their maker has no time yet.
    fn arrival(&self, rank: usize, step: Step, microbatch: usize) -> Option<f64> {
        let m = self.instance.num_microbatches;
        let stage = self.instance.stage(rank, step.chunk());
        let (direction, maker, hop) = if step.is_forward() {
            let Some(maker) = stage.checked_sub(1) else { return Some(0.0) };
            (0, maker, self.instance.hop(maker))
        } else if stage + 1 < self.instance.num_stages() {
            (1, stage + 1, self.instance.hop(stage))
        } else {
            (0, stage, 0.0)
        };
        let end = self.ends[direction][maker * m + microbatch] + hop;
        end.is_finite().then_some(end)
    }

    fn finish(&mut self, rank: usize, step: Step, microbatch: usize, end: f64) {
        let m = self.instance.num_microbatches;
        let stage = self.instance.stage(rank, step.chunk());
        self.ends[usize::from(!step.is_forward())][stage * m + microbatch] = end;
    }
}

/// A rank on its way through its row.
#[derive(Clone, Default)]
struct Progress {
    next: usize,
    counts: [usize; Step::NUM],
    /// Index into `inputs` of the oldest I whose W waits.
    oldest: usize,
    inputs: Vec<Step>,
    now: f64,
    start: f64,
    memory: u64,
    row: Vec<Step>,
}

/// Runs rows of F and I as soon as their tensors are there, and W in between; none if the memory
/// does not suffice or the rows wait for each other.
///
/// A W goes in where the rank would wait for long enough, where memory is needed, and where too many
/// wait; the rest stands at the end.
pub(super) fn fill(
    instance: &Instance,
    rows: &[Vec<Step>],
    patience: &[Patience],
) -> Option<Filled> {
    let cells = instance.num_stages() * instance.num_microbatches;
    let mut clock =
        Clock { instance, ends: [vec![f64::INFINITY; cells], vec![f64::INFINITY; cells]] };
    let mut ranks: Vec<Progress> = rows
        .iter()
        .map(|row| Progress {
            row: Vec::with_capacity(row.len() * 3 / 2),
            inputs: Vec::with_capacity(row.len() / 2),
            ..Progress::default()
        })
        .collect();
    let mut queued = vec![true; rows.len()];
    let mut queue: std::collections::VecDeque<usize> = (0..rows.len()).collect();
    while let Some(rank) = queue.pop_front() {
        queued[rank] = false;
        let before = ranks[rank].next;
        run(&mut clock, &mut ranks[rank], rank, &rows[rank], patience[rank])?;
        if ranks[rank].next > before {
            for neighbour in [rank.wrapping_sub(1), rank + 1] {
                if neighbour < rows.len() && !queued[neighbour] {
                    queued[neighbour] = true;
                    queue.push_back(neighbour);
                }
            }
        }
    }
    if ranks.iter().zip(rows).any(|(progress, row)| progress.next < row.len()) {
        return None;
    }
    let mut filled = Filled { rows: Vec::new(), spans: Vec::new(), makespan: 0.0 };
    for (rank, mut progress) in ranks.into_iter().enumerate() {
        while progress.oldest < progress.inputs.len() {
            weight(instance, &mut progress, rank);
        }
        filled.spans.push(progress.now - progress.start);
        filled.makespan = filled.makespan.max(progress.now);
        filled.rows.push(progress.row);
    }
    Some(filled)
}

/// Runs a rank until it needs what has no time yet; none if its memory does not suffice.
fn run(
    clock: &mut Clock<'_>,
    progress: &mut Progress,
    rank: usize,
    row: &[Step],
    patience: Patience,
) -> Option<()> {
    let instance = clock.instance;
    while let Some(&step) = row.get(progress.next) {
        let microbatch = progress.counts[step.index()];
        let Some(arrival) = clock.arrival(rank, step, microbatch) else { break };
        while progress.oldest < progress.inputs.len() {
            let waiting = progress.inputs.len() - progress.oldest;
            let weight_step = progress.inputs[progress.oldest].weight();
            let gap = arrival - progress.now;
            let takes = instance.durations[rank][weight_step.index()];
            let full =
                step.is_forward() && !instance.has_room(rank, progress.memory, instance.activation);
            if !(full
                || waiting > patience.most_waiting
                || (gap > 0.0 && gap >= patience.least_gap * takes))
            {
                break;
            }
            weight(instance, progress, rank);
        }
        if step.is_forward() {
            if !instance.has_room(rank, progress.memory, instance.activation) {
                return None;
            }
            progress.memory += instance.activation;
        } else {
            progress.memory -= instance.activation - instance.weight_input;
            progress.inputs.push(step);
        }
        let start = progress.now.max(arrival);
        if progress.row.is_empty() {
            progress.start = start;
        }
        progress.now = start + instance.durations[rank][step.index()];
        progress.row.push(step);
        progress.counts[step.index()] += 1;
        progress.next += 1;
        clock.finish(rank, step, microbatch, progress.now);
    }
    Some(())
}

/// Does the oldest W that waits.
fn weight(instance: &Instance, progress: &mut Progress, rank: usize) {
    let step = progress.inputs[progress.oldest].weight();
    progress.oldest += 1;
    progress.memory -= instance.weight_input;
    progress.now += instance.durations[rank][step.index()];
    progress.row.push(step);
}
