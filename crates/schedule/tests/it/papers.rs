//! Numbers that others have published, or computed with another simulator.

use autopipe_schedule::{
    Costs, Extent, Kind, Plan, Timeline, generate, lower, simulate, simulate_plan, validate,
};

fn plan(kind: Kind, num_ranks: usize, num_microbatches: usize) -> Plan {
    let stages_per_rank = kind.stages_per_rank().usual();
    generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches }).unwrap()
}

fn timeline(kind: Kind, num_ranks: usize, num_microbatches: usize, costs: &Costs) -> Timeline {
    simulate_plan(&plan(kind, num_ranks, num_microbatches), costs)
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

/// The same for torch's schedules of two stages a rank: span, makespan, and the most activations of
/// any rank. An overlap takes as long as its parts: DualPipe's (p/2 - 1) (F&B + B - 3 W) is 6 and 14
/// here, where p counts two for each rank.
#[test]
fn torchs_schedules_of_two_stages_a_rank_in_unit_times() {
    use Kind::{DualPipeV, InterleavedOneFOneB, InterleavedZeroBubble, LoopedBfs, ZbvZeroBubble};
    for (kind, num_ranks, num_microbatches, span, makespan, peak) in [
        (LoopedBfs, 4, 8, 57.0, 57.0, 16),
        (LoopedBfs, 8, 32, 213.0, 213.0, 64),
        (InterleavedOneFOneB, 4, 8, 57.0, 57.0, 11),
        (InterleavedOneFOneB, 4, 16, 105.0, 105.0, 11),
        (InterleavedOneFOneB, 8, 16, 117.0, 117.0, 23),
        (InterleavedOneFOneB, 8, 32, 213.0, 213.0, 23),
        (InterleavedZeroBubble, 4, 8, 51.0, 51.0, 8),
        (InterleavedZeroBubble, 4, 16, 99.0, 99.0, 8),
        (InterleavedZeroBubble, 8, 16, 103.0, 103.0, 16),
        (InterleavedZeroBubble, 8, 32, 199.0, 199.0, 16),
        (ZbvZeroBubble, 4, 8, 48.0, 51.0, 8),
        (ZbvZeroBubble, 8, 32, 192.0, 199.0, 16),
        (DualPipeV, 4, 8, 54.0, 54.0, 9),
        (DualPipeV, 8, 32, 206.0, 206.0, 17),
    ] {
        let name = format!("{kind} {num_ranks}x{num_microbatches}");
        let plan = plan(kind, num_ranks, num_microbatches);
        let lowered = validate(lower(&plan)).unwrap();
        for timeline in [simulate_plan(&plan, &Costs::UNIT), simulate(&lowered, &Costs::UNIT)] {
            let work = 6.0 * f64::from(u32::try_from(num_microbatches).unwrap());
            let got = (timeline.span(), timeline.makespan(), timeline.work());
            assert_eq!(got, (span, makespan, work), "{name}");
            let peaks = timeline.peak_activations();
            assert_eq!(peaks.iter().max(), Some(&peak), "{name}");
            assert_eq!(peaks, plan.peak_activations(), "{name}");
        }
    }
    let peaks = |p, m| timeline(InterleavedOneFOneB, p, m, &Costs::UNIT).peak_activations();
    assert_eq!(peaks(4, 8), [11, 9, 7, 5]);
    assert_eq!(peaks(8, 32), [23, 21, 19, 17, 15, 13, 11, 9]);
}

/// V-Min and V-Half of Qi et al., Pipeline Parallelism with Controllable Memory, 2024, as their own
/// code makes them with F = I = W = 1: longest span, bubble rate and most chunks held. Here they
/// are no longer and hold no more.
#[test]
fn v_min_and_v_half_are_as_good_as_their_authors() {
    for (kind, num_ranks, num_microbatches, span, rate, chunks) in [
        (Kind::VMin, 4, 8, 59.0, 0.1864, 4),
        (Kind::VMin, 4, 16, 107.0, 0.1028, 4),
        (Kind::VMin, 8, 16, 123.0, 0.2195, 8),
        (Kind::VHalf, 4, 8, 53.0, 0.0943, 6),
        (Kind::VHalf, 4, 16, 101.0, 0.0495, 6),
        (Kind::VHalf, 8, 16, 113.0, 0.1504, 10),
    ] {
        let name = format!("{kind} {num_ranks}x{num_microbatches}");
        let timeline = timeline(kind, num_ranks, num_microbatches, &Costs::UNIT);
        assert!(timeline.span() <= span, "{name}: {}", timeline.span());
        assert!(timeline.bubble_rate() <= rate + 0.000_05, "{name}: {}", timeline.bubble_rate());
        let peak = timeline.peak_activations().into_iter().max();
        assert!(peak <= Some(chunks), "{name}: {peak:?}");
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
fn check_rates(column: usize, kind: Kind) {
    for (p, m, [f, i, w, latency], rates) in ZERO_BUBBLE {
        let costs = Costs::uniform(f, i, w, latency).unwrap();
        let (plan, rate) = (plan(kind, p, m), rates[column]);
        let program = validate(lower(&plan)).unwrap();
        for timeline in [simulate(&program, &costs), simulate_plan(&plan, &costs)] {
            let got = timeline.bubble_rate();
            assert!((got - rate).abs() <= 0.000_05, "{kind} {p}x{m}: {got}, not {rate}");
        }
    }
}

#[test]
fn one_f_one_b_has_the_bubble_rates_of_the_zero_bubble_paper() {
    check_rates(0, Kind::OneFOneB);
}

#[test]
fn zb_h1_has_the_bubble_rates_of_the_zero_bubble_paper() {
    check_rates(1, Kind::ZbH1);
}

#[test]
fn zb_h2_has_the_bubble_rates_of_the_zero_bubble_paper() {
    check_rates(2, Kind::ZbH2);
}

/// Without latency: (p - 1) (F + I - W) and (p - 1) (F + I - 2 W), and the activations of the first
/// rank, p and 2 p - 1.
#[test]
fn zb_h1_and_zb_h2_have_the_bubbles_of_their_formulas() {
    let costs = Costs::uniform(5.0, 4.0, 3.0, 0.0).unwrap();
    let (p, m) = (4, 12);
    let h1 = timeline(Kind::ZbH1, p, m, &costs);
    assert_eq!((h1.span() - h1.work(), h1.peak_activations()[0]), (18.0, p));
    let h2 = timeline(Kind::ZbH2, p, m, &costs);
    assert_eq!((h2.span() - h2.work(), h2.peak_activations()[0]), (9.0, 2 * p - 1));
}
