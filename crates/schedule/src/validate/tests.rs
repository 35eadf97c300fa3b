//! Each rule broken, alone where that is possible, and programs that break none.

use crate::csv::read_program;
use crate::{Action, MicroBatch, Program, Rank, Rule, Stage, Violations, validate};

fn broken(text: &str) -> Violations {
    validate(read_program(text.as_bytes()).unwrap()).unwrap_err()
}

/// The violations of a program, one a line.
fn check(text: &str, expected: &[&str]) {
    let violations: Vec<String> = broken(text).iter().map(ToString::to_string).collect();
    assert_eq!(violations, expected);
}

fn accept(text: &str) {
    let program = read_program(text.as_bytes()).unwrap();
    assert_eq!(validate(program).map(drop), Ok(()), "{text}");
}

#[test]
fn training_and_evaluation_whole_and_split() {
    accept("0F0\n");
    accept("0F0,0B0\n");
    accept("0F0,0I0,0W0\n");
    accept("0F0,0F1,0B1,0I0,0W0\n");
    accept("0F0,1F0,1B0,0B0\n");
    accept("0F0,0SEND_F0\n1RECV_F0,1F0\n");
    accept("0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1I0,1SEND_B0,1W0\n");
}

#[test]
fn what_is_established_can_be_asked() {
    let text = "1RECV_F0,1F0,1RECV_F1,1F1\n0F0,0SEND_F0,0F1,0SEND_F1\n";
    let valid = validate(read_program(text.as_bytes()).unwrap()).unwrap();
    assert_eq!((valid.num_ranks(), valid.num_stages(), valid.num_microbatches()), (2, 2, 2));
    assert!(!valid.has_backward());
    assert_eq!(valid.stages_of(Rank::new(0)), [Stage::new(1)]);
    assert_eq!(valid.placement().rank_of(Stage::new(0)), Rank::new(1));
    assert_eq!(valid.row(Rank::new(1)), valid.rows()[1]);
    assert_eq!(valid.row(Rank::new(2)), []);
}

#[test]
fn there_are_ranks_and_not_too_many() {
    check("", &["there is no rank; a schedule has at least one row"]);
    let many = Program::new(vec![Vec::new(); 65_537]);
    let error = validate(many).unwrap_err().to_string();
    assert_eq!(error, "65537 ranks are too many, the limit is 65536");
}

#[test]
fn every_rank_computes() {
    check(
        "0F0\n\n1F0\n",
        &[
            "rank 1 computes nothing; give it a stage or leave out its row",
            "rank 2, step 0, 1F0: needs activations of rank 0; receive it before with 1RECV_F0",
        ],
    );
}

#[test]
fn a_stage_is_on_one_rank() {
    check(
        "0F0,0F1,1F1\n1F0\n",
        &[
            "rank 1, step 0, 1F0: stage 1 is on rank 0; a stage is on one rank only, move this there",
        ],
    );
}

#[test]
fn stages_have_no_gap() {
    check(
        "0F0,2F0,5F0\n",
        &[
            "no rank computes stage 1, 3 and 4, though there is a stage 5; number the stages without a \
         gap",
        ],
    );
}

#[test]
fn every_stage_computes_every_microbatch() {
    check(
        "0F0,0F1,0F4,1F1,1F2,1F3,1F4,1F0\n",
        &[
            "stage 0 lacks the forward (F) of microbatch 2 and 3; every stage computes all 5 of them",
        ],
    );
    check(
        "0F0,0F1,0F2,0B1\n",
        &[
            "stage 0 lacks the backward (B, or I and W) of microbatch 0 and 2; every stage computes all \
         3 of them",
        ],
    );
    check(
        "0F0,0F1,0I0,0W1\n",
        &[
            "stage 0 lacks the input's part (I) of the backward of microbatch 1; every stage computes \
         all 2 of them",
            "stage 0 lacks the weights' part (W) of the backward of microbatch 0; every stage computes \
         all 2 of them",
        ],
    );
}

#[test]
fn nothing_happens_twice() {
    check(
        "0F0,0F0,0B0\n",
        &[
            "rank 0, step 1, 0F0: happens a second time after 0F0 (rank 0, step 0); drop one of them",
        ],
    );
    check(
        "0F0,0SEND_F0,0SEND_F0\n1RECV_F0,1F0\n",
        &[
            "rank 0, step 2, 0SEND_F0: happens a second time after 0SEND_F0 (rank 0, step 1); drop one \
         of them",
        ],
    );
    check(
        "0F0,0B0,0I0,0W0\n",
        &[
            "rank 0, step 1, 0B0: computes what 0I0 (rank 0, step 2) computes as well; a backward is \
         either B, or I and W, drop one",
        ],
    );
}

#[test]
fn a_rank_keeps_the_order_of_needs() {
    check(
        "0B0,0F0\n",
        &["rank 0, step 0, 0B0: comes before 0F0 (rank 0, step 1), which it needs; move it behind"],
    );
    check(
        "0F0,0W0,0I0\n",
        &["rank 0, step 1, 0W0: comes before 0I0 (rank 0, step 2), which it needs; move it behind"],
    );
    check(
        "1F0,0F0,0B0,1B0\n",
        &[
            "rank 0, step 0, 1F0: comes before 0F0 (rank 0, step 1), which it needs; move it behind",
            "rank 0, step 2, 0B0: comes before 1B0 (rank 0, step 3), which it needs; move it behind",
        ],
    );
    check(
        "0SEND_F0,0F0\n1F0,1RECV_F0\n",
        &[
            "rank 0, step 0, 0SEND_F0: comes before 0F0 (rank 0, step 1), which it needs; move it behind",
            "rank 1, step 0, 1F0: comes before 1RECV_F0 (rank 1, step 1), which it needs; move it behind",
        ],
    );
    check(
        "0F0,0SEND_F0,0I0,0RECV_B0,0W0\n1RECV_F0,1F0,1SEND_B0,1B0\n",
        &[
            "rank 0, step 2, 0I0: comes before 0RECV_B0 (rank 0, step 3), which it needs; move it behind",
            "rank 1, step 2, 1SEND_B0: comes before 1B0 (rank 1, step 3), which it needs; move it behind",
        ],
    );
}

#[test]
fn what_is_needed_is_transferred() {
    check(
        "0F0,0SEND_F0\n1F0\n",
        &[
            "rank 1, step 0, 1F0: needs activations of rank 0; receive it before with 1RECV_F0",
            "rank 0, step 1, 0SEND_F0: is never received; add 1RECV_F0 on rank 1",
        ],
    );
    check(
        "0F0\n1RECV_F0,1F0\n",
        &["rank 1, step 0, 1RECV_F0: is never sent; add 0SEND_F0 on rank 0"],
    );
}

#[test]
fn transfers_are_on_the_rank_of_their_stage() {
    check(
        "0F0,0SEND_F0,1RECV_F0\n1F0\n",
        &["rank 0, step 2, 1RECV_F0: stage 1 is on rank 1; move this there or drop it"],
    );
}

#[test]
fn nothing_is_sent_in_vain() {
    check(
        "0RECV_F0,0F0,0SEND_F0\n",
        &[
            "rank 0, step 0, 0RECV_F0: no stage is before stage 0; drop it",
            "rank 0, step 2, 0SEND_F0: no stage is behind stage 0; drop it",
        ],
    );
    check(
        "0F0,0SEND_F0,1RECV_F0,1F0\n",
        &[
            "rank 0, step 1, 0SEND_F0: stage 1 is on the same rank and needs no transfer; drop it",
            "rank 0, step 2, 1RECV_F0: stage 0 is on the same rank and needs no transfer; drop it",
        ],
    );
    check(
        "0F0,0SEND_F0,0RECV_B0\n1RECV_F0,1F0,1SEND_B0\n",
        &[
            "rank 0, step 2, 0RECV_B0: stage 0 does not compute what this is for with microbatch 0; add \
         the computation or drop this",
            "rank 1, step 2, 1SEND_B0: stage 1 does not compute what this is for with microbatch 0; add \
         the computation or drop this",
        ],
    );
    check(
        "0F0,9SEND_F0\n",
        &[
            "rank 0, step 1, 9SEND_F0: stage 9 does not compute what this is for with microbatch 0; add \
         the computation or drop this",
        ],
    );
}

#[test]
fn messages_keep_their_order() {
    check(
        "0F0,0SEND_F0,0F1,0SEND_F1\n1RECV_F1,1RECV_F0,1F0,1F1\n",
        &[
            "rank 1, step 0, 1RECV_F1: takes the wrong message: the next that rank 0 sends to rank 1 is \
         0SEND_F0 (rank 0, step 1); receive in the order of sending",
        ],
    );
}

#[test]
fn nobody_waits_for_ever() {
    check(
        "0F0,0SEND_F0,0RECV_B0,0B0,0F1,0SEND_F1,0RECV_B1,0B1\n\
         1RECV_F0,1F0,1RECV_F1,1F1,1B0,1SEND_B0,1B1,1SEND_B1\n",
        &[
            "rank 0, step 3, 0B0: waits for ever on every transport: it needs 1SEND_B0 (rank 1, step \
             5), which is behind 1F1 (rank 1, step 3), which needs 0SEND_F1 (rank 0, step 5), which is \
             behind the first; move one of those needed before the one in front of it",
        ],
    );
}

#[test]
fn a_circle_of_three_is_found_behind_a_rank_that_only_waits_for_it() {
    // Ranks 1, 2 and 3 wait for each other, because rank 2 wants what goes to its second stage
    // before it sends from its first; rank 0, with the last stage, only waits for rank 3.
    let text = "6RECV_F0,6F0,6RECV_F1,6F1\n\
                0F0,0SEND_F0,3RECV_F0,3F0,3SEND_F0,0F1,0SEND_F1,3RECV_F1,3F1,3SEND_F1\n\
                1RECV_F0,4RECV_F0,1F0,1SEND_F0,1RECV_F1,1F1,1SEND_F1,4F0,4SEND_F0,4RECV_F1,4F1,4SEND_F1\n\
                2RECV_F0,2F0,2SEND_F0,2RECV_F1,2F1,2SEND_F1,5RECV_F0,5F0,5SEND_F0,5RECV_F1,5F1,5SEND_F1\n";
    let violations = broken(text);
    let [violation] = &violations.iter().collect::<Vec<_>>()[..] else { panic!("{violations}") };
    let Rule::Deadlock { waits, .. } = &violation.rule else { panic!("{violation}") };
    let ranks: Vec<_> = waits.iter().map(|wait| wait.at.rank.index()).collect();
    assert_eq!(ranks, [3, 2, 1]);
    for (wait, next) in waits.iter().zip(waits.iter().cycle().skip(1)) {
        assert_eq!(wait.needs.rank, next.at.rank);
        assert!(wait.needs.step > next.at.step);
    }
}

#[test]
fn all_violations_come_at_once_and_long_lists_are_cut() {
    let row: String = (0..100).map(|i| format!("0B{i},0F{i},")).collect();
    let violations = broken(&format!("{row}\n"));
    assert_eq!(violations.iter().len(), 100);
    let text = violations.to_string();
    assert!(text.starts_with("the schedule breaks 100 rules\n- rank 0, step 0, 0B0: "), "{text}");
    assert!(text.ends_with("\n- and 80 more"), "{text}");
}

/// A program may name the largest stage and the largest microbatch in two actions; a table of all
/// that these numbers suggest would have 2^32 cells.
#[test]
fn numbers_out_of_proportion_cost_nothing() {
    let largest: Action = "65535F65535".parse().unwrap();
    assert_eq!(largest.stage(), Stage::try_new(Stage::LIMIT - 1));
    assert_eq!(largest.microbatch(), MicroBatch::try_new(MicroBatch::LIMIT - 1));
    check(
        "65535F65535,0F0\n",
        &[
            "no rank computes stage 1 to 65534, though there is a stage 65535; number the stages \
         without a gap",
            "stage 0 lacks the forward (F) of microbatch 1 to 65535; every stage computes all 65536 of \
         them",
            "stage 65535 lacks the forward (F) of microbatch 0 to 65534; every stage computes all 65536 \
         of them",
        ],
    );
    check(
        "0F0,0SEND_F65535,65535RECV_B65535\n",
        &[
            "rank 0, step 1, 0SEND_F65535: no stage is behind stage 0; drop it",
            "rank 0, step 2, 65535RECV_B65535: no stage is behind stage 65535; drop it",
        ],
    );
}

/// torch 2.15 loads each of these; at best it fails while it trains.
#[test]
fn broken_tables_that_torch_accepts_are_refused() {
    let plan = |text: &str| crate::csv::read_plan(text.as_bytes()).unwrap_err().to_string();
    let program = |text: &str| broken(text).to_string();
    for (what, message, expected) in [
        ("a forward twice", plan("0F0,0F0,0B0\n1F0,1B0\n"), "happens a second time"),
        ("a backward twice", plan("0F0,0B0,0B0\n1F0,1B0\n"), "happens a second time"),
        ("a microbatch that others have not", plan("0F7,0B7\n1F0,1B0\n"), "microbatch 0 to 6"),
        (
            "ranks that wait for each other",
            plan("0F0,0B0,0F1,0B1\n1F0,1F1,1B0,1B1\n"),
            "waits for ever on every transport",
        ),
        (
            "activations that nobody receives",
            program("0F0,0SEND_F0,0RECV_B0,0B0\n1F0,1B0,1SEND_B0\n"),
            "receive it before with 1RECV_F0",
        ),
        (
            "a wait that only a buffer gets past",
            program(
                "0F0,0SEND_F0,0F1,0SEND_F1,0WAIT_SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
                 1RECV_F0,1F0,1B0,1SEND_B0,1WAIT_SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n",
            ),
            "rank 0, step 4, 0WAIT_SEND_F1: waits for ever on a transport that does not buffer: it \
             needs 1RECV_F1 (rank 1, step 5), which is behind 1WAIT_SEND_B0 (rank 1, step 4), which \
             needs 0RECV_B0 (rank 0, step 5), which is behind the first",
        ),
        (
            "two queues with a send at their heads",
            program(
                "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
                 1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n",
            ),
            "rank 0, step 3, 0SEND_F1: waits for ever in NCCL's order, one queue for each rank: it \
             needs 1RECV_F1 (rank 1, step 4), which is behind 1SEND_B0 (rank 1, step 3), which needs \
             0RECV_B0 (rank 0, step 4), which is behind the first",
        ),
        (
            "receives in another order than the sends",
            program(
                "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
                 1RECV_F1,1RECV_F0,1F0,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n",
            ),
            "takes the wrong message",
        ),
        ("weights before inputs", plan("0F0,0W0,0I0\n1F0,1B0\n"), "comes before 0I0"),
        ("a backward before its forward", plan("0F0,0B0\n1B0,1F0\n"), "comes before 1F0"),
        (
            "a message received twice",
            program("0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1RECV_F0,1F0,1B0,1SEND_B0\n"),
            "happens a second time",
        ),
        ("text behind an action", plan("0F0xyz,0B0\n"), "expected the end at column 4"),
    ] {
        assert!(message.contains(expected), "{what}: {message}");
    }
}
