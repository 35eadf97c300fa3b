//! What is true of a plan's lowering, whatever the options.

use autopipe_schedule::lower::{
    Lookahead, Lowering, OptimizerSteps, Receives, Recompute, ReduceGrads, Sharding, WaitSends,
    lower_observed, lower_row, lower_with, merge_backward, recompute,
};
use autopipe_schedule::{Action, Compute, Rank, Stage, lower, validate};
use proptest::prelude::*;

use crate::strategies::plans;

fn lowerings() -> impl Strategy<Value = Lowering> {
    let sharding = (2usize..5, prop::sample::select(vec![Lookahead::Full, Lookahead::Auto]))
        .prop_map(|(max_active_stages, lookahead)| Sharding { max_active_stages, lookahead });
    let reduce = [ReduceGrads::Never, ReduceGrads::Immediate, ReduceGrads::Deferred];
    let waits =
        [WaitSends::Never, WaitSends::WhenTaken, WaitSends::AtMost(2), WaitSends::AtMost(5)];
    let steps = [OptimizerSteps::Never, OptimizerSteps::WhenReady, OptimizerSteps::AtEnd];
    (
        prop::option::of(sharding),
        prop::sample::select(reduce.to_vec()),
        prop::sample::select(waits.to_vec()),
        prop::sample::select(vec![Receives::Early, Receives::Late]),
        prop::sample::select(steps.to_vec()),
    )
        .prop_map(|(sharding, reduce_grads, wait_sends, receives, optimizer_steps)| Lowering {
            sharding,
            reduce_grads,
            wait_sends,
            receives,
            tied: Vec::new(),
            optimizer_steps,
        })
}

fn computes<'a>(actions: impl IntoIterator<Item = &'a Action>) -> Vec<Compute> {
    actions.into_iter().flat_map(|action| action.computes()).collect()
}

proptest! {
    #[test]
    fn whatever_the_options_the_program_is_valid(
        plan in plans(),
        mut lowering in lowerings(),
        ties in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..3),
    ) {
        for (one, other) in ties {
            let [one, other] = [one, other].map(|stage| Stage::new(stage.index(plan.num_stages())));
            if one != other {
                lowering.tied.push(vec![one, other]);
            }
        }
        let mut last = None;
        let lowered =
            lower_observed(&plan, &lowering, &mut |_, program| last = Some(program.clone()));
        let program = match lowered {
            Ok(program) => {
                // There is always a pass: sends and receives.
                prop_assert_eq!(last.as_ref(), Some(&program));
                program
            }
            // Only a limit on the sends can be impossible.
            Err(error) => {
                prop_assert!(matches!(lowering.wait_sends, WaitSends::AtMost(_)), "{error}");
                lowering.wait_sends = WaitSends::WhenTaken;
                lower_with(&plan, &lowering).unwrap()
            }
        };
        for (rank, (before, after)) in plan.rows().iter().zip(program.rows()).enumerate() {
            let parts: Vec<Compute> = before.iter().flat_map(|work| work.parts()).collect();
            prop_assert_eq!(parts, computes(after));
            prop_assert_eq!(&lower_row(&plan, Rank::new(rank), &lowering).unwrap(), after);
        }
        let valid = validate(program);
        prop_assert!(valid.is_ok(), "{lowering:?}\n{}", valid.unwrap_err());
    }

    #[test]
    fn no_more_sends_are_under_way_than_the_limit(plan in plans(), limit in 1usize..4) {
        let lowering = Lowering { wait_sends: WaitSends::AtMost(limit), ..Lowering::default() };
        let Ok(program) = lower_with(&plan, &lowering) else { return Ok(()) };
        for row in program.rows() {
            let mut num_pending = 0;
            for action in row {
                match action {
                    Action::Send(_) => num_pending += 1,
                    Action::WaitSend(_) => num_pending -= 1,
                    _ => {}
                }
                prop_assert!(num_pending <= limit);
            }
            prop_assert_eq!(num_pending, 0);
        }
    }

    #[test]
    fn plans_stay_right_when_backwards_are_merged_or_computed_again(plan in plans()) {
        let merged = merge_backward(&plan);
        prop_assert_eq!(&merge_backward(&merged), &merged);
        let again = recompute(&plan, Recompute::All);
        prop_assert_eq!(&recompute(&again, Recompute::All), &again);
        prop_assert_eq!(&recompute(&again, Recompute::Stages(&[Stage::new(9999)])), &again);
        prop_assert!(validate(lower(&again)).is_ok());
    }
}
