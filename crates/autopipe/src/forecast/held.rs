//! The bytes that parameters, their gradients and an optimiser's state take on a rank.

use std::collections::BTreeSet;

use autopipe_schedule::lower::Sharding;
use autopipe_splitter::Partition;

use super::{ParameterBytes, Workload, float};

/// Bytes of a rank's stages.
pub(super) struct Held {
    pub(super) weights: f64,
    pub(super) gathered: f64,
    pub(super) gradients: f64,
    pub(super) optimizer: f64,
}

/// What a stage has of numbers that are trained.
struct Numbers {
    /// What other stages have as well, which is never shared out.
    tied: f64,
    shared: f64,
}

/// What a rank holds of its stages.
pub(super) fn of_rank(partition: &Partition, stages: &[usize], workload: &Workload) -> Held {
    let ParameterBytes { weight, gradient, optimizer } = workload.parameter_bytes;
    let [weight, gradient, optimizer] = [weight, gradient, optimizer].map(float);
    let shards = workload.shards;
    let among = |ranks: usize| float(ranks.max(1));
    // Among tensor-parallel ranks everything is cut, and nothing is ever put together.
    let cut = among(shards.layer);
    let each: Vec<Numbers> = stages.iter().map(|&stage| numbers(partition, stage)).collect();
    let sum = |of: fn(&Numbers) -> f64| each.iter().map(of).sum::<f64>();
    let (tied, shared) = (sum(|numbers| numbers.tied), sum(|numbers| numbers.shared));
    let all: usize = stages.iter().map(|&s| partition.stages()[s].num_parameters()).sum();
    let frozen = float(all) - tied - shared;

    let mut largest: Vec<f64> = each.iter().map(|numbers| numbers.shared / cut).collect();
    largest.sort_by(|a, b| b.total_cmp(a));
    let is_gathered = shards.weights > shards.layer;
    let gathered = if is_gathered {
        largest.iter().take(Sharding::TORCH.max_active_stages).sum::<f64>() * weight
    } else {
        0.0
    };
    // Before it is summed, a stage's gradient is whole.
    let is_summed_early = is_gathered && shards.gradients > shards.layer;
    let whole = if is_summed_early { largest.first().copied().unwrap_or(0.0) } else { 0.0 };
    Held {
        weights: ((frozen + tied) / cut + shared / among(shards.weights)) * weight,
        gathered,
        gradients: (tied / cut + shared / among(shards.gradients) + whole) * gradient,
        optimizer: (tied / cut + shared / among(shards.optimizer)) * optimizer,
    }
}

fn numbers(partition: &Partition, stage: usize) -> Numbers {
    // A stage has a tensor once, however many of its modules share it.
    let mut seen = BTreeSet::new();
    let tied: usize = partition
        .tied()
        .iter()
        .filter(|tied| tied.is_trained && (tied.stage == stage || tied.owner_stage == stage))
        .filter(|tied| seen.insert(&tied.owner))
        .map(|tied| tied.num_elements)
        .sum();
    let trained = partition.stages()[stage].num_trainable();
    Numbers { tied: float(tied), shared: float(trained.saturating_sub(tied)) }
}
