//! Tests of what axes are for.

use super::AxisNames;
use crate::{Axis, DeviceMesh, Error, MeshSizes};

fn inferred<const N: usize>(axes: [(&'static str, usize); N], pp: &'static str) -> AxisNames {
    let mesh = DeviceMesh::new(axes).unwrap();
    AxisNames::infer(&mesh, &Axis::from(pp), None).unwrap()
}

/// The names of a mesh that has the pipeline's axis and no other of a known name.
fn alone(pp: &'static str) -> AxisNames {
    let pp_axis_name = Axis::from(pp);
    AxisNames { pp_axis_name, dp_axis_names: Vec::new(), ..AxisNames::default() }
}

#[test]
fn a_training_run_has_all_but_experts() {
    let mesh = DeviceMesh::for_training(1, &MeshSizes::default()).unwrap();
    let names = AxisNames::infer(&mesh, &Axis::PP, None).unwrap();
    let expected = AxisNames {
        pp_axis_name: Axis::PP,
        dp_axis_names: vec![Axis::DP_REPLICATE, Axis::DP_SHARD_CP],
        cp_axis_name: Some(Axis::CP),
        tp_axis_name: Some(Axis::TP),
        ep_axis_name: None,
        ep_shard_axis_names: None,
    };
    assert_eq!(names, expected);

    let experts = mesh.expert_mesh(&Axis::PP, 1, 0).unwrap();
    let names = AxisNames::infer(&mesh, &Axis::PP, Some(&experts)).unwrap();
    let (ep_axis_name, ep_shard_axis_names) = (Some(Axis::EP), Some(vec![Axis::EP_SHARD]));
    assert_eq!(names, AxisNames { ep_axis_name, ep_shard_axis_names, ..expected });
}

#[test]
fn a_pipeline_alone_names_nothing_else() {
    assert_eq!(inferred([("pp", 2)], "pp"), alone("pp"));
    assert_eq!(inferred([("rows", 2), ("stage", 2)], "stage"), alone("stage"));
}

#[test]
fn data_parallel_is_what_the_mesh_has_of_it() {
    let dp = |axis: &'static str| inferred([("pp", 2), (axis, 2)], "pp").dp_axis_names;
    for axis in ["dp", "dp_shard", "dp_replicate", "dp_shard_cp", "dp_cp"] {
        assert_eq!(dp(axis), [Axis::from(axis)]);
    }
    let names = inferred([("dp_replicate", 2), ("dp_shard", 2), ("pp", 2)], "pp");
    assert_eq!(names.dp_axis_names, [Axis::DP_REPLICATE, Axis::DP_SHARD]);
    let names = inferred([("dp_shard", 2), ("cp", 2), ("pp", 2)], "pp");
    assert_eq!(names.dp_axis_names, [Axis::DP_SHARD_CP]);
    assert_eq!(names.cp_axis_name, Some(Axis::CP));
}

#[test]
fn the_pipeline_s_axis_serves_nothing_else() {
    assert_eq!(inferred([("tp", 2)], "tp"), alone("tp"));
    let names = inferred([("dp_replicate", 2), ("dp_shard", 2), ("cp", 2)], "dp_shard");
    assert_eq!(names.dp_axis_names, [Axis::DP_REPLICATE]);
    let names = inferred([("dp_replicate", 2), ("dp_shard", 2), ("cp", 2)], "dp");
    assert_eq!((names.dp_axis_names, names.cp_axis_name), (Vec::new(), Some(Axis::CP)));
}

#[test]
fn a_pipeline_axis_that_is_missing_comes_with_those_that_are_there() {
    let mesh = DeviceMesh::new([("dp", 2), ("stage", 4)]).unwrap();
    let error = AxisNames::infer(&mesh, &Axis::PP, None).unwrap_err();
    let axes = vec![Axis::DP, Axis::from("stage")];
    assert_eq!(error, Error::NoPipelineAxis { axis: Axis::PP, axes });
}

#[test]
fn an_expert_mesh_has_the_axis_ep() {
    let mesh = DeviceMesh::new([("pp", 2), ("dp", 2)]).unwrap();
    let error = AxisNames::infer(&mesh, &Axis::PP, Some(&mesh)).unwrap_err();
    let axes = vec![Axis::PP, Axis::DP];
    assert_eq!(error, Error::UnknownAxis { axis: Axis::EP, axes });
    let experts = DeviceMesh::new([("ep", 2)]).unwrap();
    let names = AxisNames::infer(&mesh, &Axis::PP, Some(&experts)).unwrap();
    assert_eq!((names.ep_axis_name, names.ep_shard_axis_names), (Some(Axis::EP), None));
}
