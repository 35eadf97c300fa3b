//! The quick proof and the rules come to the same verdict and the same facts.

use proptest::prelude::*;
use proptest::sample::Index;

use super::{explain, explain_plan, prove, prove_plan};
use crate::{Action, Extent, Kind, Plan, Program, Work, generate, lower};

fn plans() -> impl Strategy<Value = Plan> {
    let kinds = prop::sample::select(&Kind::ALL[..]);
    (kinds, 1usize..=3, 1usize..=2, 1usize..=6).prop_filter_map(
        "a size that the schedule has",
        |(kind, num_ranks, stages_per_rank, num_microbatches)| {
            generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches }).ok()
        },
    )
}

/// Two actions change places, or one goes.
fn spoil<T: Copy>(rows: &mut [Vec<T>], rank: Index, a: Index, b: Index, drops: bool) {
    let row = &mut rows[rank.index(rows.len())];
    let (a, b) = (a.index(row.len()), b.index(row.len()));
    if drops {
        row.remove(a);
    } else {
        row.swap(a, b);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn of_programs(plan in plans(), how: Option<(Index, Index, Index, bool)>) {
        let mut rows: Vec<Vec<Action>> = lower(&plan).into_rows();
        if let Some((rank, a, b, drops)) = how {
            spoil(&mut rows, rank, a, b, drops);
        }
        let quick = prove(&rows);
        prop_assert!(how.is_some() || quick.is_some(), "what is lowered is proved");
        let thorough = explain(Program::new(rows)).map(|valid| valid.facts().clone());
        prop_assert_eq!(quick, thorough.ok());
    }

    #[test]
    fn of_plans(plan in plans(), how: Option<(Index, Index, Index, bool)>) {
        let mut rows: Vec<Vec<Work>> = plan.into_rows();
        if let Some((rank, a, b, drops)) = how {
            spoil(&mut rows, rank, a, b, drops);
        }
        let quick = prove_plan(&rows);
        let thorough = explain_plan(&rows, |&work| Some(Action::from(work)));
        prop_assert_eq!(quick, thorough.ok());
    }
}
