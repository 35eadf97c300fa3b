//! What was measured or compared, as the lines of a report.

use autopipe::splitter::with_commas;
use autopipe_trainer::bench::{Model, Weights};

use crate::schedule::figures::counted;

/// The model, in a line.
pub(crate) fn model_row(model: &Model, dtype: &str) -> [String; 2] {
    let weights = match model.weights {
        Weights::Checkpoint => "weights from a checkpoint",
        Weights::Random => "random weights",
    };
    [
        "model".to_owned(),
        format!(
            "{}, {}, {} parameters in {dtype}, {weights}",
            model.model_type,
            counted(model.num_layers, "layer"),
            with_commas(model.num_parameters),
        ),
    ]
}

/// The modules of each stage, a line for each.
pub(crate) fn stage_rows(stages: &[Vec<String>]) -> impl Iterator<Item = [String; 2]> {
    stages.iter().enumerate().map(|(stage, modules)| {
        let name = if stage == 0 { "stages" } else { "" };
        [name.to_owned(), format!("{stage}: {}", modules.join(", "))]
    })
}

/// `1 microbatch`, `2 microbatches`.
pub(crate) fn microbatches(num: usize) -> String {
    if num == 1 { "1 microbatch".to_owned() } else { format!("{num} microbatches") }
}
