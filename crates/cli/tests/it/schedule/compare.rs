//! `compare`: figures side by side.

use serde_json::{Value, json};

use crate::command::Desk;

const SCHEDULES: &str = "--schedule gpipe --schedule 1f1b --schedule zbv --pp 4 --microbatches 8";

#[test]
fn figures_side_by_side_with_the_best_marked() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.result(&format!("compare {SCHEDULES} --costs comm=0.1")));
    insta::assert_snapshot!(desk.result(&format!("compare {SCHEDULES} --costs-of rank")));
}

#[test]
fn files_come_first_and_the_best_of_equals_is_none() {
    let desk = Desk::new();
    desk.result("generate --schedule 1f1b --pp 2 --microbatches 3 -o plan.csv");
    desk.result("lower plan.csv -o program.csv");
    insta::assert_snapshot!(
        desk.result("compare --schedule gpipe --pp 2 --microbatches 3 plan.csv program.csv")
    );
    let equal = desk.result("compare plan.csv program.csv --comm rendezvous --costs comm=0.5");
    assert_eq!(equal.matches('*').count(), 1, "in the legend:\n{equal}");
}

#[test]
fn figures_for_programs() {
    let desk = Desk::new();
    let text =
        desk.result("compare --schedule 1f1b --schedule zb_h1 --pp 4 --microbatches 8 --json");
    let json: Value = serde_json::from_str(&text).unwrap();
    let [one_f_one_b, zb_h1] = &json["schedules"].as_array().unwrap()[..] else {
        panic!("two schedules: {text}");
    };
    assert_eq!(one_f_one_b["title"], "1F1B");
    assert_eq!((&one_f_one_b["span"], &zb_h1["span"]), (&json!(33.0), &json!(27.0)));
    assert_eq!(one_f_one_b["peak_activations"], json!([4, 3, 2, 1]));
    assert_eq!(
        one_f_one_b["idle"],
        json!({"warm_up": 6.0, "dependency": 18.0, "communication": 0.0, "tail": 12.0})
    );
    assert_eq!(zb_h1["critical_length"], zb_h1["makespan"]);
}

/// What a training run leaves in its folder, beside the prediction with the costs measured there.
#[test]
fn a_measured_run_beside_its_prediction() {
    let desk = Desk::new();
    let span = |action: &str, start: f64, end: f64| json!({ "action": action, "start": start, "end": end });
    let rows = json!([
        [
            span("0F0", 0.0, 1.0),
            span("0SEND_F0", 1.0, 1.0),
            span("0RECV_B0", 1.0, 6.5),
            span("0B0", 6.5, 8.5)
        ],
        [
            span("1RECV_F0", 0.0, 1.5),
            span("1F0", 1.5, 3.0),
            span("1B0", 3.0, 6.0),
            span("1SEND_B0", 6.0, 6.0)
        ]
    ]);
    desk.write("timeline.json", &json!({ "rows": rows }).to_string());
    insta::assert_snapshot!(desk.result(
        "compare timeline.json --schedule gpipe --pp 2 --microbatches 1 --costs-file timeline.json"
    ));
    let text = desk.result("simulate timeline.json --json");
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["makespan"], json!(8.5));
}

/// A run that has counted bytes, beside what its own costs predict; and the same from its trace.
#[test]
fn measured_times_and_bytes_beside_the_predicted_ones() {
    let desk = Desk::new();
    let span = |action: &str, start: f64, end: f64, held: f64, peak: f64| json!({ "action": action, "start": start, "end": end, "held": held, "peak": peak });
    let rows = json!([[
        span("0F0", 0.0, 1.5, 110.0, 112.0),
        span("0F1", 1.5, 2.5, 120.0, 122.0),
        span("0B0", 2.5, 4.5, 160.0, 166.0),
        span("0B1", 4.5, 6.5, 150.0, 165.0),
    ]]);
    desk.write("timeline.json", &json!({ "rows": rows }).to_string());
    let run = desk.result("simulate timeline.json");
    insta::assert_snapshot!(run);
    let table = |text: &str| text.split("\n\n").last().unwrap().to_owned();
    let costs = "--schedule gpipe --pp 1 --microbatches 2 --costs-file";
    assert_eq!(table(&desk.result(&format!("simulate {costs} timeline.json"))), table(&run));
    desk.result("render timeline.json --format trace -o trace.json");
    assert_eq!(table(&desk.result(&format!("simulate {costs} trace.json"))), table(&run));
    let json = desk.result(&format!("simulate {costs} trace.json --json"));
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["comparison"]["ranks"][0]["measured_peak"], json!(166.0));
    let other = "--schedule 1f1b --pp 1 --microbatches 3 --costs-file timeline.json --json";
    let json: Value = serde_json::from_str(&desk.result(&format!("simulate {other}"))).unwrap();
    assert!(json.get("comparison").is_none(), "a schedule of its own was not measured");
}
