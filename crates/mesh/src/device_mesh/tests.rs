//! Tests of coordinates, groups and sub-meshes.

use proptest::prelude::*;

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
        "axis number 1 has an empty name; axis `pp` is given twice; \
         axis `pp` has size 0, the smallest is 1; \
         axis `dp` stands for dp_replicate x dp_shard already, which the mesh has too; rename it"
    );
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

fn any_mesh() -> impl Strategy<Value = DeviceMesh> {
    let sizes = (1..4_usize, 1..4_usize, 1..4_usize, 1..4_usize, 1..4_usize);
    sizes.prop_map(|(pp, replicate, shard, cp, tp)| {
        let names = ["pp", "dp_replicate", "dp_shard", "cp", "tp"];
        DeviceMesh::new(names.into_iter().zip([pp, replicate, shard, cp, tp])).unwrap()
    })
}

const NAMES: [Axis; 8] = [
    Axis::PP,
    Axis::DP_REPLICATE,
    Axis::DP_SHARD,
    Axis::CP,
    Axis::TP,
    Axis::DP,
    Axis::DP_SHARD_CP,
    Axis::DP_CP,
];

proptest! {
    #[test]
    fn coordinates_and_ranks_are_inverses(mesh in any_mesh()) {
        for (position, rank) in mesh.ranks().enumerate() {
            prop_assert_eq!(position, rank);
            let coord = mesh.coord_from_rank(rank).unwrap();
            prop_assert_eq!(mesh.rank_from_coord(&coord).unwrap(), rank);
        }
        prop_assert!(mesh.coord_from_rank(mesh.world_size()).is_err());
    }

    #[test]
    fn groups_share_out_the_ranks(mesh in any_mesh(), name in 0..NAMES.len()) {
        let axis = &NAMES[name];
        let groups = mesh.groups(axis).unwrap();
        let mut members: Vec<usize> = groups.concat();
        members.sort_unstable();
        prop_assert!(members.into_iter().eq(mesh.ranks()));
        for group in groups {
            prop_assert_eq!(group.len(), mesh.size(axis).unwrap());
            prop_assert!(group.is_sorted());
            for rank in &group {
                prop_assert_eq!(&mesh.group(axis, *rank).unwrap(), &group);
            }
        }
    }

    #[test]
    fn a_sub_mesh_is_the_ranks_that_agree_on_the_other_axes(
        mesh in any_mesh(),
        (rank, first, apart) in (any::<usize>(), 0..5_usize, 1..5_usize),
    ) {
        let (rank, second) = (rank % mesh.world_size(), (first + apart) % 5);
        let part = mesh.submesh(&[NAMES[first].clone(), NAMES[second].clone()], rank).unwrap();
        let own = mesh.coord_from_rank(rank).unwrap();
        for other in mesh.ranks() {
            let coord = mesh.coord_from_rank(other).unwrap();
            let agrees = (0..5).all(|axis| [first, second].contains(&axis) || coord[axis] == own[axis]);
            match part.coord_from_rank(other) {
                Ok(within) => {
                    prop_assert!(agrees);
                    prop_assert_eq!(&within, &[coord[first], coord[second]]);
                    prop_assert_eq!(part.rank_from_coord(&within).unwrap(), other);
                }
                Err(_) => prop_assert!(!agrees),
            }
        }
    }
}
