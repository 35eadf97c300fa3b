//! Tests of axis names.

use super::Axis;

#[test]
fn a_static_and_an_owned_name_are_the_same_axis() {
    assert_eq!(Axis::from(String::from("dp_shard")), Axis::DP_SHARD);
    assert_eq!(Axis::TP.to_string(), "tp");
}

#[test]
fn only_the_three_data_parallel_views_are_flattened() {
    for axis in [Axis::PP, Axis::DP_REPLICATE, Axis::DP_SHARD, Axis::CP, Axis::TP, Axis::EP] {
        assert!(axis.flattens().is_empty(), "{axis}");
    }
    assert_eq!(Axis::DP.flattens(), [Axis::DP_REPLICATE, Axis::DP_SHARD]);
    assert_eq!(Axis::DP_SHARD_CP.flattens(), [Axis::DP_SHARD, Axis::CP]);
    assert_eq!(Axis::DP_CP.flattens(), [Axis::DP_REPLICATE, Axis::DP_SHARD, Axis::CP]);
}
