//! Numbers that others have published, or computed with another simulator.

use autopipe_schedule::{Costs, Extent, Kind, Timeline, generate, lower, simulate, validate};

fn timeline(kind: Kind, num_ranks: usize, num_microbatches: usize, cost: &Costs) -> Timeline {
    let extent = Extent { num_ranks, stages_per_rank: 1, num_microbatches };
    let plan = generate(kind, &extent).unwrap();
    simulate(&validate(lower(&plan)).unwrap(), cost)
}

/// torch's schedules with F = I = W = 1: span, makespan, work of a rank.
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

#[test]
fn gpipe_keeps_all_and_1f1b_as_many_as_ranks_are_behind() {
    let peak = |kind, p, m| timeline(kind, p, m, &Costs::UNIT).peak_activations();
    assert_eq!(peak(Kind::GPipe, 4, 8), [8; 4]);
    assert_eq!(peak(Kind::GPipe, 8, 32), [32; 8]);
    assert_eq!(peak(Kind::OneFOneB, 4, 8), [4, 3, 2, 1]);
    assert_eq!(peak(Kind::OneFOneB, 8, 32), [8, 7, 6, 5, 4, 3, 2, 1]);
}

/// Qi et al., Zero Bubble Pipeline Parallelism, 2024, tables 5 and 6: ranks, microbatches, profiled
/// milliseconds of F, I, W and a message, and the bubble rate of 1F1B.
#[test]
fn one_f_one_b_has_the_bubble_rates_of_the_zero_bubble_paper() {
    for (p, m, f, i, w, latency, rate) in [
        (8, 24, 29.718, 29.444, 19.927, 0.527, 0.2347),
        (8, 32, 29.802, 29.428, 19.530, 0.577, 0.1898),
        (8, 64, 29.935, 29.621, 19.388, 0.535, 0.1091),
        (16, 48, 11.347, 11.248, 8.132, 0.377, 0.2552),
        (16, 64, 11.307, 11.254, 8.101, 0.379, 0.2082),
        (16, 128, 11.325, 11.308, 8.109, 0.378, 0.1251),
    ] {
        let cost = Costs::uniform(f, i, w, latency).unwrap();
        let got = timeline(Kind::OneFOneB, p, m, &cost).bubble_rate();
        assert!((got - rate).abs() <= 0.000_05, "{p} ranks, {m} microbatches: {got}, not {rate}");
    }
}
