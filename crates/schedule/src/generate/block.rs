//! Schedules from a building block: where one microbatch's passes lie, repeated and squeezed.
//!
//! A block says when each stage's forward and backward of one microbatch start, as if there were
//! no other. Microbatch j follows j periods later, a period being what all passes of a rank take.
//! If no two passes of a rank start at the same time of a period, ranks are busy without a gap in
//! the steady part; and the time from a forward to its backward, counted in periods, is how many
//! activations a rank holds.
//!
//! Squeezing takes the waits out that remain. A rank computes forwards in the block's order, and
//! not before backwards that the block has sooner; a backward goes as soon as its gradient is
//! there; and the gradients of weights, which a block leaves out, fill the gaps. If the block needs
//! no more than the limit of activations, nothing gets stuck: of all that is left, the first in the
//! block's order has what it needs, and there is room for it, because before it there were only
//! those forwards that the block has before it too.
//!
//! The other order is that of a wave: backwards first, and of forwards that of the oldest
//! microbatch, on the stage furthest on. A forward leaves room for all older ones of its rank, so
//! that the oldest microbatch can always go on. It is short if microbatches are few.
//!
//! Qi et al., *Pipeline Parallelism with Controllable Memory*, 2024,
//! <https://arxiv.org/abs/2405.15362>.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use super::Extent;
use super::row::Row;
use crate::{ComputeOp, Placement, PlacementStyle, Rank, Stage, Work};

/// What a rank computes next, if there is a choice.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Block,
    Wave,
}

/// A block for stages that lie in a V or in a longer snake: how long after the pass before each
/// pass starts.
///
/// Units are those in which a forward takes 1 and a whole backward 2, which gives rows that are
/// good for all costs near it.
pub(super) struct Block {
    /// From rank to rank going forward: over even stages of a rank, and over odd ones.
    pub(super) forward: [usize; 2],
    /// From rank to rank going backward, likewise.
    pub(super) backward: [usize; 2],
    /// From one stage to the next on one rank: going forward, between the last stage's forward and
    /// its backward, and going backward.
    pub(super) turns: [usize; 3],
    /// The most activations that a rank may hold.
    pub(super) limit: usize,
    /// [`Backward`](ComputeOp::Backward) or [`BackwardInput`](ComputeOp::BackwardInput).
    pub(super) op: ComputeOp,
}

/// After so many microbatches for each rank it shows which order is the shortest.
const TRIAL: usize = 16;

/// The rows of the shortest that can be made of the blocks and of the wave, at unit costs. All
/// have the same limit and backward.
pub(super) fn shortest(blocks: &[Block], extent: &Extent) -> Vec<Vec<Work>> {
    let num_tried = extent.num_microbatches.min(TRIAL * extent.num_ranks);
    let trial = Extent { num_microbatches: num_tried, ..*extent };
    let of_blocks = blocks.iter().map(|block| (block, Order::Block));
    let of_wave = blocks.first().map(|block| (block, Order::Wave));
    let tried = of_blocks.chain(of_wave).filter_map(|(block, order)| {
        let (length, rows) = squeeze(block, &trial, order)?;
        Some((length, block, order, rows))
    });
    let (_, block, order, rows) =
        tried.min_by_key(|&(length, ..)| length).expect("a wave does not get stuck");
    if trial == *extent {
        return rows;
    }
    drop(rows);
    let whole = squeeze(block, extent, order).or_else(|| squeeze(block, extent, Order::Wave));
    whole.expect("a wave does not get stuck").1
}

/// Squeezes a block; none if it needs more than its limit and so gets stuck. The length comes with
/// the rows.
fn squeeze(block: &Block, extent: &Extent, order: Order) -> Option<(usize, Vec<Vec<Work>>)> {
    let mut squeeze = Squeeze::new(block, extent, order);
    let mut woken: Vec<usize> = (0..extent.num_ranks).collect();
    // What finishes in this unit of time, in the next, and in the one after.
    let mut finishing: [Vec<Pass>; 3] = Default::default();
    let mut unit = 0;
    loop {
        for rank in woken.drain(..) {
            if let Some(pass) = squeeze.start(rank) {
                finishing[(unit + duration(pass.op)) % 3].push(pass);
            }
        }
        if finishing.iter().all(Vec::is_empty) {
            break;
        }
        unit += 1;
        for pass in std::mem::take(&mut finishing[unit % 3]) {
            woken.push(squeeze.finish(pass));
            woken.extend(squeeze.reached_by(pass));
        }
    }
    let is_whole = squeeze.stages.iter().all(|s| s.num_backwards == extent.num_microbatches);
    let rows = squeeze.ranks.into_iter().map(|rank| rank.row.finish()).collect();
    is_whole.then_some((unit, rows))
}

fn duration(op: ComputeOp) -> usize {
    match op {
        ComputeOp::Backward => 2,
        ComputeOp::Forward
        | ComputeOp::BackwardInput
        | ComputeOp::BackwardWeight
        | ComputeOp::Recompute => 1,
    }
}

/// Something that a rank computes.
#[derive(Clone, Copy)]
struct Pass {
    op: ComputeOp,
    stage: usize,
    microbatch: usize,
}

/// When the block has a pass, and of which stage it is.
type Due = Reverse<(usize, usize)>;

/// A microbatch and its stage; the oldest comes first, furthest on.
type Arrived = (Reverse<usize>, usize);

struct Squeeze {
    order: Order,
    op: ComputeOp,
    limit: usize,
    num_microbatches: usize,
    /// From a microbatch's start to the next one's.
    period: usize,
    placement: Placement,
    stages: Vec<StageState>,
    ranks: Vec<RankState>,
}

/// Microbatches of a stage, which go by in order.
struct StageState {
    /// When the block has the first forward.
    forward: usize,
    /// When the block has the first backward.
    backward: usize,
    num_forwards: usize,
    /// How many of the forwards have ended.
    num_forwarded: usize,
    num_backwards: usize,
}

struct RankState {
    row: Row,
    is_busy: bool,
    num_held: usize,
    stages: Vec<usize>,
    /// The next forward of every stage.
    forwards: BinaryHeap<Due>,
    /// Microbatches and stages of the forwards whose inputs are there.
    arrived: BinaryHeap<Arrived>,
    /// The next backward of every stage, and what has gone out of order.
    backwards: BinaryHeap<Due>,
    /// The backwards whose gradients are there.
    possible: BinaryHeap<Due>,
    /// Stage and microbatch of every `I` without its `W`.
    late: VecDeque<(usize, usize)>,
}

impl Squeeze {
    fn new(block: &Block, extent: &Extent, order: Order) -> Self {
        let &Extent { num_ranks, stages_per_rank, num_microbatches } = extent;
        let placement = PlacementStyle::Snake.place(num_ranks, stages_per_rank);
        let placement = placement.expect("checked: there are ranks, and ids for their stages");
        let stages = stages(block, extent);
        let per_microbatch = if block.op == ComputeOp::BackwardInput { 3 } else { 2 };
        let rank = |rank| {
            let on_rank: Vec<usize> =
                placement.stages_of(Rank::new(rank)).iter().map(|stage| stage.index()).collect();
            let forwards = on_rank.iter().map(|&s| Reverse((stages[s].forward, s)));
            let backwards = on_rank.iter().map(|&s| Reverse((stages[s].backward, s)));
            RankState {
                row: Row::new(extent, per_microbatch),
                is_busy: false,
                num_held: 0,
                forwards: forwards.collect(),
                backwards: backwards.collect(),
                arrived: (rank == 0).then_some((Reverse(0), 0)).into_iter().collect(),
                possible: BinaryHeap::new(),
                late: VecDeque::new(),
                stages: on_rank,
            }
        };
        let ranks = (0..num_ranks).map(rank).collect();
        let (op, limit, period) = (block.op, block.limit, 3 * stages_per_rank);
        Self { order, op, limit, num_microbatches, period, placement, stages, ranks }
    }

    /// What a rank does now, if it is free and can do anything.
    fn start(&mut self, rank: usize) -> Option<Pass> {
        if self.ranks[rank].is_busy {
            return None;
        }
        let forward = match self.order {
            Order::Block => self.forward_of_block(rank),
            Order::Wave => self.forward_of_wave(rank),
        };
        let state = &mut self.ranks[rank];
        let pass = if let Some(stage) = forward {
            let microbatch = self.stages[stage].num_forwards;
            self.stages[stage].num_forwards += 1;
            state.num_held += 1;
            Pass { op: ComputeOp::Forward, stage, microbatch }
        } else if let Some(Reverse((time, stage))) = state.possible.pop() {
            let microbatch = self.stages[stage].num_backwards;
            self.stages[stage].num_backwards += 1;
            if microbatch + 1 < self.num_microbatches {
                state.backwards.push(Reverse((time + self.period, stage)));
            }
            if self.op == ComputeOp::BackwardInput {
                state.late.push_back((stage, microbatch));
            } else {
                state.num_held -= 1;
            }
            Pass { op: self.op, stage, microbatch }
        } else {
            let (stage, microbatch) = state.late.pop_front()?;
            state.num_held -= 1;
            Pass { op: ComputeOp::BackwardWeight, stage, microbatch }
        };
        state.row.compute(pass.op, pass.stage, pass.microbatch);
        state.is_busy = true;
        Some(pass)
    }

    /// Takes the block's next forward if its input is there and the block has it before every
    /// backward that is left.
    fn forward_of_block(&mut self, rank: usize) -> Option<usize> {
        let state = &mut self.ranks[rank];
        // Backwards that went out of order leave an entry behind, with a time that is gone.
        while let Some(&Reverse((time, stage))) = state.backwards.peek() {
            let of_stage = &self.stages[stage];
            if time == of_stage.backward + self.period * of_stage.num_backwards {
                break;
            }
            state.backwards.pop();
        }
        let &Reverse((time, stage)) = state.forwards.peek()?;
        let microbatch = self.stages[stage].num_forwards;
        let has_input = stage == 0 || self.stages[stage - 1].num_forwarded > microbatch;
        let has_turn = state.backwards.peek().is_none_or(|&Reverse(next)| time < next.0);
        if !has_input || !has_turn || state.num_held >= self.limit {
            return None;
        }
        state.forwards.pop();
        if microbatch + 1 < self.num_microbatches {
            state.forwards.push(Reverse((time + self.period, stage)));
        }
        Some(stage)
    }

    /// Takes the oldest forward that is possible, if no backward is and it leaves room for all
    /// older ones.
    fn forward_of_wave(&mut self, rank: usize) -> Option<usize> {
        let state = &mut self.ranks[rank];
        if !state.possible.is_empty() {
            return None;
        }
        let &(Reverse(microbatch), stage) = state.arrived.peek()?;
        let older = |&stage: &usize| microbatch.saturating_sub(self.stages[stage].num_forwards);
        let num_older: usize = state.stages.iter().map(older).sum();
        if state.num_held + num_older >= self.limit {
            return None;
        }
        state.arrived.pop();
        if stage == 0 && microbatch + 1 < self.num_microbatches {
            state.arrived.push((Reverse(microbatch + 1), 0));
        }
        Some(stage)
    }

    /// Ends a pass, and returns its rank, which is free again.
    fn finish(&mut self, pass: Pass) -> usize {
        let Pass { op, stage, microbatch } = pass;
        let gradient_for = match op {
            ComputeOp::Forward => {
                self.stages[stage].num_forwarded += 1;
                let is_last = stage + 1 == self.stages.len();
                if !is_last {
                    let rank = self.rank_of(stage + 1);
                    self.ranks[rank].arrived.push((Reverse(microbatch), stage + 1));
                }
                is_last.then_some(stage)
            }
            ComputeOp::Backward | ComputeOp::BackwardInput => stage.checked_sub(1),
            ComputeOp::BackwardWeight | ComputeOp::Recompute => None,
        };
        if let Some(stage) = gradient_for {
            let time = self.stages[stage].backward + self.period * microbatch;
            let rank = self.rank_of(stage);
            self.ranks[rank].possible.push(Reverse((time, stage)));
        }
        let rank = self.rank_of(stage);
        self.ranks[rank].is_busy = false;
        rank
    }

    /// The rank that may go on because of a pass, besides its own.
    fn reached_by(&self, pass: Pass) -> Option<usize> {
        let stage = match pass.op {
            ComputeOp::Forward => Some(pass.stage + 1).filter(|&next| next < self.stages.len()),
            ComputeOp::Backward | ComputeOp::BackwardInput => pass.stage.checked_sub(1),
            ComputeOp::BackwardWeight | ComputeOp::Recompute => None,
        };
        stage.map(|stage| self.rank_of(stage))
    }

    fn rank_of(&self, stage: usize) -> usize {
        self.placement.rank_of(Stage::new(stage)).index()
    }
}

/// When the block has the passes of its microbatch.
fn stages(block: &Block, extent: &Extent) -> Vec<StageState> {
    let num_ranks = extent.num_ranks;
    let num_stages = num_ranks * extent.stages_per_rank;
    let mut stages: Vec<StageState> = Vec::with_capacity(num_stages);
    let mut time = 0;
    for stage in 0..num_stages {
        if stage > 0 {
            let is_turn = stage % num_ranks == 0;
            time += if is_turn { block.turns[0] } else { block.forward[stage / num_ranks % 2] };
        }
        stages.push(StageState {
            forward: time,
            backward: 0,
            num_forwards: 0,
            num_forwarded: 0,
            num_backwards: 0,
        });
    }
    time += block.turns[1];
    for stage in (0..num_stages).rev() {
        stages[stage].backward = time;
        let is_turn = stage % num_ranks == 0;
        time += if is_turn { block.turns[2] } else { block.backward[stage / num_ranks % 2] };
    }
    stages
}
