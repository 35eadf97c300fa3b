//! `search`: schedules for costs and memory.

use serde_json::Value;

use crate::command::Desk;

#[test]
fn the_schedule_with_its_figures() {
    let desk = Desk::new();
    insta::assert_snapshot!(desk.result("search --pp 3 --microbatches 4"));
    insta::assert_snapshot!(desk.result(
        "search --pp 3 --microbatches 4 --stages-per-rank 2 --memory 4 --costs F=1,I=1.2,W=0.8,comm=0.1"
    ));
}

#[test]
fn figures_do_not_get_into_what_programs_read() {
    let desk = Desk::new();
    let args = "search --pp 4 --microbatches 8 --memory 2p";
    let output = desk.schedule(&format!("{args} --format csv"));
    assert_eq!(output.code, 0);
    assert!(output.err.starts_with("cost      24, the lower bound"), "{}", output.err);
    let verdict = desk.result_of(&output.out, "validate --max-activations 8");
    assert!(verdict.contains("is right"));

    let text = desk.result(&format!("{args} -o found.csv"));
    assert_eq!(text, output.err, "a file leaves standard output to the figures");
    assert_eq!(desk.read("found.csv"), output.out);
    let json: Value =
        serde_json::from_str(&desk.result(&format!("{args} --json -o again.csv"))).unwrap();
    assert_eq!(
        (&json["cost"], &json["lower_bound"], &json["is_optimal"]),
        (&24.0.into(), &24.0.into(), &true.into())
    );
    assert_eq!(desk.read("again.csv"), output.out);
}

#[test]
fn memory_is_a_number_or_a_multiple_of_1f1b_s() {
    let desk = Desk::new();
    let found = |args: &str| {
        desk.result(&format!("search --pp 4 --microbatches 8 {args} --effort 100000 --json"))
    };
    assert_eq!(found("--memory 1p"), found("--memory 4"));
    assert_eq!(found("--memory 1.5p"), found("--memory 6"));
    assert_eq!(found("--stages-per-rank 2 --memory 0.5p"), found("--stages-per-rank 2 --memory 4"));
    assert_eq!(found(""), found("--memory 1p"));
    // Half of an activation is left between I and W.
    let json: Value =
        serde_json::from_str(&found("--costs activation=2,held_for_w=1 --memory 4")).unwrap();
    let (memory, peaks) = (&json["memory"], &json["peak_activations"]);
    assert!((0..4).any(|rank| memory[rank].as_f64() < peaks[rank].as_f64()), "{json}");
}

#[test]
fn what_cannot_be_searched_says_why() {
    let desk = Desk::new();
    let errors = [
        "--pp 4 --microbatches 8 --memory 0.5",
        "--pp 4 --microbatches 8 --memory 2q",
        "--pp 4 --microbatches 8 --stages-per-rank 3",
        "--pp 4 --microbatches 8 --costs F=1:2:1:1,unshard=2,comm=1:1:1,communication=nccl",
        "--pp 4 --microbatches 8 --costs F=1:2",
        "--pp 4 --microbatches 8 --costs activation=1,held_for_w=2",
        "--pp 0 --microbatches 0",
        "--pp 4 --microbatches 8 --json --format csv",
    ];
    let error = |args| desk.error(&format!("search {args}"));
    insta::assert_snapshot!(errors.map(error).join("\n"));
}
