//! Tests of expert meshes.

use crate::{Axis, DeviceMesh, Error, MeshSizes, Problem};

fn ranks(mesh: &DeviceMesh) -> Vec<usize> {
    mesh.ranks().collect()
}

/// 16 ranks as pp 2 x dp_replicate 2 x dp_shard 2 x tp 2.
fn sixteen() -> DeviceMesh {
    let sizes = MeshSizes { pp: 2, dp_replicate: 2, tp: 2, ..MeshSizes::default() };
    DeviceMesh::for_training(16, &sizes).unwrap()
}

#[test]
fn the_ranks_of_each_stage_are_laid_out_anew() {
    let meshes = sixteen().expert_meshes(&Axis::PP, 4).unwrap();
    assert_eq!(meshes.len(), 2);
    let last = &meshes[1];
    assert!(last.axes().eq([(&Axis::EP_SHARD, 2), (&Axis::EP, 4)]));
    assert_eq!(last.groups(&Axis::EP).unwrap(), [[8, 9, 10, 11], [12, 13, 14, 15]]);
    assert_eq!(last.group(&Axis::EP_SHARD, 9).unwrap(), [9, 13]);
    assert_eq!(sixteen().expert_mesh(&Axis::PP, 4, 9).unwrap(), *last);
}

#[test]
fn one_expert_rank_or_all_of_them() {
    let mesh = sixteen();
    let one = mesh.expert_mesh(&Axis::PP, 1, 0).unwrap();
    assert!(one.axes().eq([(&Axis::EP_SHARD, 8), (&Axis::EP, 1)]));
    let all = mesh.expert_mesh(&Axis::PP, 8, 0).unwrap();
    assert!(all.axes().eq([(&Axis::EP_SHARD, 1), (&Axis::EP, 8)]));
    assert_eq!(ranks(&one), ranks(&all));
}

#[test]
fn the_pipeline_axis_stands_anywhere_and_has_any_name() {
    let stage = Axis::from("stage");
    // Three groups of four, of which each stage has the first or the last two.
    let mesh = DeviceMesh::new([("dp", 3), ("stage", 2), ("tp", 2)]).unwrap();
    let experts = mesh.expert_mesh(&stage, 3, 6).unwrap();
    assert_eq!(experts.groups(&Axis::EP).unwrap(), [[2, 3, 6], [7, 10, 11]]);
    assert_eq!(experts.next(&Axis::EP_SHARD, 3), Ok(Some(10)));
    let mesh = DeviceMesh::new([("dp", 4), ("stage", 2)]).unwrap();
    let experts = mesh.expert_mesh(&stage, 2, 0).unwrap();
    assert_eq!(experts.groups(&Axis::EP).unwrap(), [[0, 2], [4, 6]]);
}

#[test]
fn a_pipeline_alone_has_a_mesh_for_each_rank() {
    let meshes = DeviceMesh::new([("pp", 3)]).unwrap().expert_meshes(&Axis::PP, 1).unwrap();
    assert!(meshes.iter().map(ranks).eq([[0], [1], [2]]));
}

#[test]
fn ranks_of_a_list_and_of_a_sub_mesh_keep_their_numbers() {
    let mesh = DeviceMesh::new([("pp", 2), ("tp", 4)]).unwrap();
    let mesh = mesh.with_ranks(&[9, 8, 7, 6, 0, 1, 2, 3]).unwrap();
    let experts = mesh.expert_mesh(&Axis::PP, 2, 7).unwrap();
    assert_eq!(experts.group(&Axis::EP_SHARD, 7), Ok(vec![9, 7]));
    let part = sixteen().submesh(&[Axis::TP, Axis::PP], 6).unwrap();
    assert_eq!(ranks(&part.expert_mesh(&Axis::PP, 2, 15).unwrap()), [14, 15]);
}

#[test]
fn a_part_of_an_expert_mesh_is_a_mesh() {
    let experts = sixteen().expert_mesh(&Axis::PP, 2, 10).unwrap();
    let part = experts.submesh(&[Axis::EP_SHARD], 11).unwrap();
    assert_eq!(ranks(&part), [9, 11, 13, 15]);
    assert_eq!(part.coord_from_rank(11), Ok(vec![1]));
    assert!(part.coord_from_rank(10).is_err());
}

#[test]
fn experts_that_fit_no_stage_are_refused() {
    let refused = |ep| match sixteen().expert_mesh(&Axis::PP, ep, 0) {
        Err(Error::Impossible(problems)) => problems,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(3), [Problem::Experts { ep: 3, num_ranks: 8 }]);
    assert_eq!(refused(16), [Problem::Experts { ep: 16, num_ranks: 8 }]);
    assert_eq!(refused(0), [Problem::ZeroSize { axis: Axis::EP }]);
    assert!(sixteen().expert_meshes(&Axis::PP, usize::MAX).is_err());
}

#[test]
fn a_rank_or_a_pipeline_that_is_not_there_is_refused() {
    let unknown = sixteen().expert_mesh(&Axis::PP, 2, 16).unwrap_err();
    assert!(matches!(unknown, Error::UnknownRank { rank: 16, .. }), "{unknown}");
    let mesh = DeviceMesh::new([("dp", 2), ("stage", 4)]).unwrap();
    assert_eq!(
        mesh.expert_meshes(&Axis::PP, 2).unwrap_err().to_string(),
        "the mesh has no pipeline axis `pp`; name one of its axes `dp`, `stage`"
    );
}
