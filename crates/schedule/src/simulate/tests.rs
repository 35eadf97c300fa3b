//! Times and memory of programs small enough to work out by hand.

use super::{Costs, Held, Span, Timeline, simulate};
use crate::csv::{read_plan, read_program};
use crate::{Rank, ValidProgram, lower, validate};

fn program(plan: &str) -> ValidProgram {
    validate(lower(&read_plan(plan.as_bytes()).unwrap())).unwrap()
}

fn row(spans: &[Span]) -> Vec<(String, f64, f64)> {
    spans.iter().map(|span| (span.action.to_string(), span.start, span.end)).collect()
}

#[test]
fn two_ranks_to_and_fro() {
    let cost = Costs::uniform(2.0, 3.0, 4.0, 0.5).unwrap();
    let timeline = simulate(&program("0F0,0B0\n1F0,1B0\n"), &cost);
    let spans = |rank| row(timeline.row(Rank::new(rank)));
    let at = |action: &str, start, end| (action.to_owned(), start, end);
    assert_eq!(
        spans(0),
        [
            at("0F0", 0.0, 2.0),
            at("0SEND_F0", 2.0, 2.0),
            at("0RECV_B0", 2.0, 12.0),
            at("0B0", 12.0, 19.0)
        ]
    );
    assert_eq!(
        spans(1),
        [
            at("1RECV_F0", 0.0, 2.5),
            at("1F0", 2.5, 4.5),
            at("1B0", 4.5, 11.5),
            at("1SEND_B0", 11.5, 11.5)
        ]
    );
    assert_eq!((timeline.makespan(), timeline.span(), timeline.work()), (19.0, 19.0, 9.0));
    assert_eq!(timeline.bubble_rate(), 10.0 / 19.0);
}

#[test]
fn the_input_part_frees_the_rank_before() {
    // Rank 0 starts its backward when 1I0 is done, while rank 1 still computes 1W0.
    let timeline = simulate(&program("0F0,0I0,0W0\n1F0,1I0,1W0\n"), &Costs::UNIT);
    assert_eq!((timeline.makespan(), timeline.span()), (5.0, 5.0));
    assert_eq!(row(timeline.row(Rank::new(1)))[4], ("1W0".to_owned(), 3.0, 4.0));
}

#[test]
fn a_span_starts_with_the_rank_and_not_with_the_clock() {
    let timeline = simulate(&program("0F0,0F1\n1F0,1F1\n"), &Costs::UNIT);
    assert_eq!((timeline.makespan(), timeline.span()), (3.0, 2.0));
    assert_eq!(timeline.bubble_rate(), 0.0);
}

#[test]
fn a_receive_that_is_posted_early_holds_nothing_up() {
    let text = "0F0,0SEND_F0,0F1,0SEND_F1\n1RECV_F0,1RECV_F1,1F0,1F1\n";
    let program = validate(read_program(text.as_bytes()).unwrap()).unwrap();
    let timeline = simulate(&program, &Costs::UNIT);
    let starts: Vec<f64> = timeline.row(Rank::new(1)).iter().map(|span| span.start).collect();
    assert_eq!(starts, [0.0, 0.0, 1.0, 2.0], "1F0 starts although 1RECV_F1 is not through");
}

#[test]
fn a_send_that_is_put_off_arrives_late() {
    let text = "0F0,0F1,0SEND_F0,0SEND_F1\n1RECV_F0,1F0,1RECV_F1,1F1\n";
    let program = validate(read_program(text.as_bytes()).unwrap()).unwrap();
    assert_eq!(simulate(&program, &Costs::UNIT).makespan(), 4.0);
}

#[test]
fn activations_live_from_the_forward_to_the_weights_gradient() {
    let peak = |plan: &str| simulate(&program(plan), &Costs::UNIT).peak_activations();
    assert_eq!(peak("0F0,0F1,0B0,0B1\n"), [2]);
    assert_eq!(peak("0F0,0B0,0F1,0B1\n"), [1]);
    assert_eq!(peak("0F0,0I0,0F1,0I1,0W0,0W1\n"), [2], "I frees nothing");
    assert_eq!(peak("0F0,1F0,1B0,0B0\n"), [2], "each stage has its own");
    assert_eq!(peak("0F0,0F1\n1F0,1F1\n"), [0, 0], "an evaluation keeps none");
}

#[test]
fn things_may_cost_nothing() {
    let cost = Costs::uniform(0.0, 0.0, 0.0, 0.0).unwrap();
    let timeline = simulate(&program("0F0,0B0\n"), &cost);
    assert_eq!((timeline.makespan(), timeline.bubble_rate()), (0.0, 0.0));
}

#[test]
fn times_are_finite_and_not_negative() {
    assert_eq!(
        Costs::uniform(-1.0, f64::NAN, 1.0, f64::INFINITY).unwrap_err().to_string(),
        "F is -1, not a finite number of 0 or more; I is NaN, not a finite number of 0 or more; \
         latency is inf, not a finite number of 0 or more"
    );
}

#[test]
fn sizes_that_cannot_have_been_are_named() {
    let span = |action: &str| Span::new(action.parse().unwrap(), 0.0, 1.0);
    let row = vec![
        Span { held: Some(Held { end: 8.0, peak: 7.0 }), ..span("0F0") },
        Span { moved: Some(4.0), start: 1.0, end: 2.0, ..span("0B0") },
        Span { moved: Some(-1.0), ..span("0SEND_F0") },
        Span { held: Some(Held { end: 8.0, peak: f64::INFINITY }), ..span("0SEND_B0") },
    ];
    assert_eq!(
        Timeline::from_rows(vec![row]).unwrap_err().to_string(),
        "the timeline has 4 faults\n\
         - rank 0, step 0, 0F0: holds 8 in the end, more than its peak of 7\n\
         - rank 0, step 1, 0B0: has moved 4, but only sends and receives move anything; leave it out\n\
         - rank 0, step 2, 0SEND_F0: its size -1e0 is not a number from 0 to 1e60\n\
         - rank 0, step 3, 0SEND_B0: its size inf is not a number from 0 to 1e60"
    );
}

#[test]
fn a_timeline_may_have_sizes_or_not() {
    let text = r#"{"rows":[[{"action":"0F0","start":0.0,"end":1.0},{"action":"0B0","start":1.0,"end":2.0,"held":5.0,"peak":9.0}]]}"#;
    let timeline: Timeline = serde_json::from_str(text).unwrap();
    let held: Vec<Option<Held>> = timeline.rows()[0].iter().map(|span| span.held).collect();
    assert_eq!(held, [None, Some(Held { end: 5.0, peak: 9.0 })]);
    assert_eq!(serde_json::to_string(&timeline).unwrap(), text);
    let half = text.replace(",\"peak\":9.0", "");
    assert_eq!(
        serde_json::from_str::<Timeline>(&half).unwrap_err().to_string().split(" at line").next(),
        Some("0B0 has \"held\" and no \"peak\"; give both or neither")
    );
}
