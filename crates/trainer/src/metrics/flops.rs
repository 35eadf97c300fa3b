//! The operations that a model needs for a step, whatever a schedule makes of them.

use autopipe::splitter::{BatchShape, Partition};

/// The floating-point operations that the model needs to learn from one batch of this shape, by its
/// graph; none if the graph names none. A step's are those of its batches together.
///
/// ```text
/// forward                  f
/// gradients of inputs      f + a          a: attention's part of f, two products for each of its
/// gradients of weights     t (f - a)      t: the trained part of the parameters
/// ```
///
/// With all parameters trained this is three times the forward. What is computed again, to save
/// memory or because a backward is split, does not count; so the figure is the same for every schedule.
/// Stages before the first with trained parameters have no backward.
pub fn model_flops(partition: &Partition, batch: BatchShape) -> f64 {
    let trained_from = partition.trained_from().unwrap_or(partition.num_stages());
    let of_stage = |(index, stage): (usize, &autopipe::splitter::StageModules)| {
        let (forward, attention) = (stage.flops(batch), stage.attention_flops(batch));
        if index < trained_from {
            return forward;
        }
        let trained = float(stage.num_trainable()) / float(stage.num_parameters().max(1));
        2.0 * forward + attention + trained * (forward - attention)
    };
    partition.stages().iter().enumerate().map(of_stage).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a share is no different at the 16th digit")]
fn float(count: usize) -> f64 {
    count as f64
}
