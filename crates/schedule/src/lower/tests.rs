//! torch's own examples of the pass, and plans that cannot be run.

use crate::csv::{program_to_string, read_plan};
use crate::{Extent, Kind, generate, lower, program_table, validate};

fn check(plan: &str, expected: &str) {
    let plan = read_plan(plan.as_bytes()).unwrap();
    let program = lower(&plan);
    assert_eq!(program_to_string(&program).replace("\r\n", "\n"), expected);
    assert_eq!(validate(program.clone()).as_ref().map(|valid| valid.program()), Ok(&program));
}

#[test]
fn receives_stand_as_early_as_they_can() {
    check(
        "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n",
        "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
         1RECV_F0,1F0,1RECV_F1,1B0,1SEND_B0,1F1,1B1,1SEND_B1\n",
    );
}

#[test]
fn neighbours_on_one_rank_send_nothing() {
    check("0F0,1F0,1B0,0B0\n", "0F0,1F0,1B0,0B0\n");
    check(
        "0F0,0F1,3F0,3B0,3F1,3B1,0B0,0B1\n1F0,2F0,1F1,2F1,2B0,1B0,2B1,1B1\n",
        "0F0,0SEND_F0,0F1,0SEND_F1,3RECV_F0,3F0,3B0,3SEND_B0,3RECV_F1,3F1,3B1,3SEND_B1,0RECV_B0,\
         0B0,0RECV_B1,0B1\n\
         1RECV_F0,1F0,1RECV_F1,2F0,2SEND_F0,1F1,2RECV_B0,2F1,2SEND_F1,2B0,2RECV_B1,1B0,1SEND_B0,\
         2B1,1B1,1SEND_B1\n",
    );
}

#[test]
fn of_a_split_backward_the_input_part_sends() {
    check(
        "0F0,0I0,0W0\n1F0,1I0,1W0\n",
        "0F0,0SEND_F0,0RECV_B0,0I0,0W0\n1RECV_F0,1F0,1I0,1SEND_B0,1W0\n",
    );
}

#[test]
fn an_evaluation_sends_no_gradients() {
    check("0F0\n1F0\n", "0F0,0SEND_F0\n1RECV_F0,1F0\n");
}

#[test]
fn rank_order_need_not_be_stage_order() {
    check("1F0,1F1\n0F0,0F1\n", "1RECV_F0,1F0,1RECV_F1,1F1\n0F0,0SEND_F0,0F1,0SEND_F1\n");
}

#[test]
fn one_f_one_b_as_a_table() {
    let extent = Extent { num_ranks: 3, stages_per_rank: 1, num_microbatches: 4 };
    let program = lower(&generate(Kind::OneFOneB, &extent).unwrap());
    insta::assert_snapshot!(program_table(&program));
}
