//! What computing activations again saves in memory and costs in time.

use std::num::NonZeroUsize;

use autopipe_schedule::lower::{Recompute, recompute};
use autopipe_schedule::{
    ComputeOp, Costs, Extent, Kind, Plan, Stage, Timeline, generate, lower, simulate,
    simulate_plan, validate,
};

const COSTS: &str = "F=2,I=2,W=2,R=2,activation=100,held_for_w=40,held_for_r=10";

fn plan(kind: Kind) -> Plan {
    generate(kind, &Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 }).unwrap()
}

fn simulated(plan: &Plan) -> (Timeline, Vec<f64>) {
    let costs: Costs = COSTS.parse().unwrap();
    let timeline = simulate_plan(plan, &costs);
    let program = validate(lower(plan)).unwrap();
    assert_eq!(simulate(&program, &costs).peak_bytes(&costs), timeline.peak_bytes(&costs));
    let peaks = timeline.peak_bytes(&costs);
    (timeline, peaks)
}

fn every(n: usize) -> Recompute<'static> {
    Recompute::EveryNth(NonZeroUsize::new(n).unwrap())
}

fn work(timeline: &Timeline, rank: usize) -> f64 {
    let spans = timeline.rows()[rank].iter().filter(|span| span.action.work().is_some());
    spans.map(|span| span.duration()).sum()
}

fn num_recomputed(plan: &Plan) -> usize {
    let parts = plan.rows().iter().flatten().flat_map(|work| work.parts());
    parts.filter(|part| part.op == ComputeOp::Recompute).count()
}

#[test]
fn every_nth_microbatch_trades_memory_for_time_in_steps() {
    for kind in [Kind::GPipe, Kind::OneFOneB, Kind::ZbH1] {
        let (mut last_peak, mut last_work) = (0.0, f64::INFINITY);
        for n in [1, 2, 4] {
            let again = recompute(&plan(kind), every(n));
            assert_eq!(num_recomputed(&again), 4 * 8 / n, "{kind}");
            let (timeline, peaks) = simulated(&again);
            // 8 microbatches, each 6, and 2 more for those computed again.
            assert_eq!(work(&timeline, 0), 48.0 + 2.0 * (8 / n) as f64, "{kind}");
            assert!(peaks[0] >= last_peak && work(&timeline, 0) < last_work, "{kind} {n}");
            (last_peak, last_work) = (peaks[0], work(&timeline, 0));
        }
        let (timeline, peaks) = simulated(&plan(kind));
        assert!(peaks[0] >= last_peak && work(&timeline, 0) < last_work, "{kind}");
        let by_stage = recompute(&plan(kind), Recompute::All);
        assert_eq!(recompute(&plan(kind), every(1)), by_stage, "{kind}");
    }
}

#[test]
fn what_goes_backward_is_whole_so_that_the_rest_must_be_spared() {
    let peak = |kind, n| simulated(&recompute(&plan(kind), every(n))).1[0];
    // 8 are held: the one that goes backward, and of the others those that are not computed again.
    assert_eq!([1, 2, 4].map(|n| peak(Kind::GPipe, n)), [170.0, 530.0, 710.0]);
    // 4 are held, of which one in 4 is just the one that goes backward.
    assert_eq!([1, 2, 4].map(|n| peak(Kind::OneFOneB, n)), [130.0, 310.0, 400.0]);
}

#[test]
fn stages_that_are_chosen_save_memory_and_the_others_do_not() {
    let stages = [Stage::new(0), Stage::new(2)];
    let again = recompute(&plan(Kind::OneFOneB), Recompute::Stages(&stages));
    assert_eq!(num_recomputed(&again), 16);
    let ((before, peaks_before), (after, peaks_after)) =
        (simulated(&plan(Kind::OneFOneB)), simulated(&again));
    assert_eq!(peaks_before, [400.0, 300.0, 200.0, 100.0]);
    // All but one microbatch are kept as inputs; one is whole while it goes backward.
    assert_eq!(peaks_after, [130.0, 300.0, 110.0, 100.0]);
    let more = [0, 1, 2, 3].map(|rank| work(&after, rank) - work(&before, rank));
    assert_eq!(more, [16.0, 0.0, 16.0, 0.0]);
    assert!(after.makespan() > before.makespan());
}

#[test]
fn a_split_backward_frees_what_was_computed_again_in_two_steps() {
    let text = "0F0,0F1,0R0,0I0,0R1,0I1,0W0,0W1\n";
    let table = autopipe_schedule::csv::read_plan(text.as_bytes()).unwrap();
    let costs: Costs = COSTS.parse().unwrap();
    let memory = simulate_plan(&table, &costs).memory(&costs);
    let bytes: Vec<f64> = memory[0].iter().map(|point| point.bytes).collect();
    // F0: 100 and down to 10; F1: 110, 20; R0: 110; I0: 50; R1: 140; I1: 80; W0: 40; W1.
    assert_eq!(bytes, [100.0, 10.0, 110.0, 20.0, 110.0, 50.0, 140.0, 80.0, 40.0, 0.0]);
}
