//! Plans to try things on: the named schedules, and tables that nobody designed.

use autopipe_schedule::{
    Compute, ComputeOp, Extent, Kind, MicroBatch, MicrobatchRule, Overlap, Placement, Plan, Rank,
    Stage, StagesPerRank, Work, generate,
};
use proptest::prelude::*;

pub(crate) fn extents() -> impl Strategy<Value = Extent> {
    (1usize..=6, 0usize..=8).prop_map(|(num_ranks, more)| Extent {
        num_ranks,
        stages_per_rank: 1,
        num_microbatches: num_ranks + more,
    })
}

/// Every kind, in a size that it can have.
pub(crate) fn named() -> impl Strategy<Value = (Kind, Extent)> {
    let kinds = prop::sample::select(&Kind::ALL[..]);
    (kinds, 1usize..=4, 1usize..=3, 1usize..=9).prop_map(|(kind, num_ranks, stages, more)| {
        let stages_per_rank = match kind.stages_per_rank() {
            StagesPerRank::Exactly(stages) => stages,
            StagesPerRank::AtLeast(fewest) => stages.max(fewest),
            StagesPerRank::Between(fewest, most) => stages.clamp(fewest, most),
        };
        let num_microbatches = match kind.microbatches() {
            MicrobatchRule::Any => more,
            MicrobatchRule::AsManyAsStages => num_ranks * stages_per_rank + more - 1,
            MicrobatchRule::EqualRounds => num_ranks * more.div_ceil(3),
        };
        (kind, Extent { num_ranks, stages_per_rank, num_microbatches })
    })
}

/// Any plan that can be run: some stages placed at will, and an order drawn action by action from
/// those that are possible, with whole and split backwards or none, some overlapping a
/// forward, some after their activations are computed again.
pub(crate) fn wild_plans() -> impl Strategy<Value = Plan> {
    let sizes = (1usize..=4, 1usize..=3, 1usize..=4);
    let choices = prop::collection::vec(any::<prop::sample::Index>(), 200);
    (sizes, any::<bool>(), choices).prop_map(
        |((ranks, per_rank, microbatches), trains, choices)| {
            let mut choices = choices.into_iter().cycle();
            let mut choose = move |n: usize| choices.next().unwrap().index(n);
            let num_stages = ranks * per_rank;
            // The first stages go one to each rank, so that all have one; the others anywhere.
            let ranks_of = (0..num_stages).map(|s| if s < ranks { s } else { choose(ranks) });
            let placement = Placement::new(ranks_of.map(Rank::new).collect()).unwrap();
            let mut rows = vec![Vec::new(); ranks];
            let mut done: Vec<Compute> = Vec::new();
            loop {
                let possible = possible(num_stages, microbatches, trains, &done);
                if possible.is_empty() {
                    break;
                }
                let compute = possible[choose(possible.len())];
                done.push(compute);
                let row: &mut Vec<Work> = &mut rows[placement.rank_of(compute.stage).index()];
                if matches!(compute.op, ComputeOp::Backward | ComputeOp::BackwardInput)
                    && choose(4) == 0
                {
                    row.push(Compute { op: ComputeOp::Recompute, ..compute }.into());
                }
                row.push(compute.into());
            }
            let mut plan = Plan::from_rows(rows).unwrap();
            for rank in 0..ranks {
                plan = overlapped(plan, rank, choose(8));
            }
            plan
        },
    )
}

/// The plan with a forward and the backward behind it as one, at the first step from `start` on
/// where neither needs the other.
fn overlapped(plan: Plan, rank: usize, start: usize) -> Plan {
    let pairs = plan.rows()[rank].windows(2).enumerate().skip(start);
    for (step, pair) in pairs {
        let [Work::Compute(forward), Work::Compute(backward)] = pair else { continue };
        if (forward.op, backward.op) != (ComputeOp::Forward, ComputeOp::Backward) {
            continue;
        }
        let [forward, backward] = [forward, backward].map(|part| (part.stage, part.microbatch));
        let mut rows = plan.rows().to_vec();
        rows[rank][step] = Overlap::new(forward, backward).unwrap().into();
        rows[rank].remove(step + 1);
        if let Ok(overlapped) = Plan::from_rows(rows) {
            return overlapped;
        }
    }
    plan
}

/// What can be computed next.
fn possible(
    num_stages: usize,
    num_microbatches: usize,
    trains: bool,
    done: &[Compute],
) -> Vec<Compute> {
    let has = |op, stage: usize, microbatch| {
        done.iter()
            .any(|c| (c.op, c.stage.index(), c.microbatch.index()) == (op, stage, microbatch))
    };
    let mut possible = Vec::new();
    for stage in 0..num_stages {
        for microbatch in 0..num_microbatches {
            let [forward, whole, input, weight] = [
                ComputeOp::Forward,
                ComputeOp::Backward,
                ComputeOp::BackwardInput,
                ComputeOp::BackwardWeight,
            ]
            .map(|op| has(op, stage, microbatch));
            let mut add = |op| {
                let (stage, microbatch) = (Stage::new(stage), MicroBatch::new(microbatch));
                possible.push(Compute { op, stage, microbatch });
            };
            if !forward && (stage == 0 || has(ComputeOp::Forward, stage - 1, microbatch)) {
                add(ComputeOp::Forward);
            }
            let has_gradient = stage + 1 == num_stages
                || has(ComputeOp::Backward, stage + 1, microbatch)
                || has(ComputeOp::BackwardInput, stage + 1, microbatch);
            if trains && forward && has_gradient && !whole && !input {
                add(ComputeOp::Backward);
                add(ComputeOp::BackwardInput);
            }
            if input && !weight {
                add(ComputeOp::BackwardWeight);
            }
        }
    }
    possible
}

/// Both sorts of plan.
pub(crate) fn plans() -> impl Strategy<Value = Plan> {
    let named = named().prop_map(|(kind, extent)| generate(kind, &extent).unwrap());
    prop_oneof![named, wild_plans()]
}
