//! Costs that are read off a run say of the run what happened in it.

use autopipe_schedule::lower::{Recompute, recompute};
use autopipe_schedule::{
    CostKey, Costs, Extent, Kind, Plan, StagesPerRank, Timeline, ValidProgram, generate, lower,
    simulate, validate,
};
use proptest::prelude::*;

use crate::strategies::plans;

fn closely(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn program(plan: &Plan) -> ValidProgram {
    validate(lower(plan)).unwrap()
}

/// Sizes by stage that nobody would guess.
fn sizes() -> impl Strategy<Value = Costs> {
    let keys = [
        (CostKey::ActivationBytes, 100.0..200.0),
        (CostKey::HeldForWeight, 10.0..90.0),
        (CostKey::HeldForRecompute, 1.0..9.0),
        (CostKey::Resident, 0.0..1000.0),
        (CostKey::WorkspaceForward, 0.0..50.0),
        (CostKey::WorkspaceInput, 0.0..50.0),
        (CostKey::WorkspaceWeight, 0.0..50.0),
        (CostKey::WorkspaceBackward, 0.0..80.0),
        (CostKey::WorkspaceRecompute, 0.0..50.0),
        (CostKey::MessageBytes, 1.0..30.0),
    ];
    let values = keys
        .map(|(key, range)| prop::collection::vec(range, 12).prop_map(move |values| (key, values)));
    values.prop_map(|given| {
        let with = |costs: Costs, (key, values): (CostKey, Vec<f64>)| costs.with(key, values);
        given.into_iter().try_fold(Costs::UNIT, with).unwrap()
    })
}

/// A run that has counted bytes.
fn run(program: &ValidProgram, costs: &Costs) -> Timeline {
    simulate(program, costs).with_sizes(costs)
}

fn check_peaks(program: &ValidProgram, costs: &Costs) {
    let run = run(program, costs);
    let measured = Costs::measured(&run);
    let predicted = simulate(program, &measured);
    let (expected, got) = (run.peak_bytes(&Costs::UNIT), predicted.peak_bytes(&measured));
    assert!(
        expected.iter().zip(&got).all(|(&a, &b)| closely(a, b)),
        "{expected:?}, predicted {got:?} with {measured:?}"
    );
}

proptest! {
    #[test]
    fn the_peaks_of_every_kind_are_predicted_from_its_run(
        costs in sizes(),
        num_ranks in 1usize..=4,
        again in 0usize..=3,
    ) {
        for kind in Kind::ALL {
            let stages_per_rank = match kind.stages_per_rank() {
                StagesPerRank::Exactly(stages) => stages,
                StagesPerRank::AtLeast(fewest) | StagesPerRank::Between(fewest, _) => fewest,
            };
            let num_microbatches = 3 * num_ranks * stages_per_rank;
            let plan = generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches });
            let plan = plan.unwrap();
            let plan = match again {
                0 => recompute(&plan, Recompute::All),
                _ => plan,
            };
            check_peaks(&program(&plan), &costs);
        }
    }

    #[test]
    fn the_sizes_of_another_schedule_are_those_of_the_same_stages(costs in sizes()) {
        let extent = Extent { num_ranks: 3, stages_per_rank: 1, num_microbatches: 6 };
        let measured = Costs::measured(&run(
            &program(&generate(Kind::ZbH1, &extent).unwrap()),
            &costs,
        ));
        // ZB-H1 has split backwards only, and so cannot know the workspace of a whole one.
        let costs = {
            let stage = |stage| *costs.stage(autopipe_schedule::Stage::new(stage));
            let whole = |stage: autopipe_schedule::StageCosts| {
                stage.workspace_input.max(stage.workspace_weight)
            };
            let whole: Vec<f64> = (0..3).map(stage).map(whole).collect();
            costs.with(CostKey::WorkspaceBackward, whole).unwrap()
        };
        for kind in [Kind::GPipe, Kind::OneFOneB, Kind::ZbH2] {
            let program = program(&generate(kind, &extent).unwrap());
            let expected = simulate(&program, &costs).peak_bytes(&costs);
            let got = simulate(&program, &measured).peak_bytes(&measured);
            prop_assert!(
                expected.iter().zip(&got).all(|(&a, &b)| closely(a, b)),
                "{kind}: {expected:?}, predicted {got:?}"
            );
        }
    }

    #[test]
    fn microbatches_of_different_sizes_are_told_by_their_messages(
        costs in sizes(),
        factors in prop::collection::vec(prop::sample::select(vec![0.5, 1.0, 1.5, 2.0]), 5),
    ) {
        let extent = Extent { num_ranks: 3, stages_per_rank: 1, num_microbatches: 5 };
        let program = program(&generate(Kind::OneFOneB, &extent).unwrap());
        check_peaks(&program, &costs.with_microbatch_sizes(factors).unwrap());
    }

    #[test]
    fn any_sizes_make_costs_that_can_be_reckoned_with(
        plan in plans(),
        noise in prop::collection::vec(prop::option::of((0.0f64..1e60, 0.0f64..1e60)), 1..40),
        moved in prop::collection::vec(prop::option::of(0.0f64..1e60), 1..40),
    ) {
        let timeline = simulate(&program(&plan), &Costs::UNIT);
        let (mut noise, mut moved) = (noise.iter().cycle(), moved.iter().cycle());
        let sized = |&span: &autopipe_schedule::Span| {
            let is_message = matches!(
                span.action,
                autopipe_schedule::Action::Send(_) | autopipe_schedule::Action::Recv(_)
            );
            let held = |(a, b): (f64, f64)| autopipe_schedule::Held { end: a.min(b), peak: a.max(b) };
            autopipe_schedule::Span {
                moved: moved.next().copied().flatten().filter(|_| is_message),
                held: noise.next().copied().flatten().map(held),
                ..span
            }
        };
        let mut sized = sized;
        let rows = timeline.rows().iter().map(|row| row.iter().map(&mut sized).collect());
        let run = Timeline::from_rows(rows.collect()).unwrap();
        let costs = Costs::measured(&run);
        // As JSON they are held to all that costs have to keep.
        let json = serde_json::to_string(&costs).unwrap();
        prop_assert!(serde_json::from_str::<Costs>(&json).is_ok(), "{json}");
        prop_assert_eq!(costs.check_stages(plan.num_stages()), Ok(()));
        let peaks = simulate(&program(&plan), &costs).peak_bytes(&costs);
        prop_assert!(peaks.iter().all(|peak| peak.is_finite() && *peak >= 0.0));
        let peaks = run.peak_bytes(&Costs::UNIT);
        prop_assert!(peaks.iter().all(|peak| peak.is_finite() && *peak >= 0.0));
    }
}
