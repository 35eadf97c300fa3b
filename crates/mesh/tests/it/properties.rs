//! Properties of small meshes of all kinds: new, over a list of ranks, parts of parts, of experts.

use autopipe_mesh::{Axis, AxisNames, DeviceMesh};
use proptest::prelude::*;
use proptest::sample::{Index, subsequence};

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

/// Up to five axes in any order, over the ranks from 0 or over others in any order.
fn whole() -> impl Strategy<Value = DeviceMesh> {
    let axes = subsequence(NAMES[..5].to_vec(), 1..=5).prop_shuffle();
    let counted = (axes, prop::collection::vec(1..4_usize, 5))
        .prop_map(|(axes, sizes)| DeviceMesh::new(axes.into_iter().zip(sizes)).unwrap());
    prop_oneof![
        counted.clone(),
        counted.prop_flat_map(|mesh| {
            let world_size = mesh.world_size();
            let ranks: Vec<usize> = (0..world_size * 2).collect();
            let ranks = subsequence(ranks, world_size).prop_shuffle();
            ranks.prop_map(move |ranks| mesh.with_ranks(&ranks).unwrap())
        }),
    ]
}

/// A mesh, a part of it along some of its axes, flattened or not, or a part of that.
fn any_mesh() -> impl Strategy<Value = DeviceMesh> {
    let picks = prop::collection::vec(any::<(Index, Index, Index)>(), 0..3);
    (whole(), picks).prop_map(|(mesh, picks)| {
        picks.into_iter().fold(mesh, |mesh, (rank, one, other)| {
            let names = names(&mesh);
            let (one, other) = (one.get(&names), other.get(&names));
            let rank = nth(&mesh, rank);
            // Two axes that overlap make no part; then one of them does.
            let both = mesh.submesh(&[one.clone(), other.clone()], rank);
            both.unwrap_or_else(|_| mesh.submesh(std::slice::from_ref(one), rank).unwrap())
        })
    })
}

/// All names of axes that mean something in a mesh.
fn names(mesh: &DeviceMesh) -> Vec<Axis> {
    NAMES.into_iter().filter(|axis| mesh.size(axis).is_ok()).collect()
}

fn nth(mesh: &DeviceMesh, index: Index) -> usize {
    mesh.ranks().nth(index.index(mesh.world_size())).unwrap()
}

fn sorted(ranks: impl IntoIterator<Item = usize>) -> Vec<usize> {
    let mut ranks: Vec<usize> = ranks.into_iter().collect();
    ranks.sort_unstable();
    ranks
}

proptest! {
    #[test]
    fn coordinates_and_ranks_are_inverses(mesh in any_mesh()) {
        let sizes: Vec<usize> = mesh.axes().map(|(_, size)| size).collect();
        for (position, rank) in mesh.ranks().enumerate() {
            let coord = mesh.coord_from_rank(rank).unwrap();
            prop_assert_eq!(mesh.rank_from_coord(&coord).unwrap(), rank);
            let parts = coord.iter().zip(&sizes);
            let row_major = parts.fold(0, |sum, (index, size)| sum * size + index);
            prop_assert_eq!(row_major, position);
        }
        let ranks = sorted(mesh.ranks());
        prop_assert!(ranks.windows(2).all(|pair| pair[0] < pair[1]));
        for rank in 0..ranks.len() * 4 {
            prop_assert_eq!(mesh.coord_from_rank(rank).is_ok(), ranks.contains(&rank));
        }
    }

    #[test]
    fn groups_share_out_the_ranks(mesh in any_mesh(), axis in any::<Index>()) {
        let names = names(&mesh);
        let axis = axis.get(&names);
        let groups = mesh.groups(axis).unwrap();
        prop_assert!(groups.windows(2).all(|pair| pair[0][0] < pair[1][0]));
        prop_assert_eq!(sorted(groups.concat()), sorted(mesh.ranks()));
        for group in groups {
            prop_assert_eq!(group.len(), mesh.size(axis).unwrap());
            for (index, rank) in group.iter().enumerate() {
                prop_assert_eq!(mesh.index(axis, *rank).unwrap(), index);
                prop_assert_eq!(&mesh.group(axis, *rank).unwrap(), &group);
            }
        }
    }

    #[test]
    fn neighbours_are_inverse_and_go_along_the_group(mesh in any_mesh(), axis in any::<Index>()) {
        let names = names(&mesh);
        let axis = axis.get(&names);
        for group in mesh.groups(axis).unwrap() {
            for (index, &rank) in group.iter().enumerate() {
                let next = mesh.next(axis, rank).unwrap();
                prop_assert_eq!(next, group.get(index + 1).copied());
                if let Some(next) = next {
                    prop_assert_eq!(mesh.previous(axis, next).unwrap(), Some(rank));
                    prop_assert_eq!(mesh.next_in_ring(axis, rank).unwrap(), next);
                }
                let next = mesh.next_in_ring(axis, rank).unwrap();
                prop_assert_eq!(next, group[(index + 1) % group.len()]);
                prop_assert_eq!(mesh.previous_in_ring(axis, next).unwrap(), rank);
            }
            prop_assert_eq!(mesh.previous(axis, group[0]).unwrap(), None);
        }
    }

    #[test]
    fn a_sub_mesh_is_the_ranks_that_agree_on_the_other_axes(
        (mesh, rank) in (any_mesh(), any::<Index>()),
        (first, second) in any::<(Index, Index)>(),
    ) {
        let axes: Vec<Axis> = mesh.axes().map(|(axis, _)| axis.clone()).collect();
        let (first, second) = (first.index(axes.len()), second.index(axes.len()));
        prop_assume!(first != second);
        let rank = nth(&mesh, rank);
        let part = mesh.submesh(&[axes[first].clone(), axes[second].clone()], rank).unwrap();
        let own = mesh.coord_from_rank(rank).unwrap();
        for other in mesh.ranks() {
            let coord = mesh.coord_from_rank(other).unwrap();
            let mut fixed = (0..axes.len()).filter(|axis| ![first, second].contains(axis));
            let agrees = fixed.all(|axis| coord[axis] == own[axis]);
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

    #[test]
    fn expert_meshes_share_out_each_stage(
        (mesh, pp) in (any_mesh(), any::<Index>()),
        (ep, axis) in (1..10_usize, any::<bool>()),
    ) {
        let names = names(&mesh);
        let pp = pp.get(&names);
        let num_ranks = mesh.world_size() / mesh.size(pp).unwrap();
        let Ok(meshes) = mesh.expert_meshes(pp, ep) else {
            prop_assert!(!num_ranks.is_multiple_of(ep));
            return Ok(());
        };
        prop_assert_eq!(num_ranks % ep, 0);
        prop_assert_eq!(meshes.len(), mesh.size(pp).unwrap());
        for (stage, experts) in meshes.iter().enumerate() {
            let ranks: Vec<usize> = experts.ranks().collect();
            let is_here = |rank: &usize| mesh.index(pp, *rank).unwrap() == stage;
            prop_assert!(mesh.ranks().filter(is_here).eq(ranks.iter().copied()));
            prop_assert_eq!(experts.size(&Axis::EP).unwrap(), ep);
            for (position, &rank) in ranks.iter().enumerate() {
                prop_assert_eq!(&mesh.expert_mesh(pp, ep, rank).unwrap(), experts);
                let coord = experts.coord_from_rank(rank).unwrap();
                prop_assert_eq!(coord, [position / ep, position % ep]);
            }
            let axis = if axis { Axis::EP } else { Axis::EP_SHARD };
            prop_assert_eq!(sorted(experts.groups(&axis).unwrap().concat()), sorted(ranks));
        }
    }

    #[test]
    fn inferred_names_are_axes_that_share_nothing_with_the_pipeline(
        (mesh, pp) in (any_mesh(), any::<Index>()),
    ) {
        let in_mesh = names(&mesh);
        let pp = pp.get(&in_mesh);
        let names = AxisNames::infer(&mesh, pp, None).unwrap();
        prop_assert_eq!(&names.pp_axis_name, pp);
        let others = names.dp_axis_names.iter().chain(&names.cp_axis_name);
        for axis in others.chain(&names.tp_axis_name) {
            let rank = mesh.ranks().next().unwrap();
            prop_assert!(mesh.submesh(&[pp.clone(), axis.clone()], rank).is_ok(), "{}", axis);
        }
    }

    #[test]
    fn every_mesh_can_be_drawn_with_all_of_a_small_one_s_ranks(mesh in any_mesh()) {
        let drawing = mesh.to_string();
        let left_out = drawing.ends_with("left out\n");
        prop_assert_eq!(left_out, drawing.contains(".."));
        prop_assert!(drawing.lines().all(|line| line.trim_end() == line));
        if !left_out {
            let words: Vec<&str> = drawing.split_whitespace().collect();
            for rank in mesh.ranks() {
                prop_assert!(words.contains(&rank.to_string().as_str()), "{}: {}", rank, drawing);
            }
        }
    }
}
