//! What makes a plan, and its forward half.

use crate::csv::{plan_to_string, read_plan};
use crate::{Extent, Kind, Plan, generate};

#[test]
fn facts_are_read_off_the_rows() {
    let text = "0F0,0F1,3F0,3B0,3F1,3B1,0B0,0B1\r\n1F0,2F0,1F1,2F1,2B0,1B0,2B1,1B1\r\n";
    let plan = read_plan(text.as_bytes()).unwrap();
    assert_eq!((plan.num_ranks(), plan.num_stages(), plan.num_microbatches()), (2, 4, 2));
    assert!(plan.has_backward());
    assert_eq!(plan.placement(), &crate::Placement::v(2).unwrap());
}

#[test]
fn an_evaluation_goes_forward_in_the_same_order() {
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 3 };
    let plan = generate(Kind::OneFOneB, &extent).unwrap().forward_only();
    assert_eq!(plan_to_string(&plan), "0F0,0F1,0F2\r\n,1F0,1F1,1F2\r\n");
    assert!(!plan.has_backward());
    assert_eq!(plan.num_microbatches(), 3);
    assert_eq!(plan, read_plan(plan_to_string(&plan).as_bytes()).unwrap());
    assert_eq!(plan, plan.forward_only());
}

#[test]
fn incomplete_tables_are_refused_with_every_reason() {
    let error = Plan::from_rows(Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "there is no rank; a schedule has at least one row");
    let error = read_plan("0F0,0F1,0B0\n1B0,1F0\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the schedule breaks 4 rules
- stage 0 lacks the backward (B, or I and W) of microbatch 1; every stage computes all 2 of them
- stage 1 lacks the forward (F) of microbatch 1; every stage computes all 2 of them
- stage 1 lacks the backward (B, or I and W) of microbatch 1; every stage computes all 2 of them
- rank 1, step 0, 1B0: comes before 1F0 (rank 1, step 1), which it needs; move it behind"
    );
}

#[test]
fn rows_that_do_not_fit_together_show_the_circle() {
    let error = |text: &str| read_plan(text.as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error("0F0,0B0,0F1,0B1\n,1F0,1F1,1B0,1B1\n"),
        "rank 0, step 1, 0B0: waits for ever on every transport: it needs 1B0 (rank 1, step 3), which \
         is behind 1F1 (rank 1, step 2), which needs 0F1 (rank 0, step 2), which is behind the first; \
         move one of those needed before the one in front of it"
    );
    let waits = error("0F0,0I0,0W0,0F1,0B1\n1F0,1F1,1B1,1I0,1W0\n");
    assert!(
        waits.starts_with("rank 0, step 1, 0I0: waits for ever on every transport: it needs 1I0")
    );
}

#[test]
fn overlaps_and_activations_computed_again() {
    let plan = read_plan("0F0,(0F1;0B0)OVERLAP_F_B,0R1,0B1\n".as_bytes()).unwrap();
    assert_eq!(plan.peak_activations(), [2]);
    assert_eq!(plan_to_string(&plan.forward_only()), "0F0,0F1\r\n");
    let error = read_plan("(0F0;0B0)OVERLAP_F_B,0R0\n".as_bytes()).unwrap_err().to_string();
    assert_eq!(
        error,
        "the schedule breaks 2 rules
- rank 0, step 0, 0B0: overlaps 0F0 (rank 0, step 0), which it needs; compute it behind
- rank 0, step 0, 0B0: comes before 0R0 (rank 0, step 1), which it needs; move it behind"
    );
}
