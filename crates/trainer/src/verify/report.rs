//! What has been compared and how it came out, for programs and for whoever prints it.

use autopipe_config::ActivationCheckpointing;
use serde::Serialize;

use super::{Comparison, Difference, Missing, Schedule, Setup};
use crate::bench::Model;

/// The verdict, its figures, and what they are figures of.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Whether split and unsplit model compute the same: no gradient is missing, and neither the
    /// loss nor any gradient differs by more than `tolerance`. What is no number agrees with nothing.
    pub agrees: bool,
    /// By how much they may differ.
    pub tolerance: f64,
    /// The split model's loss, in nats per label.
    pub loss: f64,
    /// The unsplit model's.
    pub loss_unsplit: f64,
    /// `|loss - loss_unsplit| / |loss_unsplit|`; 0 where both are 0.
    pub loss_rel_diff: f64,
    /// The norm of all gradients of the split model.
    pub grad_norm: f64,
    /// The norm of all gradients of the unsplit model.
    pub grad_norm_unsplit: f64,
    /// The greatest relative difference of a gradient, [`Difference::rel_diff`].
    pub max_rel_grad_diff: f64,
    /// The parameter that has it.
    pub worst_parameter: Option<String>,
    /// The gradients that differ by more than `tolerance`, the worst first.
    pub differing: Vec<Difference>,
    /// The gradients that only one of the two has.
    pub missing: Vec<Missing>,
    /// How many gradients were compared, copies included.
    pub num_gradients: usize,
    /// The model.
    pub model: Model,
    /// Weights of all stages.
    pub num_parameters: usize,
    /// How many of them training would change.
    pub num_trainable: usize,
    /// The folder of the adapters, if there are any.
    pub adapter: Option<String>,
    /// Which layers were computed again for their backward: `false`, `"full"` or every so many.
    pub recompute: ActivationCheckpointing,
    /// The type of weights and activations.
    pub dtype: &'static str,
    /// torch's class name of the schedule or, where torch has none, its name; `CSV` for a table.
    pub schedule: String,
    /// Pipeline ranks.
    pub pp_size: usize,
    /// Stages of the whole pipeline.
    pub num_stages: usize,
    /// How layers were shared out over them.
    pub split: String,
    /// The modules of each stage, in few words.
    pub stages: Vec<Vec<String>>,
    /// The file of the batch, if it is not random.
    pub batch: Option<String>,
    /// Samples of the batch.
    pub batch_size: usize,
    /// Tokens of a sample.
    pub seq_len: usize,
    /// Labels that count.
    pub num_labels: usize,
    /// Microbatches that the batch was cut into.
    pub num_microbatches: usize,
    /// Threads that each rank computed with.
    pub threads_per_rank: usize,
}

impl Report {
    /// `losses` are the unsplit one and the split one.
    pub(super) fn new(
        setup: &Setup<'_>,
        threads_per_rank: usize,
        losses: [f64; 2],
        comparison: Comparison,
    ) -> Self {
        let Setup { options, plan, model, batch, .. } = setup;
        let [loss_unsplit, loss] = losses;
        let distance = (loss - loss_unsplit).abs();
        let loss_rel_diff = if distance == 0.0 { 0.0 } else { distance / loss_unsplit.abs() };
        let Comparison { norm_unsplit, norm_split, differences, missing } = comparison;
        let worst = differences.first();
        let max_rel_grad_diff = worst.map_or(0.0, |worst| worst.rel_diff);
        let worst_parameter = worst.map(|worst| worst.parameter.clone());
        let tolerance = options.tolerance;
        let num_gradients = differences.len();
        let is_past = |found: &Difference| !is_within(found.rel_diff, tolerance);
        let differing: Vec<Difference> = differences.into_iter().filter(is_past).collect();
        let graph = model.as_model().graph();
        let model = Model::of(model);
        Self {
            agrees: is_within(loss_rel_diff, tolerance)
                && differing.is_empty()
                && missing.is_empty(),
            tolerance,
            loss,
            loss_unsplit,
            loss_rel_diff,
            grad_norm: norm_split,
            grad_norm_unsplit: norm_unsplit,
            max_rel_grad_diff,
            worst_parameter,
            differing,
            missing,
            num_gradients,
            num_parameters: model.num_parameters,
            num_trainable: graph.modules().map(|module| module.num_trainable()).sum(),
            adapter: options.adapter.as_ref().map(|path| path.display().to_string()),
            recompute: options.recompute,
            model,
            dtype: options.dtype.as_str(),
            schedule: match &options.schedule {
                Schedule::Named { kind, .. } => kind.class_name().unwrap_or(kind.name()).to_owned(),
                Schedule::Table { .. } => plan.schedule.clone(),
            },
            pp_size: options.pp_size,
            num_stages: plan.partition.num_stages(),
            split: options.split.to_string(),
            stages: plan.partition.stages().iter().map(|stage| stage.module_runs()).collect(),
            batch: batch.file.as_ref().map(|path| path.display().to_string()),
            batch_size: batch.batch_size,
            seq_len: batch.seq_len,
            num_labels: batch.num_labels,
            num_microbatches: plan.table.num_microbatches(),
            threads_per_rank,
        }
    }

    /// Whether the losses differ by no more than `tolerance`.
    pub fn loss_agrees(&self) -> bool {
        is_within(self.loss_rel_diff, self.tolerance)
    }
}

/// No NaN is.
fn is_within(difference: f64, tolerance: f64) -> bool {
    difference <= tolerance
}
