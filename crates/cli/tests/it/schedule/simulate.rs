//! `simulate`: figures of one schedule.

use serde_json::{Value, json};

use crate::command::Desk;

const SCHEDULE: &str = "--schedule 1f1b --pp 4 --microbatches 8";

fn figures(desk: &Desk, args: &str) -> Value {
    serde_json::from_str(&desk.result(&format!("simulate {args} --json"))).unwrap()
}

#[test]
fn for_people() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.result(&format!("simulate {SCHEDULE}")));
    insta::assert_snapshot!(desk.result(
        "simulate --schedule zbv --pp 3 --microbatches 6 --costs F=1,I=1,W=0.5,comm=0.25 --comm nccl"
    ));
}

#[test]
fn a_run_has_costs_of_its_own() {
    let desk = Desk::new();
    let span = |action: &str, start, end| json!({"action": action, "start": start, "end": end});
    let rows = json!({"rows": [[span("0F0", 0.0, 1.0), span("0B0", 1.0, 3.0)]]});
    desk.write("run.json", &rows.to_string());
    assert_eq!(figures(&desk, "run.json")["makespan"], 3.0);
    let error = desk.error("simulate run.json --costs F=3");
    assert!(
        error.contains("run.json was measured and has its own costs; leave --costs"),
        "{error}"
    );
}

#[test]
fn for_programs() {
    let json = figures(&Desk::new(), &format!("{SCHEDULE} --costs F=1,I=1,W=1,comm=0"));
    assert_eq!(json["span"], 33.0); // (8 + 4 - 1) * 3
    assert_eq!(json["makespan"], 33.0);
    assert_eq!(json["bubble_rate"], 9.0 / 33.0);
    assert_eq!(json["peak_activations"], json!([4, 3, 2, 1]));
    assert_eq!(json["ranks"].as_array().unwrap().len(), 4);
    assert_eq!(json["ranks"][3]["bubble"]["warm_up"], 3.0);
    assert_eq!(json["critical_path"][0]["action"], "0F0");
}

#[test]
fn costs_come_from_the_line_or_from_a_file() {
    let desk = Desk::new();
    desk.write(
        "costs.json",
        r#"{"F": [1, 1, 2, 1.5], "B": 2.5, "comm": 0.1, "communication": "nccl"}"#,
    );
    let line = "--costs F=1:1:2:1.5,B=2.5,comm=0.1";
    let of_file = figures(&desk, &format!("{SCHEDULE} --costs-file costs.json"));
    assert_eq!(of_file, figures(&desk, &format!("{SCHEDULE} {line} --comm nccl")));
    assert_eq!(of_file, figures(&desk, &format!("{SCHEDULE} --costs-from costs.json")));
    // The option has the last word.
    let buffered = figures(&desk, &format!("{SCHEDULE} {line}"));
    assert_ne!(of_file, buffered);
    assert_eq!(
        figures(&desk, &format!("{SCHEDULE} --costs-file costs.json --comm async")),
        buffered
    );
}

#[test]
fn a_message_takes_its_time_with_every_model() {
    let desk = Desk::new();
    let makespan = |args: &str| {
        figures(&desk, &format!("{SCHEDULE} --costs comm=0.5 {args}"))["makespan"].as_f64().unwrap()
    };
    let times = ["--comm async", "--comm rendezvous", "--comm nccl"].map(makespan);
    assert!(33.0 < times[0] && times[0] <= times[1] && times[1] <= times[2], "{times:?}");
}

#[test]
fn a_rank_s_costs_are_shared_out_among_its_stages() {
    let desk = Desk::new();
    let interleaved = "--schedule interleaved1f1b --pp 4 --microbatches 8 --stages-per-rank 2";
    let costs = "--costs F=1,I=1.5,W=0.5,R=1,activation=4,held_for_w=2,comm=0.1";
    let halves = "--costs F=0.5,I=0.75,W=0.25,R=0.5,activation=2,held_for_w=1,comm=0.1";
    let of_rank = figures(&desk, &format!("{interleaved} {costs} --costs-of rank"));
    assert_eq!(of_rank, figures(&desk, &format!("{interleaved} {halves}")));
    assert_eq!(of_rank["work"], 24.0);
}

#[test]
fn costs_that_make_no_sense_say_why() {
    let desk = Desk::new();
    desk.write("costs.json", r#"{"F": -1, "overlapp": 2}"#);
    desk.write("broken.json", r#"{"F": 1,"#);
    let errors = [
        "--costs F=-1,G=2",
        "--costs F=1:2:3",
        "--costs-file costs.json",
        "--costs-file broken.json",
        "--costs-file no.json",
        "--costs F=1 --costs-file costs.json",
        "--costs F=1:2:3:4,I=1:1:1:1 --costs-of rank",
        "--comm pigeon",
    ];
    let error = |args| desk.error(&format!("simulate {SCHEDULE} {args}"));
    insta::assert_snapshot!(errors.map(error).join("\n"));
}
