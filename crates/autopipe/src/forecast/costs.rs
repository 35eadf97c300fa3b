//! From the operations of stages to the costs that the simulator takes.

use autopipe_schedule::{CostKey, Costs, PerStage};
use autopipe_splitter::{Partition, Routes};

use super::{Shards, Workload};

/// How many times a forward's operations the gradients of attention take: the scores once more, and
/// two products for each of theirs.
const ATTENTION_BACKWARD: f64 = 2.5;

pub(super) struct StageCosts {
    /// In units of `unit`, so that no number is beyond what the simulator takes.
    pub(super) scaled: Costs,
    /// By stage, forward and backward of one microbatch.
    pub(super) times: Vec<f64>,
    /// By stage, what it sends on with each microbatch.
    pub(super) message_bytes: Vec<f64>,
    /// What 1 of the simulator's time is.
    pub(super) unit: f64,
}

/// The time of forward and backward together, of so many operations of which some are attention's.
pub(crate) fn time(flops: f64, attention: f64) -> f64 {
    let [forward, input, weight] = times(flops, attention);
    forward + input + weight
}

/// The times of a forward and of both halves of its backward.
fn times(flops: f64, attention: f64) -> [f64; 3] {
    let with_weights = flops - attention;
    [flops, with_weights + ATTENTION_BACKWARD * attention, with_weights]
}

/// What a stage keeps of a microbatch for its backward, if it has one.
pub(super) fn activation_bytes(partition: &Partition, stage: usize, workload: &Workload) -> f64 {
    if stage < partition.trained_from().unwrap_or(0) {
        return 0.0;
    }
    let Shards { layer, sequence, .. } = workload.shards;
    let stage = &partition.stages()[stage];
    stage.activation_bytes_among(layer, workload.microbatch) / super::float(sequence.max(1))
}

pub(super) fn costs(partition: &Partition, routes: &Routes, workload: &Workload) -> StageCosts {
    let shape = workload.microbatch;
    let shards = workload.shards;
    let per_second = workload.speed.map_or(1.0, |speed| speed.flops) * shards.of_layers();
    let (mut forward, mut input, mut weight) = (Vec::new(), Vec::new(), Vec::new());
    let trained_from = partition.trained_from().unwrap_or(0);
    for (index, stage) in partition.stages().iter().enumerate() {
        let [f, mut i, mut w] =
            times(stage.flops(shape), stage.attention_flops(shape)).map(|time| time / per_second);
        if index < trained_from {
            (i, w) = (0.0, 0.0);
        }
        forward.push(f);
        input.push(i);
        weight.push(w);
    }
    let times: Vec<f64> = (0..forward.len()).map(|s| forward[s] + input[s] + weight[s]).collect();
    let boundaries = routes.boundaries().iter();
    let mut message_bytes: Vec<f64> = boundaries
        .map(|tensors| {
            let bytes: f64 = tensors.iter().map(|routed| routed.tensor.num_bytes(shape)).sum();
            bytes / super::float(shards.sequence.max(1))
        })
        .collect();
    let activations: Vec<f64> =
        (0..times.len()).map(|stage| activation_bytes(partition, stage, workload)).collect();

    let largest = times.iter().copied().fold(0.0, f64::max);
    // A power of two, so that nothing is rounded on the way there and back.
    let unit = if largest > 0.0 { largest.log2().floor().exp2() } else { 1.0 };
    let scaled = |values: Vec<f64>| -> PerStage {
        values.into_iter().map(|value| value / unit).collect::<Vec<_>>().into()
    };
    let mut given = vec![(CostKey::ActivationBytes, PerStage::from(activations))];
    // A model that tells no operations is one of equal stages.
    if largest > 0.0 {
        given.push((CostKey::Forward, scaled(forward)));
        given.push((CostKey::BackwardInput, scaled(input)));
        given.push((CostKey::BackwardWeight, scaled(weight)));
    }
    if let Some(bandwidth) = workload.speed.and_then(|speed| speed.bandwidth)
        && !message_bytes.is_empty()
    {
        given.push((CostKey::MessageBytes, message_bytes.clone().into()));
        given.push((CostKey::Bandwidth, (bandwidth * unit).into()));
    }
    let costs =
        given.into_iter().try_fold(Costs::UNIT, |costs, (key, value)| costs.with(key, value));
    message_bytes.push(0.0); // behind the last stage
    StageCosts {
        // What is beyond the simulator's numbers is beyond any machine as well.
        scaled: costs.unwrap_or(Costs::UNIT),
        times,
        message_bytes,
        unit,
    }
}
