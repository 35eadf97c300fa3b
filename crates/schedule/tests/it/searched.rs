//! Schedules that were searched for are right, as good as the papers', and never below the bound.

use autopipe_schedule::search::{Chunks, Found, Memory, Problem, ProblemFault, StageCost, search};
use autopipe_schedule::{ComputeOp, Plan};
use proptest::prelude::*;

/// Enough for the published rows, and quick without optimisation.
const EFFORT: u64 = 3_000_000;

/// Equal stages; M_B counts as 2 and M_W as 1, as in the Zero Bubble paper.
fn problem(chunks: Chunks, num_ranks: usize, num_microbatches: usize, cost: [f64; 4]) -> Problem {
    let [forward, input, weight, latency] = cost;
    Problem {
        num_ranks,
        chunks,
        num_microbatches,
        costs: vec![StageCost { forward, input, weight }; num_ranks * chunks.per_rank()],
        latency,
        memory: Memory { activation: 2, weight_input: 1, limits: Vec::new() },
        effort: EFFORT,
    }
}

/// The problem with room for so many activations on each rank.
fn within(mut problem: Problem, activations: usize) -> Problem {
    problem.memory.limits = vec![2 * u64::try_from(activations).unwrap(); problem.num_ranks];
    problem
}

/// Runs a plan with the plainest of simulators: a step starts when its rank is free and what it
/// needs has come. Gives the longest span, the makespan, and by rank the peak of memory.
fn run(plan: &Plan, problem: &Problem) -> (f64, f64, Vec<u64>) {
    let (p, last) = (plan.num_ranks(), plan.num_stages() - 1);
    let mut ends = std::collections::BTreeMap::new();
    let (mut now, mut start) = (vec![0.0_f64; p], vec![None; p]);
    let mut next = vec![0; p];
    loop {
        let before = next.clone();
        for rank in 0..p {
            while let Some(work) = plan.rows()[rank].get(next[rank]) {
                let compute = work.parts().next().unwrap();
                let (stage, microbatch) = (compute.stage.index(), compute.microbatch.index());
                let cost = problem.costs[stage];
                let (kind, needs, takes) = match compute.op {
                    ComputeOp::Forward => {
                        ('F', stage.checked_sub(1).map(|s| ('F', s)), cost.forward)
                    }
                    ComputeOp::BackwardInput if stage == last => {
                        ('I', Some(('F', stage)), cost.input)
                    }
                    ComputeOp::BackwardInput => ('I', Some(('I', stage + 1)), cost.input),
                    ComputeOp::BackwardWeight => ('W', Some(('I', stage)), cost.weight),
                    ComputeOp::Backward | ComputeOp::Recompute => {
                        unreachable!("{compute} is not split")
                    }
                };
                let arrival = match needs {
                    None => 0.0,
                    Some((op, from)) => {
                        let Some(end) = ends.get(&(op, from, microbatch)) else { break };
                        let is_far =
                            plan.placement().rank_of(autopipe_schedule::Stage::new(from)).index()
                                != rank;
                        end + if is_far { problem.latency } else { 0.0 }
                    }
                };
                let from = now[rank].max(arrival);
                start[rank].get_or_insert(from);
                now[rank] = from + takes;
                ends.insert((kind, stage, microbatch), now[rank]);
                next[rank] += 1;
            }
        }
        if next == before {
            break;
        }
    }
    let spans = now.iter().zip(&start).map(|(end, start)| end - start.unwrap());
    let span = spans.fold(0.0, f64::max);
    (span, now.iter().copied().fold(0.0, f64::max), peaks(plan, &problem.memory))
}

fn peaks(plan: &Plan, memory: &Memory) -> Vec<u64> {
    let peak = |row: &Vec<autopipe_schedule::Work>| {
        let (mut held, mut peak) = (0, 0);
        for compute in row.iter().flat_map(|work| work.parts()) {
            match compute.op {
                ComputeOp::Forward => held += memory.activation,
                ComputeOp::BackwardInput => held -= memory.activation - memory.weight_input,
                ComputeOp::BackwardWeight => held -= memory.weight_input,
                ComputeOp::Backward | ComputeOp::Recompute => {
                    unreachable!("{compute} is not split")
                }
            }
            peak = peak.max(held);
        }
        peak
    };
    plan.rows().iter().map(peak).collect()
}

/// Searches, and checks that what is said of the plan is true of it.
fn checked(problem: &Problem) -> Found {
    let found = search(problem).unwrap();
    let figures = (found.cost, found.makespan, found.peaks.clone());
    assert_eq!(figures, run(&found.plan, problem));
    for (peak, limit) in found.peaks.iter().zip(&problem.memory.limits) {
        assert!(peak <= limit, "{peak} is more than {limit}");
    }
    assert!(found.lower_bound <= found.cost);
    let actions = found.plan.rows().iter().map(Vec::len).sum::<usize>();
    assert_eq!(actions, 3 * problem.costs.len() * problem.num_microbatches);
    found
}

/// Qi et al., Zero Bubble Pipeline Parallelism, 2024, tables 5 and 6: ranks, microbatches, profiled
/// milliseconds of F, I, W and a message, and the bubble rates of ZB-1p and ZB-2p.
const TABLE_A: [(usize, usize, [f64; 4], f64, f64); 6] = [
    (8, 24, [29.718, 29.444, 19.927, 0.527], 0.1323, 0.0029),
    (8, 32, [29.802, 29.428, 19.530, 0.577], 0.1045, 0.0022),
    (8, 64, [29.935, 29.621, 19.388, 0.535], 0.0554, 0.0010),
    (16, 48, [11.347, 11.248, 8.132, 0.377], 0.1397, 0.0066),
    (16, 64, [11.307, 11.254, 8.101, 0.379], 0.1088, 0.0054),
    (16, 128, [11.325, 11.308, 8.109, 0.378], 0.0576, 0.0028),
];

/// Zero Bubble, table 5, column ZB-1p; and it turns out that nothing better is possible.
#[test]
fn at_1f1bs_memory_the_zero_bubble_papers_zb_1p_is_reached_and_proved_optimal() {
    for (p, m, cost, rate, _) in TABLE_A {
        let found = checked(&within(problem(Chunks::One, p, m, cost), p));
        let got = found.bubble_rate;
        assert!(got <= rate + 0.000_05, "{p} ranks, {m} microbatches: {got}, not {rate}");
        assert!(found.is_optimal, "{p} ranks, {m} microbatches: {found:?}");
    }
}

/// Zero Bubble, table 5, column ZB-2p; about half of its bubble is left.
#[test]
fn at_twice_that_memory_half_the_bubble_of_the_zero_bubble_papers_zb_2p_is_left() {
    for (p, m, cost, _, rate) in TABLE_A {
        let got = checked(&within(problem(Chunks::One, p, m, cost), 2 * p)).bubble_rate;
        assert!(got <= 0.5 * rate + 0.000_05, "{p} ranks, {m} microbatches: {got}, half of {rate}");
    }
}

/// The schedules of Pipeline Parallelism with Controllable Memory (Qi et al. 2024) by the authors'
/// program, for F = I = W = 1 without latency: longest spans of V-Min and V-Half.
#[test]
fn in_a_v_the_controllable_memory_papers_v_min_and_v_half_are_reached() {
    for (p, m, v_min, v_half) in [(4, 8, 59.0, 53.0), (4, 16, 107.0, 101.0), (8, 16, 123.0, 113.0)]
    {
        let problem = || problem(Chunks::V, p, m, [1.0, 1.0, 1.0, 0.0]);
        let got = checked(&within(problem(), 2 * ((p + 4) / 3))).cost;
        assert!(got <= v_min, "V-Min, {p} ranks, {m} microbatches: {got}, not {v_min}");
        let got = checked(&within(problem(), 2 * ((p + 2) / 2))).cost;
        assert!(got <= v_half, "V-Half, {p} ranks, {m} microbatches: {got}, not {v_half}");
    }
}

/// V-ZB of the same paper.
#[test]
fn in_a_v_at_1f1bs_memory_there_is_no_bubble() {
    for (p, m) in [(2, 4), (4, 8), (4, 16), (8, 16), (8, 32), (16, 32)] {
        let found = checked(&within(problem(Chunks::V, p, m, [1.0, 1.0, 1.0, 0.0]), 2 * p));
        assert_eq!(
            (found.bubble_rate, found.is_optimal),
            (0.0, true),
            "{p} ranks, {m} microbatches"
        );
    }
}

/// The formulas of the Zero Bubble paper for equal costs: (p - 1) (F + I - W), and none at twice the
/// memory.
#[test]
fn equal_costs_give_the_bubbles_of_zb_h1_and_zb_h2() {
    for p in [2, 3, 4, 8] {
        let problem = || problem(Chunks::One, p, 3 * p, [1.0, 1.0, 1.0, 0.0]);
        let work = checked(&within(problem(), 2 * p)).cost;
        assert_eq!(work, 9.0 * f64::from(u32::try_from(p).unwrap()));
        let bubble = f64::from(u32::try_from(p - 1).unwrap());
        assert_eq!(checked(&within(problem(), p)).cost, work + bubble);
    }
}

#[test]
fn the_first_search_is_the_second() {
    let problem = within(problem(Chunks::V, 4, 9, [1.0, 1.25, 0.5, 0.125]), 7);
    assert_eq!(search(&problem), search(&problem));
}

#[test]
fn no_effort_is_enough_for_a_schedule_and_more_finds_a_better_one() {
    let mut problem = within(problem(Chunks::V, 4, 8, [1.0, 1.5, 0.75, 0.25]), 6);
    let cost = [0, 10_000, 1_000_000].map(|effort| {
        problem.effort = effort;
        checked(&problem).cost
    });
    assert!(cost[0] > cost[1] && cost[1] >= cost[2], "{cost:?}");
}

#[test]
fn all_that_is_wrong_with_a_problem_is_said_at_once() {
    let mut wrong = within(problem(Chunks::V, 2, 0, [1.0, f64::NAN, 1.0, -1.0]), 1);
    wrong.costs.pop();
    let faults = search(&wrong).unwrap_err().faults;
    assert_eq!(
        faults.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [
            "0 microbatches cannot be scheduled, from 1 to 65536 can",
            "3 costs of stages are given where 4 are needed",
            "stage 0's I takes NaN, which is no time from 0 to 1e200",
            "stage 1's I takes NaN, which is no time from 0 to 1e200",
            "stage 2's I takes NaN, which is no time from 0 to 1e200",
            "a message takes -1, which is no time from 0 to 1e200",
            "rank 0 may keep 2, but one microbatch takes 4; raise its limit",
            "rank 1 may keep 2, but one microbatch takes 4; raise its limit",
        ]
    );
    let mut wrong = within(problem(Chunks::One, 2, 2, [1.0; 4]), 1);
    wrong.memory.weight_input = 3;
    let fault = ProblemFault::WeightInput { activation: 2, weight_input: 3 };
    assert_eq!(search(&wrong).unwrap_err().faults, [fault]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Any costs by stage, any limits by rank: the plan is valid, its figures are true, and it is
    /// not below the bound.
    #[test]
    fn every_problem_has_a_schedule_whose_figures_are_true(
        num_ranks in 1_usize..6,
        num_microbatches in 1_usize..10,
        chunks in prop_oneof![Just(Chunks::One), Just(Chunks::V)],
        costs in prop::collection::vec((0_u32..5, 0_u32..5, 0_u32..5), 10),
        latency in 0_u32..3,
        (activation, weight_input) in (0_u64..5).prop_flat_map(|held| (Just(held), 0..=held)),
        rooms in prop::collection::vec(0_u64..30, 5),
    ) {
        let num_stages = num_ranks * chunks.per_rank();
        let costs = costs[..num_stages].iter().map(|&(forward, input, weight)| StageCost {
            forward: forward.into(),
            input: input.into(),
            weight: weight.into(),
        });
        let least = activation * u64::try_from(chunks.per_rank()).unwrap();
        let limits = rooms[..num_ranks].iter().map(|room| least + room).collect();
        checked(&Problem {
            num_ranks,
            chunks,
            num_microbatches,
            costs: costs.collect(),
            latency: latency.into(),
            memory: Memory { activation, weight_input, limits },
            effort: 60_000,
        });
    }
}
