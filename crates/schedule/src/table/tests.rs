//! Tables with and without marks.

use super::{marked, program_table, table};
use crate::csv::{read_plan, read_program};
use crate::{Action, Extent, Kind, generate, validate};

#[test]
fn a_plan_with_waits() {
    let plan = read_plan("0F0,,,0B0\n,1F0,1B0\n".as_bytes()).unwrap();
    assert_eq!(
        table(&plan),
        "        Rank 0 Rank 1
Step 0: 0F0
Step 1:        1F0
Step 2:        1B0
Step 3: 0B0
"
    );
}

#[test]
fn the_readme_shows_what_is_printed() {
    let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 5 };
    let plan = generate(Kind::OneFOneB, &extent).unwrap();
    let picture = format!("```text\n{}```\n", table(&plan));
    assert!(include_str!("../../README.md").contains(&picture), "{picture}");
}

#[test]
fn a_program_and_its_columns() {
    let program =
        read_program("0F0,0SEND_F0,0RECV_B0,0B0\n1RECV_F0,1F0,1B0,1SEND_B0\n".as_bytes()).unwrap();
    assert_eq!(
        program_table(&program),
        "        Rank 0   Rank 1
Step 0: 0F0      1RECV_F0
Step 1: 0SEND_F0 1F0
Step 2: 0RECV_B0 1B0
Step 3: 0B0      1SEND_B0
"
    );
}

#[test]
fn the_actions_at_fault_are_marked() {
    let program = read_program("0F0,0SEND_F0\n1F0,1RECV_F0\n".as_bytes()).unwrap();
    assert_eq!(
        validate(program).unwrap_err().marked_table(),
        "        Rank 0   Rank 1
Step 0: 0F0      1F0 <-- here
Step 1: 0SEND_F0 1RECV_F0 <-- here
"
    );
}

#[test]
fn of_a_large_table_only_the_neighbourhood_is_shown() {
    let action: Action = "7F3".parse().unwrap();
    let rows = vec![vec![Some(action); 1000]; 5000];
    assert_eq!(
        marked(&rows, [(4711, 500), (12, 999)].into_iter()),
        "          Rank 12      Rank 4711
...
Step 498: 7F3          7F3
Step 499: 7F3          7F3
Step 500: 7F3          7F3 <-- here
Step 501: 7F3          7F3
Step 502: 7F3          7F3
...
Step 997: 7F3          7F3
Step 998: 7F3          7F3
Step 999: 7F3 <-- here 7F3
"
    );
}
