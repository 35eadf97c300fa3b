//! Building blocks for two chunks a rank: one microbatch's steps, repeated at a fixed distance.
//!
//! A block says when a microbatch's F and I happen, on a grid of six slots a microbatch: one for each
//! of F, I and W of the two chunks. If no two of them fall on the same slot of six on any rank, copies
//! at a distance of six fill the grid, and the length of the way between F and I says how many
//! activations are alive at once. This is the construction of arXiv 2405.15362.

use super::instance::{Instance, Step};

/// Slots a microbatch takes on every rank.
const PERIOD: usize = 6;

/// When one microbatch's steps happen: the distances along its way there, back, and the same for I.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// From rank to rank for the first chunk's F, the second's, the second's I and the first's.
    steps: [usize; 4],
    /// On the last rank to the second chunk's F, on the first to its I, on the last to the first's.
    turns: [usize; 3],
}

impl Block {
    /// When a rank does F0, F1, I1, I0.
    fn slots(&self, rank: usize, num_ranks: usize) -> [usize; 4] {
        let (far, left) = (num_ranks - 1, num_ranks - 1 - rank);
        let [f0, f1, i1, i0] = self.steps;
        let [last, first, last_again] = self.turns;
        let back = far * f0 + last;
        let home = back + far * f1 + first;
        let again = home + far * i1 + last_again;
        [rank * f0, back + left * f1, home + rank * i1, again + left * i0]
    }

    /// Whether no slot of a rank's is taken twice, up to the given of its steps.
    fn fits(&self, num_ranks: usize, num_steps: usize) -> bool {
        (0..num_ranks.min(PERIOD)).all(|rank| {
            let slots = self.slots(rank, num_ranks);
            (1..num_steps).all(|a| (0..a).all(|b| slots[a] % PERIOD != slots[b] % PERIOD))
        })
    }

    /// The most activations of a rank at once, when one is kept until the start of its I.
    fn peak(&self, rank: usize, num_ranks: usize) -> usize {
        let [f0, f1, i1, i0] = self.slots(rank, num_ranks);
        let late = i0.div_ceil(PERIOD) * PERIOD;
        let alive = |at: usize, from: usize, to: usize| {
            (at + late - from) / PERIOD - (at + late - to) / PERIOD
        };
        [f0, f1].map(|at| alive(at, f0, i0) + alive(at, f1, i1)).into_iter().max().unwrap_or(0)
    }
}

/// The blocks whose copies fill the grid within the memory, the shortest way first.
pub(super) fn blocks(instance: &Instance) -> Vec<Block> {
    let p = instance.num_ranks;
    let mut blocks = Vec::new();
    for (f0, last, f1) in triples() {
        let open = Block { steps: [f0, f1, 1, 1], turns: [last, 1, 1] };
        if !open.fits(p, 2) {
            continue;
        }
        for (first, i1) in (1..=PERIOD).flat_map(|a| (1..=PERIOD).map(move |b| (a, b))) {
            let half = Block { steps: [f0, f1, i1, 1], turns: [last, first, 1] };
            if !half.fits(p, 3) {
                continue;
            }
            for (again, i0) in (1..=PERIOD).flat_map(|a| (1..=PERIOD).map(move |b| (a, b))) {
                let block = Block { steps: [f0, f1, i1, i0], turns: [last, first, again] };
                let is_small = |rank| block.peak(rank, p) <= instance.capacity(rank);
                if block.fits(p, 4) && (0..p).all(is_small) {
                    blocks.push(block);
                }
            }
        }
    }
    blocks.sort_by_key(|block| (block.slots(0, p)[3], block.steps, block.turns));
    blocks.truncate(MOST_BLOCKS);
    blocks
}

/// More of them are longer, and not better in the end.
const MOST_BLOCKS: usize = 150;

fn triples() -> impl Iterator<Item = (usize, usize, usize)> {
    (1..=PERIOD).flat_map(|a| (1..=PERIOD).flat_map(move |b| (1..=PERIOD).map(move |c| (a, b, c))))
}

/// The order of the steps when every microbatch repeats the block.
pub(super) fn repeat(block: &Block, instance: &Instance) -> Vec<Vec<Step>> {
    let row = |rank: usize| {
        let slots = block.slots(rank, instance.num_ranks);
        let mut steps: Vec<(usize, Step)> = (0..instance.num_microbatches)
            .flat_map(|microbatch| {
                slots.into_iter().map(move |slot| slot + PERIOD * microbatch).zip([
                    Step::F0,
                    Step::F1,
                    Step::I1,
                    Step::I0,
                ])
            })
            .collect();
        steps.sort_unstable();
        steps.into_iter().map(|(_, step)| step).collect()
    };
    (0..instance.num_ranks).map(row).collect()
}
