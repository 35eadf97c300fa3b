//! `validate`: proofs and violations.

use serde_json::{Value, json};

use crate::command::Desk;

#[test]
fn what_is_proved() {
    let desk = Desk::new();
    insta::assert_snapshot!(
        desk.result("validate --schedule zbv --pp 3 --microbatches 6 --max-activations 6")
    );
    let program = desk.result("lower --schedule 1f1b --pp 3 --microbatches 4 --torch --format csv");
    insta::assert_snapshot!(desk.result_of(&program, "validate"));
    insta::assert_snapshot!(desk.result_of("0F0,0F1\n1F0,1F1\n", "validate"));
}

#[test]
fn the_proof_as_json() {
    let desk = Desk::new();
    let verdict = desk.result("validate --schedule 1f1b --pp 2 --microbatches 3 --json");
    assert_eq!(
        serde_json::from_str::<Value>(&verdict).unwrap(),
        json!({
            "valid": true, "level": "compute",
            "num_ranks": 2, "num_stages": 2, "num_microbatches": 3, "has_backward": true,
            "placement": {"style": "loop", "stages_of": [[0], [1]]},
            "peak_activations": [2, 1],
            "communication": ["async", "rendezvous", "nccl"],
        })
    );
    let odd = desk.result_of("0F0,1F0,3F0\n,,2F0\n", "validate --json");
    assert_eq!(serde_json::from_str::<Value>(&odd).unwrap()["placement"]["style"], Value::Null);
}

/// The verdict on a table that is not right, and the exit code in front.
fn verdict(table: &str, args: &str) -> String {
    let desk = Desk::new();
    desk.write("table.csv", table);
    let output = desk.schedule(&format!("validate table.csv {args}"));
    assert_eq!(output.err, "", "the verdict is the result");
    format!("{}: {}", output.code, output.out)
}

#[test]
fn everything_that_is_wrong_is_marked_in_the_table() {
    insta::assert_snapshot!(verdict("0F0,0B0,0SEND_F0\n1RECV_F0,1F0,1B0,1SEND_B0\n", ""));
    insta::assert_snapshot!(verdict("0F0,0F1,,,0B0,0B1\n,1B0,1F0,1F1,,1B1\n", ""));
    insta::assert_snapshot!(verdict("0F0,0F1,1x\n1F0,,\n0SEND_F0,2F0,\n", ""));
    insta::assert_snapshot!(verdict(
        "0F0,0F1,0F2,,0B0,0B1,0B2\n,1F0,1B0,1F1,1B1,1F2,1B2",
        "--max-activations 2"
    ));
    insta::assert_snapshot!(verdict(
        "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
         1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n",
        "",
    ));
}

#[test]
fn all_of_very_many_violations_are_shown() {
    let row: Vec<String> =
        (0..50).map(|microbatch| format!("0F{microbatch},0F{microbatch}")).collect();
    let verdict = verdict(&row.join(","), "");
    assert!(verdict.starts_with("1: table.csv breaks 50 rules\n"), "{verdict}");
    assert_eq!(verdict.lines().filter(|line| line.starts_with("- rank 0, ")).count(), 50);
}

#[test]
fn violations_as_json() {
    let text = verdict("0F0,0B0,0SEND_F0\n1RECV_F0,1F0,1B0\n", "--json");
    let json: Value = serde_json::from_str(text.strip_prefix("1: ").unwrap()).unwrap();
    assert_eq!(json["valid"], false);
    assert_eq!(json["violations"][0]["at"], json!([{"rank": 0, "step": 1, "action": "0B0"}]));
    assert!(json["violations"][0]["message"].as_str().unwrap().contains("0RECV_B0"));
    let text = verdict("0F0,oops\n", "--json");
    let json: Value = serde_json::from_str(text.strip_prefix("1: ").unwrap()).unwrap();
    assert_eq!((&json["cells"][0]["row"], &json["cells"][0]["column"]), (&json!(1), &json!(2)));
}
