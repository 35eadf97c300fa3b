//! `autopipe schedule`: the tables that people and other programs read.

use crate::command::autopipe;

#[track_caller]
fn generate(args: &str) -> String {
    let args: Vec<&str> = ["schedule", "generate"].into_iter().chain(args.split(' ')).collect();
    let output = autopipe(&args);
    assert_eq!((output.code, output.err.as_str()), (0, ""), "{args:?}");
    output.out
}

#[test]
fn a_table_for_people() {
    insta::assert_snapshot!(generate("--schedule 1f1b --pp 4 --microbatches 8"));
}

#[test]
fn the_same_with_sends_and_receives() {
    insta::assert_snapshot!(generate("--schedule GPipe --pp 2 --microbatches 2 --level comms"));
}

#[test]
fn csv_as_torch_writes_it() {
    assert_eq!(
        generate("--schedule gpipe --pp 2 --microbatches 2 --format csv"),
        "0F0,0F1,,,0B0,0B1\r\n,1F0,1F1,1B0,1B1\r\n"
    );
    assert_eq!(
        generate("--schedule 1f1b --pp 2 --microbatches 2 --level comms --format csv"),
        "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\r\n1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1\r\n"
    );
}

#[test]
fn what_cannot_be_generated_says_why() {
    let output = autopipe(&[
        "schedule",
        "generate",
        "--schedule",
        "1f1b",
        "--pp",
        "4",
        "--microbatches",
        "3",
    ]);
    assert_eq!(output.code, 1);
    insta::assert_snapshot!(output.err);
}

#[test]
fn an_unknown_name_lists_the_valid_ones() {
    let output = autopipe(&[
        "schedule",
        "generate",
        "--schedule",
        "1f2b",
        "--pp",
        "4",
        "--microbatches",
        "3",
    ]);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("1F1B") && output.err.contains("GPipe"), "{}", output.err);
}
