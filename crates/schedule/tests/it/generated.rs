//! Generated schedules: torch's own, digest by digest; sizes torch refuses; and what papers promise.

use std::fs;
use std::path::Path;

use autopipe_schedule::{
    Costs, Extent, Kind, Plan, Rank, Timeline, generate, lower, simulate_plan, validate,
};
use proptest::prelude::*;

use crate::{sha256, strategies};

fn plan(kind: Kind, num_ranks: usize, stages_per_rank: usize, num_microbatches: usize) -> Plan {
    generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches }).unwrap()
}

fn unit_times(kind: Kind, ranks: usize, stages_per_rank: usize, microbatches: usize) -> Timeline {
    simulate_plan(&plan(kind, ranks, stages_per_rank, microbatches), &Costs::UNIT)
}

/// A value of one of torch's rows: `{"schedule": "GPipe", "pp": 1, ..., "compute": "1a2a..."}`.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\": "))?;
    Some(rest.split([',', '}']).next()?.trim_matches('"'))
}

/// The digest of a plan's rows, written as torch writes tables.
fn digest(plan: &Plan) -> String {
    let mut text = String::new();
    for row in plan.rows() {
        let cells: Vec<String> = row.iter().map(ToString::to_string).collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    sha256::short(&text)
}

/// 1 to 4 ranks, 1 to 4 stages a rank, 1 to 16 microbatches, all schedules of torch.
#[test]
fn torch_generates_and_refuses_the_same() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/schedule_hashes.jsonl");
    let text = fs::read_to_string(path).unwrap();
    let (mut num_made, mut num_refused) = (0, 0);
    for line in text.lines() {
        let kind: Kind = field(line, "schedule").unwrap().parse().unwrap();
        let [num_ranks, stages_per_rank, num_microbatches] =
            ["pp", "v", "mb"].map(|name| field(line, name).unwrap().parse().unwrap());
        let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
        match (generate(kind, &extent), field(line, "compute")) {
            (Ok(plan), Some(expected)) => {
                assert_eq!(digest(&plan), expected, "{kind} {extent:?}");
                num_made += 1;
            }
            (Err(_), None) => num_refused += 1,
            (got, expected) => panic!("{kind} {extent:?}: {got:?}, in torch {expected:?}"),
        }
    }
    assert_eq!((num_made, num_refused), (874, 534));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_size_is_a_plan_where_the_style_says((kind, extent) in strategies::named()) {
        let plan = generate(kind, &extent).unwrap();
        prop_assert_eq!(plan.num_microbatches(), extent.num_microbatches);
        let placed = kind.placement_style().place(extent.num_ranks, extent.stages_per_rank);
        prop_assert_eq!(plan.placement(), &placed.unwrap());
    }

    #[test]
    fn every_size_evaluates((kind, extent) in strategies::named()) {
        let plan = generate(kind, &extent).unwrap().forward_only();
        let proved = Plan::from_rows(plan.rows().to_vec()).unwrap();
        prop_assert!(!proved.has_backward());
        prop_assert_eq!(&proved, &plan);
        prop_assert!(validate(lower(&plan)).is_ok());
    }

    /// Whatever is wrong with a size, it is said, and never takes long.
    #[test]
    fn no_size_is_too_strange(
        kind in prop::sample::select(&Kind::ALL[..]),
        sizes in prop::array::uniform3(prop_oneof![
            Just(0usize), Just(1), Just(2), Just(4097), Just(65_536), Just(usize::MAX), any::<usize>(),
        ]),
    ) {
        let [num_ranks, stages_per_rank, num_microbatches] = sizes;
        let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
        // What a test has no time for is left out.
        let pairs = num_ranks.saturating_mul(stages_per_rank).saturating_mul(num_microbatches);
        prop_assume!(!(1 << 14..=1 << 25).contains(&pairs));
        match generate(kind, &extent) {
            Ok(plan) => prop_assert_eq!(plan.num_ranks(), num_ranks),
            Err(error) => {
                prop_assert!(!error.problems.is_empty());
                prop_assert!(error.to_string().len() < 1000);
            }
        }
    }
}

/// The most activations that each rank holds, as the schedules' files say.
#[test]
fn activations_are_as_many_as_the_formulas_say() {
    for (p, v, m) in [(2, 2, 8), (4, 2, 16), (4, 3, 16), (5, 2, 20), (8, 2, 32)] {
        let most = |kind, v| plan(kind, p, v, m).peak_activations().to_vec();
        assert_eq!(most(Kind::GPipe, 1), vec![m; p]);
        assert_eq!(most(Kind::OneFOneB, 1), (1..=p).rev().collect::<Vec<_>>());
        assert_eq!(most(Kind::LoopedBfs, v), vec![v * m; p]);
        let interleaved = (0..p).map(|r| (v - 1) * p + 2 * (p - 1 - r) + 1);
        assert_eq!(most(Kind::InterleavedOneFOneB, v), interleaved.collect::<Vec<_>>());
        assert_eq!(most(Kind::InterleavedZeroBubble, v), vec![v * p; p]);
        assert_eq!(most(Kind::ZbvZeroBubble, 2), vec![2 * p; p]);
        assert_eq!(most(Kind::DualPipeV, 2), vec![2 * p + 1; p]);
        assert_eq!(most(Kind::ZbH1, 1), vec![p; p]);
        assert_eq!(most(Kind::ZbH2, 1), vec![2 * p - 1; p]);
        assert_eq!(most(Kind::VMin, 2).into_iter().max(), Some(2 * ((p + 4) / 3)));
        assert_eq!(most(Kind::VHalf, 2).into_iter().max(), Some(2 * ((p + 2) / 2)));
        assert!(most(Kind::Hanayo, v).into_iter().all(|held| held <= v * p));
    }
}

/// The bubbles that the schedules' files say, with F = I = W = 1.
#[test]
fn bubbles_are_as_long_as_the_formulas_say() {
    for (p, m) in [(2, 8), (3, 6), (4, 8), (4, 16), (5, 10), (6, 24), (7, 14), (8, 32)] {
        let span = |kind, v| {
            let timeline = unit_times(kind, p, v, m);
            timeline.span() - timeline.work()
        };
        let times = |n: usize| f64::from(u32::try_from(n).unwrap());
        let bubble = 3.0 * times(p - 1);
        assert_eq!(span(Kind::GPipe, 1), bubble);
        assert_eq!(span(Kind::OneFOneB, 1), bubble);
        for v in 1..=3 {
            assert_eq!(span(Kind::LoopedBfs, v), bubble);
            if m % p == 0 {
                assert_eq!(span(Kind::InterleavedOneFOneB, v), bubble);
                assert_eq!(span(Kind::InterleavedZeroBubble, v), bubble / 3.0);
            }
        }
        assert_eq!(span(Kind::ZbvZeroBubble, 2), 0.0);
        assert_eq!(span(Kind::DualPipeV, 2), 2.0 * times(p - 1));
        assert_eq!(span(Kind::ZbH1, 1), times(p - 1));
        assert_eq!(span(Kind::ZbH2, 1), 0.0, "{p} {m}");
        assert!(span(Kind::VMin, 2) <= times(4 * p - 5), "{p} {m}");
        let half = if p % 2 == 0 { (3 * p).saturating_sub(7).max(1) } else { 3 * p - 4 };
        assert!(span(Kind::VHalf, 2) <= times(half), "{p} {m}");
        assert_eq!(span(Kind::Hanayo, 2), times(4 * (p - 1)));
    }
}

/// Qi et al., Pipeline Parallelism with Controllable Memory, 2024: what the authors' program makes
/// of V-Min and V-Half with F = I = W = 1, the longest span of a rank and the most activations.
#[test]
fn v_min_and_v_half_are_no_longer_than_their_authors_make_them() {
    for (kind, p, m, span, peak) in [
        (Kind::VMin, 4, 8, 59.0, 4),
        (Kind::VMin, 4, 16, 107.0, 4),
        (Kind::VMin, 8, 16, 123.0, 8),
        (Kind::VHalf, 4, 8, 53.0, 6),
        (Kind::VHalf, 4, 16, 101.0, 6),
        (Kind::VHalf, 8, 16, 113.0, 10),
    ] {
        let timeline = unit_times(kind, p, 2, m);
        assert!(timeline.span() <= span, "{kind} {p}x{m}: {}", timeline.span());
        assert!(timeline.peak_activations().into_iter().all(|held| held <= peak));
    }
}

/// A block that needs more than its limit gets stuck and is left out; these sizes, many of them
/// odd, all come to an end within the limit.
#[test]
fn blocks_keep_to_their_limits() {
    for p in 1..=20 {
        for m in [1, 2, p, p + 1, 3 * p] {
            let most = |kind, v| plan(kind, p, v, m).peak_activations().iter().copied().max();
            assert!(most(Kind::VMin, 2) <= Some(2 * ((p + 4) / 3)), "{p} {m}");
            assert!(most(Kind::VHalf, 2) <= Some(2 * ((p + 2) / 2)), "{p} {m}");
            for v in 2..=5 {
                assert!(most(Kind::Hanayo, v) <= Some(v * p), "{p} {v} {m}");
            }
        }
    }
}

/// In as many microbatches as ranks, a wave over more stages waits no longer, so that its bubble is
/// a smaller part; 1F1B's is 3 (p - 1) of stages v times as large.
#[test]
fn waves_wait_about_as_long_however_many_stages_a_rank_has() {
    for p in [2, 4, 8] {
        for v in [2, 3, 4, 6, 8] {
            let timeline = unit_times(Kind::Hanayo, p, v, p);
            let bubble = timeline.makespan() - timeline.work();
            let ideal = f64::from(u32::try_from(4 * (p - 1)).unwrap());
            assert!((ideal..=ideal + 2.0).contains(&bubble), "{p} {v}: {bubble}");
        }
    }
}

/// Nor does it grow with the microbatches: the block that is taken has no passes that meet.
#[test]
fn many_microbatches_wait_no_longer_than_some() {
    for (p, v) in [(2, 3), (3, 5), (4, 4), (5, 3), (6, 4), (7, 3), (8, 3), (8, 4)] {
        let bubble = |m| {
            let timeline = unit_times(Kind::Hanayo, p, v, m);
            timeline.makespan() - timeline.work()
        };
        assert_eq!(bubble(32 * p), bubble(16 * p), "{p} {v}");
        let most = f64::from(u32::try_from(3 * v * (p - 1)).unwrap());
        assert!(bubble(16 * p) <= most, "{p} {v}: {}", bubble(16 * p));
    }
}

#[test]
fn stages_lie_in_the_style_of_the_kind() {
    let stages = |kind, v, rank| {
        let plan = plan(kind, 3, v, 6);
        let stages = plan.placement().stages_of(Rank::new(rank)).to_vec();
        stages.iter().map(|stage| stage.index()).collect::<Vec<_>>()
    };
    assert_eq!(stages(Kind::InterleavedOneFOneB, 3, 1), [1, 4, 7]);
    assert_eq!(stages(Kind::ZbvZeroBubble, 2, 1), [1, 4]);
    assert_eq!(stages(Kind::Hanayo, 3, 2), [2, 3, 8]);
}
