//! Tests of coordinates, groups and sub-meshes.

use super::{DeviceMesh, MAX_RANKS};
use crate::{Axis, Error, MeshSizes, Problem};

/// 8 ranks as pp 2 x dp_shard 2 x tp 2: the layout that NeMo AutoModel documents.
fn eight() -> DeviceMesh {
    let sizes = MeshSizes { pp: 2, tp: 2, ..MeshSizes::default() };
    DeviceMesh::for_training(8, &sizes).unwrap()
}

#[test]
fn the_last_axis_runs_fastest() {
    let mesh = eight();
    for rank in 0..8 {
        let coord = mesh.coord_from_rank(rank).unwrap();
        assert_eq!(coord, [rank / 4, 0, rank / 2 % 2, 0, rank % 2]);
    }
    assert_eq!(mesh.groups(&Axis::PP).unwrap(), [vec![0, 4], vec![1, 5], vec![2, 6], vec![3, 7]]);
}

#[test]
fn a_flattened_axis_stands_for_its_parts() {
    let sizes = MeshSizes { pp: 2, dp_replicate: 2, dp: Some(4), cp: 2, tp: 1, ep: 1 };
    let mesh = DeviceMesh::for_training(16, &sizes).unwrap();
    assert_eq!(mesh.size(&Axis::DP).unwrap(), 4);
    assert_eq!(mesh.group(&Axis::DP, 9).unwrap(), [9, 11, 13, 15]);
    assert_eq!(mesh.group(&Axis::DP_SHARD_CP, 2).unwrap(), [0, 1, 2, 3]);
    assert_eq!(mesh.group(&Axis::DP_CP, 12).unwrap(), [8, 9, 10, 11, 12, 13, 14, 15]);
}

#[test]
fn the_parts_of_a_flattened_axis_need_not_be_neighbours() {
    let mesh = DeviceMesh::new([("dp_replicate", 2), ("pp", 2), ("dp_shard", 2)]).unwrap();
    assert_eq!(mesh.group(&Axis::DP, 2).unwrap(), [2, 3, 6, 7]);
    assert_eq!(mesh.groups(&Axis::DP).unwrap(), [[0, 1, 4, 5], [2, 3, 6, 7]]);
    let part = mesh.submesh(&[Axis::DP], 6).unwrap();
    assert_eq!(part.coord_from_rank(6).unwrap(), [2]);
    assert_eq!(part.rank_from_coord(&[3]).unwrap(), 7);
}

#[test]
fn a_sub_mesh_keeps_the_global_numbers_and_takes_the_order_asked_for() {
    let part = eight().submesh(&[Axis::TP, Axis::PP], 3).unwrap();
    assert_eq!(part.ranks().collect::<Vec<_>>(), [2, 6, 3, 7]);
    assert_eq!(part.world_size(), 4);
    assert_eq!(part.coord_from_rank(3).unwrap(), [1, 0]);
    assert_eq!(part.group(&Axis::PP, 3).unwrap(), [3, 7]);
    assert_eq!(part.groups(&Axis::TP).unwrap(), [[2, 3], [6, 7]]);
}

#[test]
fn ranks_beside_between_and_beyond_a_sub_mesh_are_unknown() {
    let part = eight().submesh(&[Axis::PP, Axis::TP], 3).unwrap(); // 2, 3, 6, 7
    for rank in [0, 1, 4, 5, 8, 10, usize::MAX] {
        let mesh = String::from("pp 2 x tp 2");
        let unknown = Error::UnknownRank { rank, world_size: 4, mesh };
        assert_eq!(part.coord_from_rank(rank), Err(unknown));
    }
}

#[test]
fn an_axis_that_is_not_there_is_named_with_those_that_are() {
    let mesh = DeviceMesh::new([("pp", 2), ("dp_shard", 2)]).unwrap();
    let error = mesh.size(&Axis::DP).unwrap_err();
    assert_eq!(error.to_string(), "the mesh has no axis `dp`, its axes are `pp`, `dp_shard`");
    assert_eq!(mesh.group(&Axis::DP, 0), Err(error));
}

#[test]
fn one_direction_cannot_be_two_axes_of_a_sub_mesh() {
    let error = eight().submesh(&[Axis::DP, Axis::TP, Axis::DP_SHARD], 0).unwrap_err();
    assert_eq!(error, Error::SharedAxis { first: Axis::DP, second: Axis::DP_SHARD });
    assert!(eight().submesh(&[Axis::PP, Axis::PP], 0).is_err());
    assert_eq!(eight().submesh(&[], 0), Err(Error::Impossible(vec![Problem::NoAxis])));
}

#[test]
fn flattened_names_are_listed_where_they_would_do() {
    let error = eight().size(&Axis::EP).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the mesh has no axis `ep`, its axes are `pp`, `dp_replicate`, `dp_shard`, `cp`, `tp`, \
         `dp`, `dp_shard_cp`, `dp_cp`"
    );
    let part = eight().submesh(&[Axis::DP, Axis::PP], 0).unwrap();
    let error = part.size(&Axis::DP_SHARD).unwrap_err();
    assert_eq!(error.to_string(), "the mesh has no axis `dp_shard`, its axes are `dp`, `pp`");
}

#[test]
fn neighbours_end_at_the_ends_or_go_round() {
    let mesh = DeviceMesh::new([("pp", 3), ("tp", 2)]).unwrap();
    assert_eq!(mesh.previous(&Axis::PP, 1), Ok(None));
    assert_eq!(mesh.next(&Axis::PP, 1), Ok(Some(3)));
    assert_eq!(mesh.next(&Axis::PP, 5), Ok(None));
    assert_eq!(mesh.previous_in_ring(&Axis::PP, 1), Ok(5));
    assert_eq!(mesh.next_in_ring(&Axis::PP, 5), Ok(1));
    assert!(matches!(mesh.next(&Axis::PP, 6), Err(Error::UnknownRank { rank: 6, .. })));
    assert!(matches!(mesh.previous_in_ring(&Axis::CP, 0), Err(Error::UnknownAxis { .. })));
    // Along dp a rank passes from one replica to the next, past the other pipeline stage.
    let mesh = DeviceMesh::new([("dp_replicate", 2), ("pp", 2), ("dp_shard", 2)]).unwrap();
    assert_eq!(mesh.next(&Axis::DP, 1), Ok(Some(4)));
    assert_eq!(mesh.index(&Axis::DP, 4), Ok(2));
    // On an axis of size 1 a rank stands alone.
    assert_eq!(eight().next(&Axis::CP, 5), Ok(None));
    assert_eq!(eight().next_in_ring(&Axis::CP, 5), Ok(5));
}

#[test]
fn a_mesh_over_a_list_has_its_ranks_and_no_others() {
    let mesh = eight().with_ranks(&[0, 4, 1, 5, usize::MAX, 6, 3, 7]).unwrap();
    assert_eq!(mesh.group(&Axis::PP, 4), Ok(vec![4, 6]));
    assert_eq!(mesh.groups(&Axis::PP).unwrap()[0], [0, usize::MAX]);
    assert_eq!(mesh.coord_from_rank(3), Ok(vec![1, 0, 1, 0, 0]));
    assert!(matches!(mesh.coord_from_rank(2), Err(Error::UnknownRank { rank: 2, .. })));
    let part = mesh.submesh(&[Axis::DP, Axis::TP], 6).unwrap();
    assert!(part.ranks().eq([usize::MAX, 6, 3, 7]));
    assert!(matches!(part.coord_from_rank(4), Err(Error::UnknownRank { world_size: 4, .. })));
}

#[test]
fn a_list_of_the_ranks_in_order_changes_nothing() {
    assert_eq!(eight().with_ranks(&[0, 1, 2, 3, 4, 5, 6, 7]).unwrap(), eight());
    assert_ne!(eight().with_ranks(&[1, 0, 2, 3, 4, 5, 6, 7]).unwrap(), eight());
    let pair = DeviceMesh::new([("tp", 2)]).unwrap();
    let last = pair.with_ranks(&[usize::MAX - 1, usize::MAX]).unwrap();
    assert_eq!(last.next(&Axis::TP, usize::MAX - 1), Ok(Some(usize::MAX)));
    assert!(last.coord_from_rank(0).is_err());
    let part = eight().submesh(&[Axis::TP], 7).unwrap();
    assert_eq!(part, pair.with_ranks(&[6, 7]).unwrap());
    assert_eq!(part.with_ranks(&[0, 1]).unwrap(), pair);
}

#[test]
fn a_list_of_ranks_has_each_once_and_is_as_long_as_the_mesh() {
    let mesh = DeviceMesh::new([("pp", 2), ("tp", 2)]).unwrap();
    assert_eq!(
        mesh.with_ranks(&[3, 0, 3, 0, 3]).unwrap_err().to_string(),
        "the mesh pp 2 x tp 2 takes 4 ranks, the list has 5; \
         a mesh has each rank once, and the list repeats 0, 3"
    );
    assert!(mesh.with_ranks(&[]).is_err());
    let twice: Vec<usize> = (0..20).map(|rank| rank / 2).collect();
    let mesh = DeviceMesh::new([("pp", 20)]).unwrap();
    assert_eq!(
        mesh.with_ranks(&twice).unwrap_err().to_string(),
        "a mesh has each rank once, and the list repeats 0, 1, 2, 3, 4, 5, 6, 7 and 2 more"
    );
}

#[test]
fn a_coordinate_off_the_mesh_is_refused() {
    let mesh = DeviceMesh::new([("pp", 2), ("tp", 4)]).unwrap();
    let error = mesh.rank_from_coord(&[1, 4]).unwrap_err();
    assert_eq!(error.to_string(), "coordinate 4 on axis `tp` is too large, the last one is 3");
    let error = mesh.rank_from_coord(&[1]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a coordinate of the mesh pp 2 x tp 4 has 2 components, this one has 1"
    );
}

#[test]
fn a_new_mesh_reports_all_its_problems() {
    let axes = [("pp", 2), ("", 3), ("pp", 0), ("dp", 1), ("dp_replicate", 1), ("dp_shard", 1)];
    let error = DeviceMesh::new(axes).unwrap_err();
    assert_eq!(
        error.to_string(),
        "axis number 1 has no name; axis `pp` is given more than once; \
         axis `pp` has size 0, the smallest is 1; \
         axis `dp` stands for dp_replicate x dp_shard already, which the mesh has too; rename it"
    );
    let thrice = DeviceMesh::new([("tp", 2), ("tp", 2), ("tp", 2), (" ", 1)]).unwrap_err();
    assert_eq!(thrice.to_string(), "axis `tp` is given more than once; axis number 3 has no name");
    let none: [(Axis, usize); 0] = [];
    assert_eq!(DeviceMesh::new(none), Err(Error::Impossible(vec![Problem::NoAxis])));
}

#[test]
fn a_mesh_has_a_largest_size_and_nothing_overflows() {
    assert_eq!(DeviceMesh::new([("pp", MAX_RANKS)]).unwrap().world_size(), MAX_RANKS);
    for axes in [[("pp", MAX_RANKS), ("tp", 2)], [("pp", usize::MAX), ("tp", usize::MAX)]] {
        let Err(Error::Impossible(problems)) = DeviceMesh::new(axes) else { panic!("{axes:?}") };
        assert!(matches!(problems[..], [Problem::TooManyRanks { .. }]), "{problems:?}");
    }
}
