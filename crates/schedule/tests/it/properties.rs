//! What is true of every schedule.

use std::collections::BTreeMap;

use autopipe_schedule::{
    Action, Compute, ComputeOp, Costs, Kind, MicroBatch, Plan, Program, Stage, csv, generate,
    lower, simulate, timetable, validate,
};
use proptest::prelude::*;

use crate::strategies::{extents, plans};

fn computes(row: &[Action]) -> Vec<Compute> {
    row.iter().flat_map(|action| action.computes()).collect()
}

/// When the last entry of a plan ends if each takes one step.
fn num_columns(plan: &Plan) -> usize {
    let mut ends: BTreeMap<(bool, Stage, MicroBatch), usize> = BTreeMap::new();
    let mut steps = vec![(0, 0); plan.num_ranks()];
    let mut is_moving = true;
    while std::mem::take(&mut is_moving) {
        for (row, (step, column)) in plan.rows().iter().zip(&mut steps) {
            let Some(work) = row.get(*step) else { continue };
            let needs: Option<Vec<usize>> = work
                .parts()
                .map(|part| {
                    let (stage, last) = (part.stage.index(), plan.num_stages() - 1);
                    let stage = match part.op {
                        ComputeOp::Forward if stage > 0 => stage - 1,
                        ComputeOp::Backward | ComputeOp::BackwardInput if stage < last => stage + 1,
                        _ => return Some(0),
                    };
                    let is_forward = part.op == ComputeOp::Forward;
                    ends.get(&(is_forward, Stage::new(stage), part.microbatch)).copied()
                })
                .collect();
            let Some(needs) = needs else { continue };
            *column = needs.into_iter().fold(*column, usize::max) + 1;
            *step += 1;
            is_moving = true;
            for part in work.parts() {
                if !matches!(part.op, ComputeOp::BackwardWeight | ComputeOp::Recompute) {
                    let is_forward = part.op == ComputeOp::Forward;
                    ends.insert((is_forward, part.stage, part.microbatch), *column);
                }
            }
        }
    }
    steps.into_iter().map(|(_, column)| column).max().unwrap()
}

fn closely(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

fn costs() -> impl Strategy<Value = Costs> {
    (0.1f64..9.0, 0.1f64..9.0, 0.1f64..9.0, 0.0f64..3.0)
        .prop_map(|(f, i, w, latency)| Costs::uniform(f, i, w, latency).unwrap())
}

proptest! {
    #[test]
    fn what_is_lowered_is_valid(plan in plans()) {
        let program = lower(&plan);
        let valid = validate(program.clone());
        prop_assert!(valid.is_ok(), "{}", valid.unwrap_err().marked_table());
        let valid = valid.unwrap();
        prop_assert_eq!(valid.program(), &program);
        prop_assert_eq!(valid.placement(), plan.placement());
        prop_assert_eq!(valid.num_microbatches(), plan.num_microbatches());
        prop_assert_eq!(valid.has_backward(), plan.has_backward());
    }

    #[test]
    fn an_evaluation_of_any_plan_is_valid(plan in plans()) {
        let valid = validate(lower(&plan.forward_only())).unwrap();
        prop_assert!(!valid.has_backward());
        prop_assert_eq!(valid.placement(), plan.placement());
        prop_assert_eq!(valid.num_microbatches(), plan.num_microbatches());
    }

    #[test]
    fn text_and_tables_are_inverses(plan in plans()) {
        let text = csv::plan_to_string(&plan);
        prop_assert_eq!(&csv::read_plan(text.as_bytes()).unwrap(), &plan);
        prop_assert_eq!(&csv::read_plan(text.replace("\r\n", "\n").as_bytes()).unwrap(), &plan);
        let program = lower(&plan);
        let text = csv::program_to_string(&program);
        prop_assert_eq!(csv::read_program(text.as_bytes()).unwrap(), program);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[0-9FIWBSENDRCV_,\r\n ]{0,200}") {
        if let Ok(program) = csv::read_program(text.as_bytes()) {
            let printed = csv::program_to_string(&program);
            prop_assert_eq!(&csv::read_program(printed.as_bytes()).unwrap(), &program);
            drop(validate(program).map_err(|violations| violations.marked_table()));
        }
        drop(csv::read_plan(text.as_bytes()).map(|plan| lower(&plan)));
    }

    #[test]
    fn lowering_keeps_each_rank_in_its_order(plan in plans()) {
        let program = lower(&plan);
        for (before, after) in plan.rows().iter().zip(program.rows()) {
            let before: Vec<Compute> = before.iter().flat_map(|work| work.parts()).collect();
            prop_assert_eq!(before, computes(after));
        }
    }

    #[test]
    fn every_forward_has_its_backward_once(plan in plans()) {
        let mut ops: BTreeMap<_, Vec<ComputeOp>> = BTreeMap::new();
        for compute in plan.rows().iter().flatten().flat_map(|work| work.parts()) {
            ops.entry((compute.stage, compute.microbatch)).or_default().push(compute.op);
        }
        prop_assert_eq!(ops.len(), plan.num_stages() * plan.num_microbatches());
        for ops in ops.values() {
            use ComputeOp::{Backward, BackwardInput, BackwardWeight, Forward, Recompute};
            let expected: &[&[ComputeOp]] = if plan.has_backward() {
                &[
                    &[Forward, Backward],
                    &[Forward, BackwardInput, BackwardWeight],
                    &[Forward, Recompute, Backward],
                    &[Forward, Recompute, BackwardInput, BackwardWeight],
                ]
            } else {
                &[&[Forward]]
            };
            prop_assert!(expected.contains(&&ops[..]), "{ops:?}");
        }
    }

    #[test]
    fn the_simulation_runs_every_action_in_order(plan in plans(), cost in costs()) {
        let program = validate(lower(&plan)).unwrap();
        let timeline = simulate(&program, &cost);
        for (row, spans) in program.rows().iter().zip(timeline.rows()) {
            let actions: Vec<Action> = spans.iter().map(|span| span.action).collect();
            prop_assert_eq!(row, &actions);
            prop_assert!(spans.iter().all(|span| span.start <= span.end));
            prop_assert!(spans.windows(2).all(|pair| pair[0].start <= pair[1].start));
        }
        prop_assert!(timeline.work() <= timeline.span() * (1.0 + 1e-9));
        prop_assert!(timeline.span() <= timeline.makespan());
        let bubble = timeline.bubble_rate();
        prop_assert!((-1e-9..1.0).contains(&bubble), "{bubble}");
    }

    #[test]
    fn tensors_are_used_after_they_are_made_and_have_travelled(plan in plans(), cost in costs()) {
        let program = validate(lower(&plan)).unwrap();
        let timeline = simulate(&program, &cost);
        let spans: BTreeMap<Compute, (f64, f64)> = timeline
            .rows()
            .iter()
            .flatten()
            .flat_map(|span| span.action.computes().map(|part| (part, (span.start, span.end))))
            .collect();
        for (&compute, &(start, _)) in &spans {
            let stage = compute.stage;
            let before = match compute.op {
                ComputeOp::Forward => stage.index().checked_sub(1),
                ComputeOp::Backward | ComputeOp::BackwardInput => Some(stage.index() + 1),
                ComputeOp::BackwardWeight | ComputeOp::Recompute => None,
            };
            let Some(before) = before.filter(|&before| before < plan.num_stages()) else { continue };
            let before = Stage::new(before);
            let made = match compute.op {
                ComputeOp::Forward => vec![ComputeOp::Forward],
                _ => vec![ComputeOp::Backward, ComputeOp::BackwardInput],
            };
            let made = made
                .into_iter()
                .find_map(|op| spans.get(&Compute { op, stage: before, ..compute }))
                .unwrap();
            let is_near = plan.placement().rank_of(before) == plan.placement().rank_of(stage);
            let travel = if is_near { 0.0 } else { cost.message(before.min(stage)) };
            prop_assert!(start >= made.1 + travel - 1e-9, "{compute}");
        }
    }

    #[test]
    fn the_bubble_of_gpipe_and_1f1b_is_its_formula(
        kind in prop::sample::select(&[Kind::GPipe, Kind::OneFOneB][..]),
        extent in extents(),
        f in 0.1f64..9.0,
    ) {
        // Every rank's F takes f and its B as long, so that the formula holds for both.
        let cost = Costs::uniform(f, f / 2.0, f / 2.0, 0.0).unwrap();
        let program = validate(lower(&generate(kind, &extent).unwrap())).unwrap();
        let timeline = simulate(&program, &cost);
        let sizes = [extent.num_ranks, extent.num_microbatches];
        let [p, m] = sizes.map(|n| f64::from(u32::try_from(n).unwrap()));
        prop_assert!(closely(timeline.makespan(), (m + p - 1.0) * 2.0 * f));
        prop_assert!(closely(timeline.bubble_rate(), (p - 1.0) / (m + p - 1.0)));
    }

    #[test]
    fn one_f_one_b_keeps_no_more_than_the_ranks_behind_need(extent in extents()) {
        let plan = generate(Kind::OneFOneB, &extent).unwrap();
        let program = validate(lower(&plan)).unwrap();
        let expected: Vec<usize> = (1..=extent.num_ranks).rev().collect();
        prop_assert_eq!(simulate(&program, &Costs::UNIT).peak_activations(), expected);
    }

    #[test]
    fn waits_make_no_difference(plan in plans()) {
        let cells = timetable(&plan);
        prop_assert_eq!(cells.iter().map(Vec::len).max(), Some(num_columns(&plan)));
        prop_assert_eq!(&Plan::from_cells(cells).unwrap(), &plan);
    }
}

#[test]
fn a_program_that_is_not_valid_can_still_be_written() {
    let program = Program::new(vec![vec![], vec![]]);
    assert_eq!(csv::program_to_string(&program), "\r\n\r\n");
}
