//! What is true of every simulation, and of what an analysis says about it.

use autopipe_schedule::{
    Action, Analysis, Communication, CostKey, Costs, Direction, Plan, Program, Rank, Stage,
    Timeline, Transfer, ValidProgram, analyze, compare, lower, simulate, simulate_plan, validate,
};
use proptest::prelude::*;

use crate::strategies::plans;

fn closely(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

/// Costs that differ from stage to stage and from microbatch to microbatch, with collectives.
fn costs() -> impl Strategy<Value = Costs> {
    let times = || prop::collection::vec(0.1f64..5.0, 1..5);
    let few = || prop::collection::vec(0.0f64..2.0, 1..5);
    let compute = (times(), times(), times(), few(), 0.5f64..1.5);
    (compute, few(), few(), few(), prop::collection::vec(0.5f64..2.0, 0..4)).prop_map(
        |((f, i, w, r, overlap), latency, bytes, collectives, factors)| {
            let collective = |costs: Costs, key| costs.with(key, collectives.clone()).unwrap();
            let costs = Costs::UNIT
                .with(CostKey::Forward, f)
                .and_then(|costs| costs.with(CostKey::BackwardInput, i))
                .and_then(|costs| costs.with(CostKey::BackwardWeight, w))
                .and_then(|costs| costs.with(CostKey::Recompute, r))
                .and_then(|costs| costs.with(CostKey::OverlapFactor, overlap))
                .and_then(|costs| costs.with(CostKey::Latency, latency))
                .and_then(|costs| costs.with(CostKey::MessageBytes, bytes))
                .and_then(|costs| costs.with(CostKey::Bandwidth, 2.0))
                .and_then(|costs| costs.with_microbatches(factors))
                .unwrap();
            [
                CostKey::Unshard,
                CostKey::Reshard,
                CostKey::ReduceGrad,
                CostKey::ReduceTied,
                CostKey::OptimizerStep,
            ]
            .into_iter()
            .fold(costs, collective)
        },
    )
}

/// The lowered plan with all that a program can have besides: waits, collectives, updates.
fn dressed(plan: &Plan) -> ValidProgram {
    let last = Stage::new(plan.num_stages() - 1);
    let rows = lower(plan).into_rows().into_iter().enumerate().map(|(rank, row)| {
        let stages = plan.placement().stages_of(Rank::new(rank));
        let mut dressed: Vec<Action> = stages.iter().map(|&stage| Action::Unshard(stage)).collect();
        dressed.extend(&row);
        dressed.extend(row.iter().filter_map(|action| match action {
            Action::Send(transfer) => Some(Action::WaitSend(*transfer)),
            _ => None,
        }));
        if plan.has_backward() {
            dressed.extend(stages.iter().map(|&stage| Action::ReduceGrad(stage)));
            dressed.extend(stages.iter().map(|&stage| Action::WaitReduceGrad(stage)));
            let shares =
                |stage: &&Stage| last.index() > 0 && (stage.index() == 0 || **stage == last);
            dressed.extend(
                stages.iter().filter(shares).map(|&stage| Action::ReduceTied { stage, group: 0 }),
            );
            dressed.extend(stages.iter().map(|&stage| Action::OptimizerStep(stage)));
        }
        dressed.extend(stages.iter().map(|&stage| Action::Reshard(stage)));
        dressed
    });
    let valid = validate(Program::new(rows.collect()));
    valid.map_err(|violations| format!("{violations}\n{}", violations.marked_table())).unwrap()
}

fn models(costs: &Costs) -> [Costs; 3] {
    Communication::ALL.map(|model| costs.clone().with_communication(model))
}

fn works(timeline: &Timeline) -> Vec<Vec<(Action, f64, f64)>> {
    let row = |row: &Vec<autopipe_schedule::Span>| {
        let works = row.iter().filter(|span| span.action.work().is_some());
        works.map(|span| (span.action, span.start, span.end)).collect()
    };
    timeline.rows().iter().map(row).collect()
}

/// What an action keeps a rank busy with, which no wait is.
fn busy(timeline: &Timeline, rank: Rank) -> f64 {
    let is_busy = |action: Action| {
        action.work().is_some() || matches!(action, Action::Reshard(_) | Action::OptimizerStep(_))
    };
    let spans = timeline.row(rank).iter().filter(|span| is_busy(span.action));
    spans.map(|span| span.duration()).sum()
}

fn check_analysis(timeline: &Timeline, analysis: &Analysis) {
    let makespan = timeline.makespan();
    assert!(closely(analysis.critical_length, makespan), "{}", analysis.critical_length);
    let slack_at =
        |place: &autopipe_schedule::Place| analysis.slack[place.rank.index()][place.step];
    assert!(analysis.critical_path.iter().all(|place| slack_at(place) == 0.0));
    let starts = |place: &autopipe_schedule::Place| timeline.row(place.rank)[place.step].start;
    assert!(analysis.critical_path.is_sorted_by(|a, b| starts(a) <= starts(b)));
    for (rank, row) in timeline.rows().iter().enumerate() {
        let rank = Rank::new(rank);
        assert_eq!(row.len(), analysis.slack[rank.index()].len());
        assert!(analysis.slack[rank.index()].iter().all(|&slack| slack >= 0.0));
        for (step, needs) in analysis.dependencies[rank.index()].iter().enumerate() {
            assert_eq!(
                step > 0,
                needs.first().is_some_and(|p| p.rank == rank && p.step + 1 == step)
            );
        }
        let bubble = &analysis.bubble[rank.index()];
        let causes = [bubble.warm_up, bubble.dependency, bubble.communication, bubble.tail];
        assert!(causes.iter().all(|&cause| cause >= -1e-9), "{bubble:?}");
        assert!(closely(bubble.total() + busy(timeline, rank), makespan), "{rank} {bubble:?}");
        let curve = &analysis.memory[rank.index()];
        assert!(curve.is_sorted_by(|a, b| a.time <= b.time));
        let peak = curve.iter().map(|point| point.activations).max().unwrap_or(0);
        assert_eq!(peak, timeline.peak_activations()[rank.index()]);
        if let Some(end) = curve.last() {
            assert_eq!((end.activations, end.bytes), (0, 0.0));
        }
    }
}

proptest! {
    #[test]
    fn a_plan_takes_as_long_as_what_it_is_lowered_to(plan in plans(), costs in costs()) {
        let program = validate(lower(&plan)).unwrap();
        let (planned, lowered) = (simulate_plan(&plan, &costs), simulate(&program, &costs));
        prop_assert_eq!(works(&planned), works(&lowered));
        prop_assert_eq!(planned.makespan(), lowered.makespan());
        prop_assert_eq!(planned.peak_activations(), plan.peak_activations());
        prop_assert_eq!(planned.memory(&costs), lowered.memory(&costs));
    }

    #[test]
    fn the_stricter_the_transport_the_longer_it_takes(plan in plans(), costs in costs()) {
        for program in [validate(lower(&plan)).unwrap(), dressed(&plan)] {
            let makespans = models(&costs).map(|costs| simulate(&program, &costs).makespan());
            prop_assert!(makespans.is_sorted_by(|a, b| *a <= b + 1e-9), "{makespans:?}");
        }
    }

    #[test]
    fn an_analysis_accounts_for_the_makespan(plan in plans(), costs in costs()) {
        let timeline = simulate_plan(&plan, &costs);
        check_analysis(&timeline, &analyze(&timeline, &costs));
        for program in [validate(lower(&plan)).unwrap(), dressed(&plan)] {
            for costs in models(&costs) {
                let timeline = simulate(&program, &costs);
                check_analysis(&timeline, &analyze(&timeline, &costs));
            }
        }
    }

    #[test]
    fn slack_is_how_much_longer_an_action_may_take(
        plan in plans(),
        costs in costs(),
        choice in any::<prop::sample::Index>(),
    ) {
        let program = dressed(&plan);
        for costs in models(&costs) {
            let timeline = simulate(&program, &costs);
            let analysis = analyze(&timeline, &costs);
            let works: Vec<(Action, f64)> = timeline
                .rows()
                .iter()
                .flatten()
                .zip(analysis.slack.iter().flatten())
                .filter(|(span, _)| span.action.work().is_some())
                .map(|(span, &slack)| (span.action, slack))
                .collect();
            let (action, slack) = works[choice.index(works.len())];
            let longer = |by: f64| {
                let costs = costs.clone().with_action(action, costs.of(action) + by).unwrap();
                simulate(&program, &costs).makespan()
            };
            let makespan = timeline.makespan();
            prop_assert!(closely(longer(slack), makespan), "{action} has {slack}");
            prop_assert!(closely(longer(slack + 1.0), makespan + 1.0), "{action} has {slack} only");
        }
    }

    #[test]
    fn a_simulation_passes_for_a_measurement(plan in plans(), costs in costs()) {
        let timeline = simulate(&dressed(&plan), &costs);
        let again = Timeline::from_rows(timeline.rows().to_vec()).unwrap();
        prop_assert_eq!(&again, &timeline);
        // A number may lose its last digit in JSON.
        let json = serde_json::to_string(&timeline).unwrap();
        let again: Timeline = serde_json::from_str(&json).unwrap();
        prop_assert_eq!(again.rows().len(), timeline.rows().len());
        for (again, span) in again.rows().iter().flatten().zip(timeline.rows().iter().flatten()) {
            prop_assert_eq!(again.action, span.action);
            prop_assert!(closely(again.start, span.start) && closely(again.end, span.end));
        }
    }

    #[test]
    fn what_was_measured_is_simulated_again(plan in plans(), costs in costs()) {
        let program = dressed(&plan);
        let run = simulate(&program, &costs);
        let comparison = compare(&run, &simulate(&program, &Costs::measured(&run)));
        prop_assert!(comparison.only_measured.is_empty() && comparison.only_simulated.is_empty());
        for one in comparison.actions.iter().flatten() {
            prop_assert!(closely(one.measured.duration(), one.simulated.duration())
                || one.measured.action.work().is_none());
        }
        // A latency shows only where somebody waits for it, and is then exact.
        prop_assert!(comparison.simulated_makespan <= comparison.measured_makespan + 1e-9);
        let all_wait = run.rows().iter().flatten().all(|span| {
            !matches!(span.action, Action::Recv(_)) || span.end > span.start
        });
        if all_wait {
            prop_assert!(closely(comparison.simulated_makespan, comparison.measured_makespan));
        }
    }

    #[test]
    fn a_measurement_with_wrong_times_is_analysed_without_a_panic(
        plan in plans(),
        costs in costs(),
        noise in prop::collection::vec(0.0f64..3.0, 1..20),
    ) {
        // Clocks that are apart, and ranks that dawdle: later and later along a row.
        let timeline = simulate(&dressed(&plan), &costs);
        let rows = timeline.rows().iter().enumerate().map(|(rank, row)| {
            let mut noise = noise.iter().cycle().skip(rank);
            let mut late = 0.0;
            row.iter()
                .map(|&span| {
                    late += noise.next().unwrap();
                    autopipe_schedule::Span {
                        start: span.start + late,
                        end: span.end + late,
                        ..span
                    }
                })
                .collect()
        });
        let measured = Timeline::from_rows(rows.collect()).unwrap();
        for costs in models(&Costs::measured(&measured)) {
            let analysis = analyze(&measured, &costs);
            prop_assert!(analysis.slack.iter().flatten().all(|&slack| slack >= 0.0));
            prop_assert!(analysis.critical_length <= measured.makespan() + 1e-9);
        }
    }
}

/// What is sent with a name of a stage that does not exist cannot be found, nor looked for.
#[test]
fn a_timeline_names_only_stages_that_compute() {
    let far = Transfer {
        direction: Direction::Forward,
        stage: Stage::new(Stage::LIMIT - 1),
        microbatch: autopipe_schedule::MicroBatch::new(0),
    };
    let span = autopipe_schedule::Span::new(Action::Send(far), 0.0, 0.0);
    assert_eq!(
        Timeline::from_rows(vec![vec![span]]).unwrap_err().to_string(),
        "0 of the 65536 forwards of 65536 stages and 1 microbatches are there; \
         a timeline is of a whole step"
    );
}
