//! `lower`: sends, receives and all other passes.

use crate::command::Desk;

/// A plan of four ranks, whose rows differ.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.result("generate --schedule 1f1b --pp 2 --microbatches 2 -o plan.csv");
    desk
}

#[test]
fn sends_and_receives_alone() {
    let desk = desk();
    assert_eq!(
        desk.result("lower plan.csv --format csv"),
        desk.result("generate --schedule 1f1b --pp 2 --microbatches 2 --level comms --format csv")
    );
}

#[test]
fn torch_s_defaults_are_the_options_that_the_help_names() {
    let desk = desk();
    let torch = desk.result("lower plan.csv --torch --format csv");
    assert_eq!(
        torch,
        desk.result(
            "lower plan.csv --max-active-stages 3 --unshard-lookahead full --reduce-grads immediate \
             --wait-sends --format csv"
        )
    );
    assert_eq!(
        torch.lines().next().unwrap(),
        "0UNSHARD,0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0WAIT_SEND_F0,0RECV_B1,0B1,0WAIT_SEND_F1,\
         0REDUCE_GRAD,0WAIT_REDUCE_GRAD,0RESHARD"
    );
}

#[test]
fn every_pass_shows_what_it_does() {
    insta::assert_snapshot!(desk().result(
        "lower --schedule zbv --pp 2 --microbatches 2 --explain --torch --merge-backward \
         --recompute 1 --unshard-lookahead 1,2 --reduce-grads deferred --max-sends 1 \
         --receives late --tie 0+3 --optimizer-steps when-ready --format csv"
    ));
}

#[test]
fn a_pass_without_effect_says_so() {
    insta::assert_snapshot!(
        desk().result("lower plan.csv --explain --merge-backward --wait-sends")
    );
}

#[test]
fn a_row_alone_is_the_program_s() {
    let desk = desk();
    let program = desk.result("lower plan.csv --torch --format csv");
    for (rank, row) in program.lines().enumerate() {
        let alone = desk.result(&format!("lower plan.csv --torch --format csv --rank {rank}"));
        assert_eq!(alone.trim_end(), row);
    }
    insta::assert_snapshot!(desk.result("lower plan.csv --rank 1"));
    insta::assert_snapshot!(desk.result("lower plan.csv --rank 1 --explain --receives late"));
}

#[test]
fn a_program_that_cannot_run_comes_with_a_warning() {
    let desk = Desk::new();
    let args = "lower --schedule interleaved1f1b --pp 2 --microbatches 4 --receives deferred";
    let output = desk.schedule(&format!("{args} -o program.csv"));
    assert_eq!((output.code, output.out.as_str()), (0, ""));
    assert!(output.err.starts_with("warning: the program that comes of it is not right: "));
    assert_eq!(desk.schedule("validate program.csv").code, 1);
}

#[test]
fn what_cannot_be_lowered_says_why() {
    let desk = desk();
    desk.result("lower plan.csv -o program.csv");
    let errors = [
        "lower program.csv",
        "lower plan.csv --rank 2",
        "lower plan.csv --unshard-lookahead auto",
        "lower plan.csv --max-active-stages 0 --tie 0+9 --tie 1 --max-sends 0",
        "lower plan.csv --recompute 0,x",
        "lower plan.csv --tie 0-1",
        "lower plan.csv --torch --unshard-lookahead some",
    ];
    insta::assert_snapshot!(errors.map(|args| desk.error(args)).join("\n"));
}

#[test]
fn one_in_so_many_microbatches_is_computed_again() {
    let desk = Desk::new();
    desk.write("plan.csv", "0F0,0F1,0F2,0B0,0B1,0B2\n");
    assert_eq!(
        desk.result("lower plan.csv --recompute every:2 --format csv"),
        "0F0,0F1,0F2,0R0,0B0,0B1,0R2,0B2\r\n"
    );
    let error = desk.error("lower plan.csv --recompute every:0");
    assert!(error.contains("`0` is no number of 1 or more, as in every:2"), "{error}");
}
