//! The section `metrics`: what is measured of a run, and where it is written.

use crate::section::{Flag, Kind as _, Positive, Section, Size, section};

section! {
    /// What is measured of a run, and where it is written besides `metrics.jsonl`.
    #[derive(Debug, Clone, Copy, PartialEq)]
    pub struct Metrics {
        /// Whether event files for TensorBoard are written.
        tensorboard: bool = Flag.or(true),
        /// Steps from one whose actions are measured to the next, which tells the bubble; the last
        /// one is measured in any case.
        measure_every_steps: usize = Size.or(10_usize),
        /// What one rank could compute at most, in 10^12 operations per second: what the utilisation
        /// is measured by.
        peak_tflops: Option<f64> = Positive.optional(),
    }
}

impl Draft {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Draft::keys(section)
    }
}
