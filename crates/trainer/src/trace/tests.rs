//! Measured and predicted steps beside each other.

use autopipe::schedule::{Extent, Kind, generate, render::read_trace, simulate_plan};
use serde_json::Value;

use super::*;

fn step(costs: &str) -> Timeline {
    let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 4 };
    let plan = generate(Kind::OneFOneB, &extent).unwrap();
    simulate_plan(&plan, &costs.parse().unwrap())
}

#[test]
fn a_prediction_is_brought_to_the_measured_unit() {
    let measured = step("F=1:2,B=2");
    let predicted = scaled_to(&step("F=1,B=2"), &measured);
    // Of computations, 4 * (1 + 2) and 4 * (2 + 2) seconds for 8 * (1 + 2) units.
    assert!((work(&predicted) - 28.0).abs() < 1e-9);
    assert!((predicted.makespan() - 15.0 * 28.0 / 24.0).abs() < 1e-9);
    let nothing = Timeline::from_rows(vec![vec![], vec![]]).unwrap();
    assert_eq!(scaled_to(&nothing, &measured), nothing);
    assert_eq!(scaled_to(&measured, &nothing), measured);
}

#[test]
fn a_trace_counts_in_microseconds() {
    let measured = step("F=1:2,B=2");
    let text = perfetto(&measured, &step("F=1,B=2"));
    let json: Value = serde_json::from_str(&text).unwrap();
    let events = json["traceEvents"].as_array().unwrap().iter();
    let of_action = events.filter(|event| event["name"] == "1F3");
    let mut times: Vec<f64> = of_action.map(|event| event["dur"].as_f64().unwrap()).collect();
    times.sort_by(f64::total_cmp);
    assert_eq!(times, [1e6, 2e6], "predicted and measured");
    let read = read_trace(&text).unwrap();
    assert!((read.makespan() - 1e3 * measured.makespan()).abs() < 1e-6);
}

#[test]
fn what_has_no_time_has_no_factor() {
    let one = |end: f64| {
        let row = vec![Span::new("0F0".parse().unwrap(), 0.0, end)];
        Timeline::from_rows(vec![row]).unwrap()
    };
    let bubbles = "bubble 0.0%, predicted 0.0%";
    assert_eq!(
        summary(&one(0.5), &one(0.0)),
        format!("step 0.500 s, predicted 0.000 s\n{bubbles}")
    );
    assert_eq!(
        summary(&one(0.5), &one(0.25)),
        format!(
            "step 0.500 s, predicted 0.250 s\n{bubbles}\nslowest against their prediction: F 2.00x\n\
             rank 0 computed 2.00x as long as predicted"
        )
    );
}
