//! Memory of rows short enough to add up by hand.

use crate::csv::read_plan;
use crate::{Costs, Held, Span, Timeline, simulate_plan};

fn costs(text: &str) -> Costs {
    text.parse().unwrap()
}

/// What is held in the end and at most, action by action, of one rank.
fn held(plan: &str, costs: &Costs) -> Vec<(String, f64, f64)> {
    let timeline = simulate_plan(&read_plan(plan.as_bytes()).unwrap(), costs).with_sizes(costs);
    let held = |span: &Span| {
        let Held { end, peak } = span.held.unwrap();
        (span.action.to_string(), end, peak)
    };
    timeline.rows()[0].iter().map(held).collect()
}

fn peak(plan: &str, costs: &Costs) -> f64 {
    simulate_plan(&read_plan(plan.as_bytes()).unwrap(), costs).peak_bytes(costs)[0]
}

fn at(action: &str, end: f64, peak: f64) -> (String, f64, f64) {
    (action.to_owned(), end, peak)
}

#[test]
fn an_action_needs_workspace_beside_what_is_held() {
    let costs =
        costs("activation=10,held_for_w=4,resident=100,workspace_f=1,workspace_i=3,workspace_w=2");
    assert_eq!(
        held("0F0,0F1,0I0,0W0,0B1\n", &costs),
        [
            at("0F0", 110.0, 111.0),
            at("0F1", 120.0, 121.0),
            at("0I0", 114.0, 123.0),
            at("0W0", 110.0, 116.0),
            at("0B1", 100.0, 113.0), // that of I, which is larger than that of W
        ]
    );
}

#[test]
fn what_is_computed_again_is_held_from_then_on() {
    let costs = costs("activation=10,held_for_w=4,held_for_r=2,workspace_f=1");
    assert_eq!(
        held("0F0,0F1,0R0,0I0,0W0,0R1,0B1\n", &costs),
        [
            at("0F0", 2.0, 11.0), // while it runs it needs all
            at("0F1", 4.0, 13.0),
            at("0R0", 12.0, 13.0),
            at("0I0", 6.0, 12.0),
            at("0W0", 2.0, 6.0),
            at("0R1", 10.0, 11.0),
            at("0B1", 0.0, 10.0),
        ]
    );
}

#[test]
fn to_compute_again_earlier_holds_more() {
    let costs = costs("activation=10,held_for_r=1");
    assert_eq!(peak("0F0,0R0,0B0,0F1,0R1,0B1\n", &costs), 10.0);
    assert_eq!(peak("0F0,0F1,0R0,0B0,0R1,0B1\n", &costs), 11.0);
    assert_eq!(peak("0F0,0F1,0R0,0R1,0B0,0B1\n", &costs), 20.0);
}

#[test]
fn the_first_part_of_a_backward_may_leave_more_than_it_found() {
    let costs = costs("activation=10,held_for_w=14");
    assert_eq!(
        held("0F0,0I0,0W0\n", &costs),
        [at("0F0", 10.0, 10.0), at("0I0", 14.0, 14.0), at("0W0", 0.0, 14.0)]
    );
}

#[test]
fn an_evaluation_holds_what_is_always_there() {
    let costs = costs("activation=10,resident=100,workspace_f=5");
    assert_eq!(held("0F0,0F1\n", &costs), [at("0F0", 100.0, 105.0), at("0F1", 100.0, 105.0)]);
    assert_eq!(peak("0F0\n", &self::costs("activation=10")), 0.0);
}

#[test]
fn a_rank_holds_all_its_stages() {
    let costs = costs("activation=1:10,resident=100:200,workspace_b=0.5");
    assert_eq!(peak("0F0,1F0,1B0,0B0\n", &costs), 311.5);
}

#[test]
fn what_was_measured_goes_before_what_is_reckoned() {
    let sized = |span: Span, end, peak| Span { held: Some(Held { end, peak }), ..span };
    let span = |action: &str, start, end| Span::new(action.parse().unwrap(), start, end);
    let row = vec![
        sized(span("0F0", 0.0, 1.0), 30.0, 50.0),
        span("0F1", 1.0, 2.0),
        sized(span("0B0", 2.0, 4.0), 20.0, 45.0),
        sized(span("0B1", 4.0, 6.0), 10.0, 40.0),
    ];
    let timeline = Timeline::from_rows(vec![row]).unwrap();
    let points = &timeline.memory(&Costs::UNIT)[0];
    let points: Vec<_> = points.iter().map(|p| (p.time, p.activations, p.bytes)).collect();
    assert_eq!(
        points,
        [
            (0.0, 1, 50.0),
            (1.0, 1, 30.0),
            (1.0, 2, 30.0),
            (2.0, 2, 45.0),
            (4.0, 1, 20.0),
            (4.0, 1, 40.0),
            (6.0, 0, 10.0)
        ]
    );
    assert_eq!(timeline.peak_bytes(&Costs::UNIT), [50.0]);
}

#[test]
fn messages_are_as_large_as_their_microbatches() {
    let costs = costs("bytes=8,bandwidth=4,microbatch_sizes=1:2");
    let plan = read_plan("0F0,0F1\n1F0,1F1\n".as_bytes()).unwrap();
    let program = crate::validate(crate::lower(&plan)).unwrap();
    let timeline = crate::simulate(&program, &costs).with_sizes(&costs);
    let moved: Vec<f64> = timeline.rows().iter().flatten().filter_map(|span| span.moved).collect();
    assert_eq!(moved, [8.0, 16.0, 8.0, 16.0]);
    // 0F1 is over at 2, and its message under way for 4.
    assert_eq!((timeline.makespan(), simulate_plan(&plan, &costs).makespan()), (7.0, 7.0));
}
