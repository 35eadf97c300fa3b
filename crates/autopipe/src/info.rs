//! What a pipeline is once it is built.

/// The state of a pipeline on this rank, after the original's class of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PipelineInfo {
    /// Whether the pipeline is built.
    pub enabled: bool,
    /// The schedule: torch's class name, or `CSV` for a table.
    pub schedule: Option<String>,
    /// Whether a stage of this rank is the pipeline's first.
    pub has_first_stage: bool,
    /// Whether a stage of this rank is the pipeline's last.
    pub has_last_stage: bool,
    /// The stages of this rank, in the order of [`AutoPipeline::parts`](crate::AutoPipeline::parts).
    pub stages: Vec<usize>,
    /// How many stages the pipeline has.
    pub num_stages: usize,
    /// How many microbatches a step has.
    pub num_microbatches: usize,
}
