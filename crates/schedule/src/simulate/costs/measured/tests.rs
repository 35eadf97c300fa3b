//! Costs of runs short enough to see through.

use crate::{Costs, Held, Span, Stage, StageCosts, Timeline};

/// One rank's row from `(action, held in the end, most)`, a second each.
fn row(actions: &[(&str, f64, f64)]) -> Vec<Span> {
    let mut time = 0.0;
    let mut span = |&(action, end, peak): &(&str, f64, f64)| {
        let start = time;
        time += 1.0;
        let span = Span::new(action.parse().unwrap(), start, time);
        Span { held: Some(Held { end, peak }), ..span }
    };
    actions.iter().map(&mut span).collect()
}

fn measured(rows: Vec<Vec<Span>>) -> Costs {
    Costs::measured(&Timeline::from_rows(rows).unwrap())
}

fn stage(costs: &Costs, stage: usize) -> StageCosts {
    *costs.stage(Stage::new(stage))
}

#[test]
fn what_the_first_backward_makes_for_good_is_of_no_microbatch() {
    // Weights of 100; activations of 10; the first backward makes gradients of 50 and keeps them.
    let costs = measured(vec![row(&[
        ("0F0", 110.0, 112.0),
        ("0F1", 120.0, 122.0),
        ("0F2", 130.0, 132.0),
        ("0B0", 170.0, 175.0),
        ("0B1", 160.0, 175.0),
        ("0B2", 150.0, 165.0),
    ])]);
    let stage = stage(&costs, 0);
    assert_eq!((stage.activation_bytes, stage.resident), (10.0, 150.0));
    assert_eq!((stage.workspace_forward, stage.workspace_backward), (2.0, 5.0));
}

#[test]
fn of_a_single_microbatch_the_forward_or_the_backward_tells() {
    let costs = measured(vec![row(&[("0F0", 110.0, 112.0), ("0B0", 100.0, 115.0)])]);
    let only = stage(&costs, 0);
    assert_eq!((only.activation_bytes, only.resident), (10.0, 100.0));
    assert_eq!((only.workspace_forward, only.workspace_backward), (2.0, 5.0));
}

#[test]
fn what_is_left_for_the_weights_and_for_recomputing_is_told_apart() {
    let costs = measured(vec![row(&[
        ("0F0", 3.0, 11.0),
        ("0F1", 13.0, 14.0),
        ("0R0", 20.0, 22.0),
        ("0I0", 14.0, 23.0),
        ("0W0", 10.0, 15.0),
        ("0I1", 4.0, 13.0),
        ("0W1", 0.0, 5.0),
    ])]);
    let stage = stage(&costs, 0);
    assert_eq!(stage.activation_bytes, 10.0);
    assert_eq!((stage.held_for_weight, stage.held_for_recompute), (4.0, 3.0));
    assert_eq!([stage.workspace_forward, stage.workspace_recompute], [1.0, 2.0]);
    assert_eq!([stage.workspace_input, stage.workspace_weight, stage.resident], [3.0, 1.0, 0.0]);
}

#[test]
fn messages_count_with_the_computations_that_they_are_for() {
    // A receive brings 4, which are a part of the 10 that the forward leaves; a send takes 4 away.
    let rows = || {
        vec![
            row(&[
                ("0F0", 14.0, 14.0),
                ("0SEND_F0", 10.0, 14.0),
                ("0F1", 24.0, 24.0),
                ("0SEND_F1", 20.0, 24.0),
                ("0RECV_B0", 24.0, 24.0),
                ("0B0", 10.0, 24.0),
                ("0RECV_B1", 14.0, 14.0),
                ("0B1", 0.0, 14.0),
            ]),
            row(&[
                ("1RECV_F0", 4.0, 4.0),
                ("1F0", 10.0, 10.0),
                ("1RECV_F1", 14.0, 14.0),
                ("1B0", 8.0, 18.0),
                ("1SEND_B0", 4.0, 8.0),
                ("1F1", 10.0, 10.0),
                ("1B1", 4.0, 14.0),
                ("1SEND_B1", 0.0, 4.0),
            ]),
        ]
    };
    let costs = measured(rows());
    assert_eq!([0, 1].map(|of| stage(&costs, of).activation_bytes), [10.0, 10.0]);
    let mut sent = rows();
    for span in sent.iter_mut().flatten().filter(|span| span.action.work().is_none()) {
        span.moved = Some(4.0);
    }
    let costs = measured(sent);
    assert_eq!((stage(&costs, 0).message_bytes, stage(&costs, 0).bandwidth), (4.0, None));
}

#[test]
fn what_a_run_did_not_do_takes_its_stage_s_median() {
    let span = |action: &str, start, end| Span::new(action.parse().unwrap(), start, end);
    let costs = measured(vec![vec![
        span("0F0", 0.0, 9.0),
        span("0F1", 9.0, 12.0),
        span("0F2", 12.0, 15.0),
        span("0B0", 15.0, 19.0),
        span("0B1", 19.0, 23.0),
        span("0B2", 23.0, 27.0),
    ]]);
    let of = |action: &str| costs.of(action.parse().unwrap());
    let times = ["0F0", "0F1", "0F7", "0R0", "0B0", "0I0", "0W0"].map(of);
    assert_eq!(times, [9.0, 3.0, 3.0, 3.0, 4.0, 2.0, 2.0]);
    assert_eq!(stage(&costs, 0).activation_bytes, 1.0, "nothing was said of sizes");
}

#[test]
fn an_evaluation_says_nothing_of_activations() {
    let costs = measured(vec![row(&[("0F0", 100.0, 130.0), ("0F1", 100.0, 130.0)])]);
    let stage = stage(&costs, 0);
    assert_eq!(
        (stage.resident, stage.workspace_forward, stage.activation_bytes),
        (100.0, 30.0, 1.0)
    );
}
