//! Tests of the sizes of a training run.

use super::MeshSizes;
use crate::{Axis, DeviceMesh, Error};

const ONE: MeshSizes = MeshSizes { pp: 1, dp_replicate: 1, dp: None, cp: 1, tp: 1, ep: 1 };

fn sizes_of(world_size: usize, sizes: &MeshSizes) -> Vec<usize> {
    let mesh = DeviceMesh::for_training(world_size, sizes).unwrap();
    assert!(mesh.axes().map(|(axis, _)| axis).eq(&[
        Axis::PP,
        Axis::DP_REPLICATE,
        Axis::DP_SHARD,
        Axis::CP,
        Axis::TP
    ]));
    mesh.axes().map(|(_, size)| size).collect()
}

fn refusal(world_size: usize, sizes: &MeshSizes) -> String {
    DeviceMesh::for_training(world_size, sizes).unwrap_err().to_string()
}

#[test]
fn what_the_others_leave_is_data_parallel() {
    assert_eq!(sizes_of(1, &ONE), [1, 1, 1, 1, 1]);
    assert_eq!(sizes_of(8, &ONE), [1, 1, 8, 1, 1]);
    assert_eq!(sizes_of(8, &MeshSizes { pp: 2, tp: 2, ..ONE }), [2, 1, 2, 1, 2]);
    assert_eq!(sizes_of(24, &MeshSizes { cp: 3, dp_replicate: 2, ..ONE }), [1, 2, 4, 3, 1]);
}

#[test]
fn a_given_data_parallel_size_is_shared_out_over_the_replicas() {
    let sizes = MeshSizes { pp: 2, dp: Some(4), dp_replicate: 2, ..ONE };
    assert_eq!(sizes_of(8, &sizes), [2, 2, 2, 1, 1]);
    assert_eq!(sizes_of(2, &MeshSizes { pp: 2, dp: Some(1), ..ONE }), [2, 1, 1, 1, 1]);
}

#[test]
fn ranks_that_cannot_be_shared_out_are_refused() {
    assert_eq!(
        refusal(8, &MeshSizes { pp: 3, ..ONE }),
        "8 ranks cannot be shared out over pp 3 x cp 1 x tp 1 evenly"
    );
    assert_eq!(
        refusal(8, &MeshSizes { pp: 2, dp: Some(2), ..ONE }),
        "pp 2 x dp 2 x cp 1 x tp 1 does not make 8 ranks; leave dp out to have it inferred"
    );
}

#[test]
fn replicas_divide_the_data_parallel_ranks() {
    assert_eq!(
        refusal(8, &MeshSizes { dp_replicate: 3, ..ONE }),
        "dp 8 is not a multiple of dp_replicate 3"
    );
    // Plain data parallelism: whole copies everywhere, nothing is sharded.
    let mesh = DeviceMesh::for_training(8, &MeshSizes { dp_replicate: 8, ..ONE }).unwrap();
    assert_eq!(mesh.size(&Axis::DP_REPLICATE).unwrap(), 8);
    assert_eq!(mesh.size(&Axis::DP_SHARD).unwrap(), 1);
    assert_eq!(
        refusal(8, &MeshSizes { dp_replicate: 16, ..ONE }),
        "dp 8 is not a multiple of dp_replicate 16"
    );
}

#[test]
fn experts_take_a_divisor_of_the_ranks_of_a_stage() {
    for ep in [1, 2, 4] {
        assert_eq!(sizes_of(8, &MeshSizes { pp: 2, tp: 2, ep, ..ONE }), [2, 1, 2, 1, 2]);
    }
    for ep in [3, 8, usize::MAX] {
        let message = format!(
            "ep {ep} does not divide the 4 ranks of each pipeline stage; take a divisor of 4"
        );
        assert_eq!(refusal(8, &MeshSizes { pp: 2, ep, ..ONE }), message);
    }
    // Where the stages have no number of ranks yet, there is nothing to say about experts.
    assert_eq!(
        refusal(8, &MeshSizes { pp: 3, ep: 5, ..ONE }),
        "8 ranks cannot be shared out over pp 3 x cp 1 x tp 1 evenly"
    );
}

#[test]
fn several_problems_come_in_one_error() {
    let sizes = MeshSizes { pp: 0, dp: Some(0), tp: 0, ep: 0, ..ONE };
    assert_eq!(
        refusal(0, &sizes),
        "the world has 0 ranks, a mesh needs at least 1; \
         axis `pp` has size 0, the smallest is 1; \
         axis `dp` has size 0, the smallest is 1; \
         axis `tp` has size 0, the smallest is 1; \
         axis `ep` has size 0, the smallest is 1"
    );
    let sizes = MeshSizes { pp: 2, dp: Some(3), dp_replicate: 2, ep: 3, ..ONE };
    let Err(Error::Impossible(problems)) = DeviceMesh::for_training(8, &sizes) else {
        panic!("{sizes:?}")
    };
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn no_size_overflows() {
    let huge = MeshSizes { pp: usize::MAX, cp: usize::MAX, tp: 2, dp: None, ..ONE };
    assert!(refusal(8, &huge).starts_with("8 ranks cannot be shared out"));
    assert!(refusal(8, &MeshSizes { dp: Some(usize::MAX), ..huge }).contains("does not make 8"));
    assert!(refusal(usize::MAX, &ONE).contains("is more than the 1048576 ranks a mesh can have"));
}
