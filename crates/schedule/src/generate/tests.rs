//! The pictures of the schedules, their names, and the sizes they cannot have.

use super::{Extent, Kind, StagesPerRank, generate};
use crate::{PlacementStyle, table};

fn check(kind: Kind, num_ranks: usize, stages_per_rank: usize, num_microbatches: usize) {
    let plan = generate(kind, &Extent { num_ranks, stages_per_rank, num_microbatches }).unwrap();
    let chunks = if stages_per_rank == 1 { String::new() } else { format!("x{stages_per_rank}") };
    let name = format!("{kind}_{num_ranks}{chunks}x{num_microbatches}");
    insta::assert_snapshot!(name, table(&plan));
}

#[test]
fn one_stage_a_rank() {
    check(Kind::GPipe, 3, 1, 4);
    check(Kind::GPipe, 4, 1, 2); // fewer microbatches than ranks
    check(Kind::GPipe, 1, 1, 2);
    check(Kind::OneFOneB, 3, 1, 4);
    check(Kind::OneFOneB, 3, 1, 3); // as few microbatches as it can
    check(Kind::OneFOneB, 1, 1, 2);
    check(Kind::ZbH1, 3, 1, 4);
    check(Kind::ZbH2, 3, 1, 6);
}

#[test]
fn stages_in_turn() {
    check(Kind::InterleavedOneFOneB, 2, 2, 4);
    check(Kind::InterleavedOneFOneB, 3, 2, 2); // one round of fewer microbatches than ranks
    check(Kind::LoopedBfs, 2, 2, 3);
    check(Kind::InterleavedZeroBubble, 2, 2, 4);
}

#[test]
fn stages_there_and_back() {
    check(Kind::ZbvZeroBubble, 2, 2, 4);
    check(Kind::ZbvZeroBubble, 3, 2, 2); // fewer microbatches than it is made for
    check(Kind::DualPipeV, 2, 2, 5);
    check(Kind::VMin, 3, 2, 4);
    check(Kind::VHalf, 3, 2, 4);
}

#[test]
fn waves() {
    check(Kind::Hanayo, 2, 2, 4);
    check(Kind::Hanayo, 2, 3, 2);
}

#[test]
fn names_in_any_case() {
    for (name, kind, class) in [
        ("GPipe", Kind::GPipe, "ScheduleGPipe"),
        ("1f1b", Kind::OneFOneB, "Schedule1F1B"),
        ("interleaved1f1b", Kind::InterleavedOneFOneB, "ScheduleInterleaved1F1B"),
        ("LOOPEDBFS", Kind::LoopedBfs, "ScheduleLoopedBFS"),
        ("InterleavedZeroBubble", Kind::InterleavedZeroBubble, "ScheduleInterleavedZeroBubble"),
        ("ZBVZeroBubble", Kind::ZbvZeroBubble, "ScheduleZBVZeroBubble"),
        ("DualPipeV", Kind::DualPipeV, "ScheduleDualPipeV"),
    ] {
        assert_eq!(name.parse(), Ok(kind));
        assert_eq!(kind.class_name(), Some(class));
        assert_eq!(class.to_ascii_lowercase().parse(), Ok(kind));
    }
    for kind in Kind::ALL {
        assert_eq!(kind.to_string().to_uppercase().parse(), Ok(kind));
        for alias in kind.aliases() {
            assert_eq!(alias.parse(), Ok(kind));
        }
    }
}

#[test]
fn names_that_nemo_automodel_documents() {
    for (name, kind) in [
        ("interleaved_1f1b", Kind::InterleavedOneFOneB),
        ("looped_bfs", Kind::LoopedBfs),
        ("zero_bubble", Kind::InterleavedZeroBubble),
        ("v_schedule", Kind::ZbvZeroBubble),
    ] {
        assert_eq!(name.parse(), Ok(kind));
    }
    assert_eq!(
        "DFS".parse::<Kind>().unwrap_err().to_string(),
        "`dfs` is a name that NeMo AutoModel documents but no schedule stands for; the schedules \
         are GPipe, 1F1B, Interleaved1F1B, LoopedBFS, InterleavedZeroBubble, ZBVZeroBubble, \
         DualPipeV, ZB-H1, ZB-H2, V-Min, V-Half and Hanayo, of which Interleaved1F1B goes \
         depth-first"
    );
}

#[test]
fn unknown_names_get_the_list_and_the_nearest() {
    let error = |name: &str| name.parse::<Kind>().unwrap_err().to_string();
    let list = "the schedules are GPipe, 1F1B, Interleaved1F1B, LoopedBFS, InterleavedZeroBubble, \
                ZBVZeroBubble, DualPipeV, ZB-H1, ZB-H2, V-Min, V-Half and Hanayo";
    for (name, nearest) in [
        ("gpip", "GPipe"),
        ("1FB1", "1F1B"),
        ("interleaved", "Interleaved1F1B"),
        ("loopedbfss", "LoopedBFS"),
        ("zb-h3", "ZB-H1"),
        ("dualpipe", "DualPipeV"),
        ("hanoi", "Hanayo"),
    ] {
        let expected = format!("there is no schedule `{name}`, {list}; did you mean {nearest}?");
        assert_eq!(error(name), expected);
    }
    assert_eq!(error(""), format!("there is no schedule ``, {list}"));
    assert!(error(&"x".repeat(1_000_000)).len() < 300);
}

#[test]
fn a_name_means_one_kind() {
    let all = Kind::ALL.into_iter().flat_map(|kind| {
        let aliases = kind.aliases().iter().copied();
        aliases.chain([kind.name()]).chain(kind.class_name()).map(str::to_lowercase)
    });
    let mut names: Vec<String> = all.collect();
    let num_names = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), num_names);
}

#[test]
fn what_a_facade_asks() {
    assert!(Kind::OneFOneB.stages_per_rank().is_single());
    assert!(!Kind::InterleavedOneFOneB.stages_per_rank().is_single());
    assert_eq!(Kind::ZbvZeroBubble.stages_per_rank(), StagesPerRank::Exactly(2));
    assert_eq!(Kind::DualPipeV.placement_style(), PlacementStyle::V);
    for kind in Kind::ALL {
        let stages = kind.stages_per_rank();
        assert!(stages.allows(stages.usual()) && stages.allows(stages.fewest()), "{kind}");
        assert_eq!(stages.usual(), if stages.is_single() { 1 } else { 2 }, "{kind}");
        let summary = kind.summary();
        assert!(summary.link.starts_with("https://arxiv.org/abs/"), "{kind}");
        assert!(!summary.bubble.is_empty() && !summary.activations.is_empty(), "{kind}");
    }
}

fn error(kind: Kind, num_ranks: usize, stages_per_rank: usize, num_microbatches: usize) -> String {
    let extent = Extent { num_ranks, stages_per_rank, num_microbatches };
    generate(kind, &extent).unwrap_err().to_string()
}

#[test]
fn microbatches_that_a_schedule_cannot_have() {
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
    assert_eq!(
        error(Kind::DualPipeV, 4, 2, 7),
        "7 microbatches are too few for DualPipeV on 4 ranks, the fewest is 8"
    );
    assert_eq!(
        error(Kind::InterleavedOneFOneB, 4, 2, 11),
        "11 microbatches do not make 2 equal rounds, as many as Interleaved1F1B has on 4 ranks; \
         the nearest that do are 10 and 12"
    );
    // 65541 would be the next higher one, but there are no ids for so many.
    assert_eq!(
        error(Kind::InterleavedZeroBubble, 7, 1, 65_535),
        "65535 microbatches do not make 9362 equal rounds, as many as InterleavedZeroBubble has \
         on 7 ranks; the nearest that do are 65534"
    );
}

#[test]
fn stages_that_a_schedule_cannot_have() {
    assert_eq!(error(Kind::GPipe, 2, 2, 4), "GPipe has 1 stage per rank, not 2");
    assert_eq!(error(Kind::ZbvZeroBubble, 2, 3, 4), "ZBVZeroBubble has 2 stages per rank, not 3");
    assert_eq!(error(Kind::LoopedBfs, 2, 0, 4), "LoopedBFS has at least 1 stage per rank, not 0");
    assert_eq!(error(Kind::Hanayo, 2, 1, 4), "Hanayo has 2 to 64 stages per rank, not 1");
    assert_eq!(
        error(Kind::DualPipeV, 2, 1, 3),
        "DualPipeV has 2 stages per rank, not 1; 3 microbatches are too few for DualPipeV on 2 \
         ranks, the fewest is 4"
    );
    assert_eq!(
        error(Kind::GPipe, 0, 0, 0),
        "GPipe on 0 ranks computes nothing, the fewest is 1; GPipe has 1 stage per rank, not 0; \
         0 microbatches are too few for GPipe on 0 ranks, the fewest is 1"
    );
}

#[test]
fn sizes_that_are_too_large() {
    assert_eq!(
        error(Kind::GPipe, 65_537, 1, 65_537),
        "65537 ranks are too many, the limit is 65536; 65537 microbatches are too many for \
         GPipe, the limit is 65536"
    );
    assert_eq!(
        error(Kind::LoopedBfs, 65_536, 2, 1),
        "65536 ranks with 2 stages each are too many stages for LoopedBFS, the limit is 65536"
    );
    assert_eq!(
        error(Kind::DualPipeV, 4097, 2, 40_000),
        "4097 ranks with 2 stages each are too many stages for DualPipeV, the limit is 8192; \
         40000 microbatches are too many for DualPipeV, the limit is 32768"
    );
    assert_eq!(
        error(Kind::ZbH1, 65_536, 1, 65_536),
        "a plan of 65536 stages and 65536 microbatches has 12884901888 actions, the limit is \
         67108864"
    );
    assert!(error(Kind::OneFOneB, usize::MAX, usize::MAX, usize::MAX).contains("too many"));
}

#[test]
fn many_ranks_and_few_microbatches_take_no_longer_than_their_actions() {
    for kind in Kind::ALL {
        let stages_per_rank = kind.stages_per_rank().fewest();
        let extent = Extent { num_ranks: 2_000, stages_per_rank, num_microbatches: 1 };
        let is_long = [Kind::OneFOneB, Kind::DualPipeV].contains(&kind);
        assert_eq!(generate(kind, &extent).is_err(), is_long, "{kind}");
    }
}
