//! What lowering adds: torch's tables with torch's options, and our own actions.

use std::fs;
use std::path::{Path, PathBuf};

use crate::sha256;
use autopipe_schedule::lower::{
    Lookahead, Lowering, OptimizerSteps, Receives, ReduceGrads, Sharding, WaitSends, lower_row,
    lower_with, merge_backward,
};
use autopipe_schedule::{Extent, Kind, Plan, Program, Rank, Stage, csv, generate, lower, validate};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

fn plan(text: &str) -> Plan {
    csv::read_plan(text.as_bytes()).unwrap()
}

fn sharded(max_active_stages: usize, lookahead: Lookahead) -> Lowering {
    Lowering { sharding: Some(Sharding { max_active_stages, lookahead }), ..Lowering::TORCH }
}

/// The options under which torch wrote a table; none if it is not a lowered one.
fn options(suffix: &str) -> Option<Lowering> {
    let torch = Lowering::TORCH;
    Some(match suffix {
        "send_recv_only" => Lowering::default(),
        "compute_comms" | "merge_bw_compute_comms" => torch,
        "compute_comms.defer_pp_recv" => Lowering { receives: Receives::Deferred, ..torch },
        "compute_comms.max_active1" => sharded(1, Lookahead::Full),
        "compute_comms.max_active2" => sharded(2, Lookahead::Full),
        "compute_comms.lookahead_auto" => sharded(3, Lookahead::Auto),
        "compute_comms.defer_reduce" => Lowering { reduce_grads: ReduceGrads::Deferred, ..torch },
        "compute_comms.max_send1" => Lowering { wait_sends: WaitSends::AtMost(1), ..torch },
        "compute_comms.max_send2" => Lowering { wait_sends: WaitSends::AtMost(2), ..torch },
        _ => return None,
    })
}

/// Each row of a program is also what its rank makes of the plan alone.
fn check_rows(plan: &Plan, lowering: &Lowering, program: &Program) {
    for (rank, row) in program.rows().iter().enumerate() {
        assert_eq!(&lower_row(plan, Rank::new(rank), lowering).unwrap(), row, "rank {rank}");
    }
}

#[test]
fn tables_lower_as_in_torch_with_every_option() {
    let schedules = [
        ("GPipe", 12),
        ("1F1B", 18),
        ("LoopedBFS", 25),
        ("Interleaved1F1B", 32),
        ("InterleavedZeroBubble", 34),
        ("ZBVZeroBubble", 33),
        ("DualPipeV", 24),
    ];
    for (schedule, fewest) in schedules {
        let mut num_tables = 0;
        for entry in fs::read_dir(golden().join(schedule)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some((stem, suffix)) = name.split_once('.') else { continue };
            let Some(suffix) = suffix.strip_suffix(".csv") else { continue };
            let Some(lowering) = options(suffix) else { continue };
            let computed = path.with_file_name(format!("{stem}.compute_only.csv"));
            let mut plan = plan(&fs::read_to_string(computed).unwrap());
            if suffix.starts_with("merge_bw") {
                plan = merge_backward(&plan);
            }
            let program = lower_with(&plan, &lowering).unwrap();
            let expected = fs::read_to_string(&path).unwrap();
            assert_eq!(csv::program_to_string(&program), expected, "{schedule} {name}");
            check_rows(&plan, &lowering, &program);
            // torch's deferred receives stop in NCCL's order: see below.
            if lowering.receives != Receives::Deferred {
                validate(program).unwrap_or_else(|error| panic!("{schedule} {name}: {error}"));
            }
            num_tables += 1;
        }
        assert!(num_tables >= fewest, "{schedule}: {num_tables} tables");
    }
}

#[test]
fn backwards_merge_as_in_torch() {
    for schedule in ["InterleavedZeroBubble", "ZBVZeroBubble", "DualPipeV"] {
        for stem in ["pp2_v2_mb4", "pp4_v2_mb8"] {
            let read = |suffix| {
                let path = golden().join(schedule).join(format!("{stem}.{suffix}.csv"));
                plan(&fs::read_to_string(path).unwrap())
            };
            assert_eq!(
                merge_backward(&read("compute_only")),
                read("merge_bw"),
                "{schedule} {stem}"
            );
        }
    }
}

/// Of a line of JSON, the value of a field without its quotes.
fn field<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = line.split_once(&format!("\"{name}\": "))?;
    Some(rest.split([',', '}']).next()?.trim_matches('"'))
}

#[test]
fn generated_plans_lower_as_in_torch() {
    let lines = fs::read_to_string(golden().join("schedule_hashes.jsonl")).unwrap();
    let mut num_checked = 0;
    for line in lines.lines() {
        let name = field(line, "schedule").unwrap();
        let kind = Kind::ALL.iter().find(|kind| kind.to_string() == name);
        let (Some(&kind), Some(expected)) = (kind, field(line, "comms")) else { continue };
        let [num_ranks, stages_per_rank, num_microbatches] =
            ["pp", "v", "mb"].map(|name| field(line, name).unwrap().parse().unwrap());
        let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
        let program = lower_with(&generate(kind, &extent).unwrap(), &Lowering::TORCH).unwrap();
        let text = csv::program_to_string(&program).replace("\r\n", "\n");
        assert_eq!(sha256::short(&text), expected, "{line}");
        num_checked += 1;
    }
    assert_eq!(num_checked, 874);
}

/// Schedules that nobody designed, on any placement, as torch lowers them with any options. A line
/// is `max_active_stages`, lookahead, deferred waits for reductions, deferred receives, the most
/// sends under way, the plan and the program; ranks are separated by `|`.
#[test]
fn wild_tables_lower_as_in_torch() {
    let lines = fs::read_to_string(golden().join("lowered.tsv")).unwrap();
    for line in lines.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [active, lookahead, reduce, receives, sends, rows, expected] = fields[..] else {
            panic!("{line}");
        };
        let lookahead = match lookahead {
            "full" => Lookahead::Full,
            "auto" => Lookahead::Auto,
            given => Lookahead::PerRank(given.split(',').map(|n| n.parse().unwrap()).collect()),
        };
        let lowering = Lowering {
            reduce_grads: [ReduceGrads::Immediate, ReduceGrads::Deferred]
                [usize::from(reduce == "1")],
            receives: [Receives::Early, Receives::Deferred][usize::from(receives == "1")],
            wait_sends: match sends.parse().unwrap() {
                0 => WaitSends::WhenTaken,
                limit => WaitSends::AtMost(limit),
            },
            ..sharded(active.parse().unwrap(), lookahead)
        };
        let plan = plan(&rows.replace('|', "\n"));
        match lower_with(&plan, &lowering) {
            Ok(program) => {
                let text = csv::program_to_string(&program).replace("\r\n", "|");
                assert_eq!(text.strip_suffix('|'), Some(expected), "{line}");
                check_rows(&plan, &lowering, &program);
            }
            Err(_) => assert_eq!(expected, "error", "{line}"),
        }
    }
    assert_eq!(lines.lines().count(), 150);
}

/// The program's rows under the options, one a line, and what is said against it.
fn check(text: &str, lowering: &Lowering, expected: &str) -> Option<String> {
    let program = lower_with(&plan(text), lowering).unwrap();
    assert_eq!(csv::program_to_string(&program).replace("\r\n", "\n"), expected);
    Some(validate(program).err()?.to_string())
}

#[test]
fn deferred_receives_are_refused_where_late_ones_are_not() {
    let text = "0F0,0F1,0B0,0B1\n1F0,1B0,1F1,1B1\n";
    let deferred = Lowering { receives: Receives::Deferred, ..Lowering::default() };
    let refused = check(
        text,
        &deferred,
        "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
         1RECV_F0,1F0,1B0,1SEND_B0,1RECV_F1,1F1,1B1,1SEND_B1\n",
    );
    assert!(refused.unwrap().contains("0SEND_F1: waits for ever in NCCL's order"));
    let late = Lowering { receives: Receives::Late, ..Lowering::default() };
    let accepted = check(
        text,
        &late,
        "0F0,0SEND_F0,0F1,0SEND_F1,0RECV_B0,0B0,0RECV_B1,0B1\n\
         1RECV_F0,1F0,1B0,1RECV_F1,1SEND_B0,1F1,1B1,1SEND_B1\n",
    );
    assert_eq!(accepted, None);
    // Tensors that are not used in the order in which they are sent.
    let refused = check(
        "0F0,0F1\n1F1,1F0\n",
        &deferred,
        "0F0,0SEND_F0,0F1,0SEND_F1\n1RECV_F1,1F1,1RECV_F0,1F0\n",
    );
    assert!(refused.unwrap().contains("1RECV_F1: takes the wrong message"));
    assert_eq!(
        check(
            "0F0,0F1\n1F1,1F0\n",
            &late,
            "0F0,0SEND_F0,0F1,0SEND_F1\n1RECV_F0,1RECV_F1,1F1,1F0\n",
        ),
        None
    );
}

#[test]
fn the_optimiser_runs_when_gradients_are_final() {
    let text = "0F0,3F0,3B0,0B0\n1F0,2F0,2B0,1B0\n";
    let steps = |optimizer_steps, reduce_grads, tied| Lowering {
        optimizer_steps,
        reduce_grads,
        tied,
        ..Lowering::default()
    };
    let tied = vec![vec![Stage::new(0), Stage::new(3)], vec![Stage::new(3), Stage::new(1)]];
    for (lowering, expected) in [
        (
            steps(OptimizerSteps::WhenReady, ReduceGrads::Never, vec![]),
            "0F0,0SEND_F0,3RECV_F0,3F0,3B0,3SEND_B0,3OPTIMIZER_STEP,0RECV_B0,0B0,0OPTIMIZER_STEP\n\
             1RECV_F0,1F0,2F0,2SEND_F0,2RECV_B0,2B0,2OPTIMIZER_STEP,1B0,1SEND_B0,1OPTIMIZER_STEP\n",
        ),
        (
            steps(OptimizerSteps::WhenReady, ReduceGrads::Deferred, tied.clone()),
            "0F0,0SEND_F0,3RECV_F0,3F0,3B0,3SEND_B0,3REDUCE_GRAD,0RECV_B0,0B0,3WAIT_REDUCE_GRAD,\
             0REDUCE_GRAD,0WAIT_REDUCE_GRAD,0REDUCE_TIED0,3REDUCE_TIED0,3REDUCE_TIED1,\
             0OPTIMIZER_STEP,3OPTIMIZER_STEP\n\
             1RECV_F0,1F0,2F0,2SEND_F0,2RECV_B0,2B0,2REDUCE_GRAD,1B0,1SEND_B0,2WAIT_REDUCE_GRAD,\
             2OPTIMIZER_STEP,1REDUCE_GRAD,1WAIT_REDUCE_GRAD,1REDUCE_TIED1,1OPTIMIZER_STEP\n",
        ),
        (
            steps(OptimizerSteps::AtEnd, ReduceGrads::Never, tied),
            "0F0,0SEND_F0,3RECV_F0,3F0,3B0,3SEND_B0,0RECV_B0,0B0,0REDUCE_TIED0,3REDUCE_TIED0,\
             3REDUCE_TIED1,0OPTIMIZER_STEP,3OPTIMIZER_STEP\n\
             1RECV_F0,1F0,2F0,2SEND_F0,2RECV_B0,2B0,1B0,1SEND_B0,1REDUCE_TIED1,1OPTIMIZER_STEP,\
             2OPTIMIZER_STEP\n",
        ),
    ] {
        assert_eq!(check(text, &lowering, expected), None);
    }
    // An evaluation has no gradients.
    let evaluated = plan(text).forward_only();
    let lowering = steps(
        OptimizerSteps::AtEnd,
        ReduceGrads::Immediate,
        vec![vec![Stage::new(0), Stage::new(1)]],
    );
    assert_eq!(lower_with(&evaluated, &lowering).unwrap(), lower(&evaluated));
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let plan =
        plan("0F0,0F1,3F0,(3F1;3B0)OVERLAP_F_B,3B1,0B0,0B1\n1F0,2F0,1F1,2F1,2B0,1B0,2B1,1B1\n");
    let refused = |lowering| lower_with(&plan, &lowering).unwrap_err().to_string();
    let stages = |ids: &[usize]| ids.iter().copied().map(Stage::new).collect::<Vec<_>>();
    assert_eq!(
        refused(Lowering {
            tied: vec![stages(&[0]), stages(&[1, 9, 1])],
            wait_sends: WaitSends::AtMost(0),
            ..sharded(2, Lookahead::PerRank(vec![3, 0]))
        }),
        "the plan cannot be lowered so
- the lookahead of rank 0 is 3, it can be from 1 to max_active_stages, which is 2
- the lookahead of rank 1 is 0, it can be from 1 to max_active_stages, which is 2
- tie group 0 has 1 of the 2 or more stages that share a parameter; name the others or leave it out
- tie group 1 has stage 1 twice, name it once
- tie group 1 has stage 9, the plan has the stages 0 to 3
- no send may be under way, the fewest that may is 1"
    );
    assert_eq!(
        refused(sharded(0, Lookahead::PerRank(vec![1]))),
        "the plan cannot be lowered so
- max_active_stages is 0, the fewest is 1
- the lookahead has values for 1 ranks, the plan has 2; give one a rank"
    );
    // An overlap within one stage needs one stage.
    assert!(lower_with(&plan, &sharded(1, Lookahead::Full)).is_ok());
}

#[test]
fn what_cannot_be_kept_to_is_refused() {
    let overlapped = plan("0F0,1F0,(0F1;1B0)OVERLAP_F_B,1F1,1B1,0B0,0B1\n");
    assert_eq!(
        lower_with(&overlapped, &sharded(1, Lookahead::Full)).unwrap_err().to_string(),
        "the plan cannot be lowered so
- rank 0 computes (0F1;1B0)OVERLAP_F_B at step 2, for which 2 stages have to be gathered, but \
         max_active_stages is 1; set it to 2"
    );
    let swapped = plan("0F0,0F1\n1F1,1F0\n");
    let one = Lowering {
        wait_sends: WaitSends::AtMost(1),
        receives: Receives::Deferred,
        ..Lowering::default()
    };
    assert_eq!(
        lower_with(&swapped, &one).unwrap_err().to_string(),
        "the plan cannot be lowered so
- rank 0 cannot keep to 1 under way with 0SEND_F1: what is under way before, 0SEND_F0, is received \
         only after it; allow more or change the plan"
    );
}
