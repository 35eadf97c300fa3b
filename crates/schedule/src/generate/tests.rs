//! The pictures of the schedules, the meaning of their columns, and the sizes they cannot have.

use super::{Extent, Kind, generate};
use crate::{Plan, table};

fn plan(kind: Kind, num_ranks: usize, num_microbatches: usize) -> Plan {
    generate(kind, &Extent { num_ranks, stages_per_rank: 1, num_microbatches }).unwrap()
}

fn check(kind: Kind, num_ranks: usize, num_microbatches: usize) {
    let name = format!("{kind}_{num_ranks}x{num_microbatches}");
    insta::assert_snapshot!(name, table(&plan(kind, num_ranks, num_microbatches)));
}

#[test]
fn gpipe() {
    check(Kind::GPipe, 3, 4);
    check(Kind::GPipe, 4, 2); // fewer microbatches than ranks
    check(Kind::GPipe, 1, 2);
}

#[test]
fn one_f_one_b() {
    check(Kind::OneFOneB, 3, 4);
    check(Kind::OneFOneB, 3, 3); // as few microbatches as it can
    check(Kind::OneFOneB, 1, 2);
}

#[test]
fn generated_plans_are_complete() {
    for kind in Kind::ALL {
        for (num_ranks, num_microbatches) in [(1, 1), (4, 4), (4, 9)] {
            let plan = plan(kind, num_ranks, num_microbatches);
            assert_eq!(Plan::from_rows(plan.rows().to_vec()), Ok(plan));
        }
    }
}

#[test]
fn names_in_any_case() {
    for (name, kind, class) in [
        ("GPipe", Kind::GPipe, "ScheduleGPipe"),
        ("gpipe", Kind::GPipe, "ScheduleGPipe"),
        ("1F1B", Kind::OneFOneB, "Schedule1F1B"),
        ("1f1b", Kind::OneFOneB, "Schedule1F1B"),
    ] {
        assert_eq!(name.parse(), Ok(kind));
        assert_eq!(kind.class_name(), class);
        assert_eq!(class.to_ascii_lowercase().parse(), Ok(kind));
    }
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
}

#[test]
fn unknown_names_get_the_list_and_the_nearest() {
    let error = |name: &str| name.parse::<Kind>().unwrap_err().to_string();
    let list = "the schedules are GPipe and 1F1B";
    assert_eq!(error("gpip"), format!("there is no schedule `gpip`, {list}; did you mean GPipe?"));
    assert_eq!(error("1FB1"), format!("there is no schedule `1FB1`, {list}; did you mean 1F1B?"));
    assert_eq!(error(""), format!("there is no schedule ``, {list}"));
    assert!(error(&"x".repeat(1_000_000)).len() < 200);
}

#[test]
fn schedules_that_only_a_table_can_give() {
    let check = |name: &str| {
        let expected =
            "is not generated yet, only GPipe and 1F1B are; its table can be read from torch's CSV";
        assert_eq!(name.parse::<Kind>().unwrap_err().to_string(), format!("`{name}` {expected}"));
    };
    for name in
        ["Interleaved1F1B", "LoopedBFS", "InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"]
    {
        check(name);
        check(&name.to_ascii_uppercase());
        check(&format!("Schedule{name}"));
    }
    for name in ["interleaved_1f1b", "looped_bfs", "zero_bubble", "v_schedule", "dfs"] {
        check(name);
    }
}

#[test]
fn sizes_that_a_schedule_cannot_have() {
    let error = |kind, num_ranks, stages_per_rank, num_microbatches| {
        generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches })
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        error(Kind::OneFOneB, 4, 1, 3),
        "3 microbatches are too few for 1F1B on 4 ranks, the fewest is 4"
    );
    assert_eq!(
        error(Kind::OneFOneB, 2, 1, 1),
        "1 microbatch is too few for 1F1B on 2 ranks, the fewest is 2"
    );
    assert_eq!(
        error(Kind::OneFOneB, 1, 1, 0),
        "0 microbatches are too few for 1F1B on 1 rank, the fewest is 1"
    );
    assert_eq!(error(Kind::GPipe, 2, 2, 4), "GPipe has 1 stage per rank, not 2");
    assert_eq!(
        error(Kind::GPipe, 0, 0, 0),
        "GPipe on 0 ranks computes nothing, the fewest is 1; GPipe has 1 stage per rank, not 0; \
         0 microbatches are too few for GPipe on 0 ranks, the fewest is 1"
    );
    assert_eq!(
        error(Kind::GPipe, 65_537, 1, 65_537),
        "65537 ranks are too many, the limit is 65536; 65537 microbatches are too many, the limit \
         is 65536"
    );
    assert_eq!(
        error(Kind::GPipe, 65_536, 1, 1),
        "a table of 65536 ranks and 131072 steps has too many cells, the limit is 16777216"
    );
    assert_eq!(
        error(Kind::GPipe, 16_384, 1, 1),
        "a table of 16384 ranks and 32768 steps has too many cells, the limit is 16777216"
    );
    assert!(error(Kind::OneFOneB, usize::MAX, usize::MAX, usize::MAX).contains("too many"));
    assert!(
        generate(Kind::GPipe, &Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 1 })
            .is_ok()
    );
}
