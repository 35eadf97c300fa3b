//! Numbers that others have published, or computed with another simulator.

use std::fs;
use std::path::Path;

use autopipe_schedule::{
    Compute, ComputeOp, Costs, Extent, Kind, MicroBatch, Plan, Stage, Timeline, Work, csv,
    generate, lower, simulate, simulate_plan, validate,
};

fn timeline(kind: Kind, num_ranks: usize, num_microbatches: usize, costs: &Costs) -> Timeline {
    let extent = Extent { num_ranks, stages_per_rank: 1, num_microbatches };
    let plan = generate(kind, &extent).unwrap();
    simulate(&validate(lower(&plan)).unwrap(), costs)
}

/// A table that torch wrote.
fn torch(schedule: &str, stem: &str) -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(schedule);
    let file = fs::File::open(folder.join(format!("{stem}.compute_only.csv"))).unwrap();
    csv::read_plan(file).unwrap()
}

/// torch 2.15's schedules with F = I = W = 1: span, makespan, work of a rank.
#[test]
fn gpipe_and_1f1b_in_unit_times() {
    for (kind, num_ranks, num_microbatches, span, makespan, work) in [
        (Kind::GPipe, 4, 8, 33.0, 33.0, 24.0),
        (Kind::GPipe, 8, 32, 117.0, 117.0, 96.0),
        (Kind::OneFOneB, 4, 8, 33.0, 33.0, 24.0),
        (Kind::OneFOneB, 4, 16, 57.0, 57.0, 48.0),
        (Kind::OneFOneB, 8, 16, 69.0, 69.0, 48.0),
        (Kind::OneFOneB, 8, 32, 117.0, 117.0, 96.0),
    ] {
        let timeline = timeline(kind, num_ranks, num_microbatches, &Costs::UNIT);
        let got = (timeline.span(), timeline.makespan(), timeline.work());
        assert_eq!(got, (span, makespan, work), "{kind} {num_ranks}x{num_microbatches}");
    }
}

/// The same for torch's schedules of several stages a rank, with the most activations of each rank.
/// An overlap takes as long as its parts: DualPipe's (p/2 - 1) (F&B + B - 3 W) is 6 here, where p
/// counts two for each rank.
#[test]
fn torchs_tables_of_several_stages_in_unit_times() {
    for (schedule, stem, span, makespan, peak) in [
        ("LoopedBFS", "pp4_v2_mb8", 57.0, 57.0, [16; 4]),
        ("Interleaved1F1B", "pp4_v2_mb8", 57.0, 57.0, [11, 9, 7, 5]),
        ("InterleavedZeroBubble", "pp4_v2_mb8", 51.0, 51.0, [8, 8, 8, 8]),
        ("ZBVZeroBubble", "pp4_v2_mb8", 48.0, 51.0, [8; 4]),
        ("DualPipeV", "pp4_v2_mb8", 54.0, 54.0, [9; 4]),
    ] {
        let plan = torch(schedule, stem);
        let timeline = simulate_plan(&plan, &Costs::UNIT);
        let got = (timeline.span(), timeline.makespan(), timeline.work());
        assert_eq!(got, (span, makespan, 48.0), "{schedule} {stem}");
        let most = |peaks: &[usize]| peaks.iter().copied().max();
        assert_eq!(most(&timeline.peak_activations()), most(&peak), "{schedule} {stem}");
        if schedule == "Interleaved1F1B" {
            assert_eq!(timeline.peak_activations(), peak);
        }
        let lowered = simulate(&validate(lower(&plan)).unwrap(), &Costs::UNIT);
        assert_eq!((lowered.span(), lowered.makespan()), (span, makespan), "{schedule} lowered");
        assert_eq!(lowered.peak_activations(), plan.peak_activations());
    }
}

#[test]
fn gpipe_keeps_all_and_1f1b_as_many_as_ranks_are_behind() {
    let peak = |kind, p, m| timeline(kind, p, m, &Costs::UNIT).peak_activations();
    assert_eq!(peak(Kind::GPipe, 4, 8), [8; 4]);
    assert_eq!(peak(Kind::GPipe, 8, 32), [32; 8]);
    assert_eq!(peak(Kind::OneFOneB, 4, 8), [4, 3, 2, 1]);
    assert_eq!(peak(Kind::OneFOneB, 8, 32), [8, 7, 6, 5, 4, 3, 2, 1]);
}

/// The handmade schedules of the Zero Bubble paper: stage `s` begins with `warm_up(s)` forwards,
/// then takes F and I in turn, and a W after every I from the one that follows `delay(s)` others.
fn zero_bubble(
    num_stages: usize,
    num_microbatches: usize,
    warm_up: impl Fn(usize) -> usize,
    delay: impl Fn(usize) -> usize,
) -> Plan {
    let row = |s: usize| {
        let stage = Stage::new(s);
        let work = |op, microbatch| {
            Work::from(Compute { op, stage, microbatch: MicroBatch::new(microbatch) })
        };
        let (mut row, mut forwards, mut weights) = (Vec::new(), 0, 0);
        for input in 0..num_microbatches {
            let until = num_microbatches.min(warm_up(s) + input + 1);
            row.extend((forwards..until).map(|m| work(ComputeOp::Forward, m)));
            forwards = until;
            row.push(work(ComputeOp::BackwardInput, input));
            if input + 1 > delay(s) {
                row.push(work(ComputeOp::BackwardWeight, weights));
                weights += 1;
            }
        }
        row.extend((weights..num_microbatches).map(|m| work(ComputeOp::BackwardWeight, m)));
        row
    };
    Plan::from_rows((0..num_stages).map(row).collect()).unwrap()
}

/// Table 6 of Qi et al., Zero Bubble Pipeline Parallelism, 2024: ranks, microbatches, and profiled
/// milliseconds of F, I, W and a message; with the bubble rates of table 5 of 1F1B, ZB-H1 and ZB-H2.
type Row = (usize, usize, [f64; 4], [f64; 3]);

const ZERO_BUBBLE: [Row; 6] = [
    (8, 24, [29.718, 29.444, 19.927, 0.527], [0.2347, 0.1323, 0.0698]),
    (8, 32, [29.802, 29.428, 19.530, 0.577], [0.1898, 0.1045, 0.0559]),
    (8, 64, [29.935, 29.621, 19.388, 0.535], [0.1091, 0.0554, 0.0294]),
    (16, 48, [11.347, 11.248, 8.132, 0.377], [0.2552, 0.1397, 0.0672]),
    (16, 64, [11.307, 11.254, 8.101, 0.379], [0.2082, 0.1088, 0.0516]),
    (16, 128, [11.325, 11.308, 8.109, 0.378], [0.1251, 0.0576, 0.0266]),
];

/// Compares to the four decimals that the paper gives.
fn check_rates(column: usize, name: &str, plan: impl Fn(usize, usize) -> Plan) {
    for (p, m, [f, i, w, latency], rates) in ZERO_BUBBLE {
        let costs = Costs::uniform(f, i, w, latency).unwrap();
        let (plan, rate) = (plan(p, m), rates[column]);
        let program = validate(lower(&plan)).unwrap();
        for timeline in [simulate(&program, &costs), simulate_plan(&plan, &costs)] {
            let got = timeline.bubble_rate();
            assert!((got - rate).abs() <= 0.000_05, "{name} {p}x{m}: {got}, not {rate}");
        }
    }
}

#[test]
fn one_f_one_b_has_the_bubble_rates_of_the_zero_bubble_paper() {
    check_rates(0, "1F1B", |num_ranks, num_microbatches| {
        let extent = Extent { num_ranks, stages_per_rank: 1, num_microbatches };
        generate(Kind::OneFOneB, &extent).unwrap()
    });
}

#[test]
fn zb_h1_has_the_bubble_rates_of_the_zero_bubble_paper() {
    check_rates(1, "ZB-H1", |p, m| zero_bubble(p, m, |s| p - 1 - s, |s| s));
}

#[test]
fn zb_h2_has_the_bubble_rates_of_the_zero_bubble_paper() {
    check_rates(2, "ZB-H2", |p, m| zero_bubble(p, m, |s| 2 * (p - 1 - s), |s| 2 * s));
}

/// Without latency: (p - 1) (F + I - W) and (p - 1) (F + I - 2 W), and the activations of the first
/// rank, p and 2 p - 1.
#[test]
fn zb_h1_and_zb_h2_have_the_bubbles_of_their_formulas() {
    let costs = Costs::uniform(5.0, 4.0, 3.0, 0.0).unwrap();
    let (p, m) = (4, 12);
    let h1 = simulate_plan(&zero_bubble(p, m, |s| p - 1 - s, |s| s), &costs);
    assert_eq!((h1.span() - h1.work(), h1.peak_activations()[0]), (18.0, p));
    let h2 = simulate_plan(&zero_bubble(p, m, |s| 2 * (p - 1 - s), |s| 2 * s), &costs);
    assert_eq!((h2.span() - h2.work(), h2.peak_activations()[0]), (9.0, 2 * p - 1));
}
