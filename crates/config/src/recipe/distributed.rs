//! The section `distributed`: how many ranks there are of each kind, and the pipeline.

use super::{StepScheduler, pipeline};
use crate::{
    LossName, PipelineConfig,
    section::{Reported, Section, size},
};

/// How many ranks there are of each kind of parallelism, and how the pipeline works.
#[derive(Debug, Clone, PartialEq)]
pub struct Distributed {
    /// Ranks in the pipeline; 1 is no pipeline.
    pub pp_size: usize,
    /// Data-parallel ranks; `None` for as many as the others leave.
    pub dp_size: Option<usize>,
    /// Whole copies of the parameters among the data-parallel ranks.
    pub dp_replicate_size: usize,
    /// Context-parallel ranks.
    pub cp_size: usize,
    /// Tensor-parallel ranks.
    pub tp_size: usize,
    /// How the pipeline is scheduled and split; there if and only if `pp_size` is greater than 1.
    pub pipeline: Option<PipelineConfig>,
}

impl Distributed {
    pub(super) fn read(
        mut section: Section<'_>,
        steps: Option<&StepScheduler>,
        loss_fn: LossName,
    ) -> Result<Self, Reported> {
        let pp_size = section.or("pp_size", 1, size);
        let dp_size = section.optional("dp_size", size);
        let dp_replicate_size = section.or("dp_replicate_size", 1, size);
        let cp_size = section.or("cp_size", 1, size);
        let tp_size = section.or("tp_size", 1, size);
        for (key, size) in [
            ("dp_size", dp_size.map(|size| size.unwrap_or(1))),
            ("dp_replicate_size", dp_replicate_size),
            ("cp_size", cp_size),
            ("tp_size", tp_size),
        ] {
            if let Ok(size @ 2..) = size {
                let message = format!("{size} has no effect yet");
                section.refuse(
                    key,
                    message,
                    "only `pp_size` can be greater than 1; leave this out",
                );
            }
        }

        let has_pipeline = section.has("pipeline");
        let pipeline = section.section("pipeline").map(|mut options| {
            let config = pipeline::read(&mut options);
            (has_pipeline && pp_size.is_ok_and(|size| size > 1))
                .then(|| pipeline::agree(config, &options, steps, loss_fn))
        });
        match (pp_size, has_pipeline) {
            (Ok(size @ 2..), false) => {
                let message = format!("a pipeline of {size} ranks needs a section `pipeline`");
                section.refuse("pp_size", message, "add `pipeline: {}` for the defaults");
            }
            (Ok(..2), true) => {
                let help = "set `pp_size` to the number of ranks in the pipeline";
                section.warn("pipeline", "the section has no effect with `pp_size: 1`", help);
            }
            (Ok(_) | Err(_), _) => {}
        }
        section.finish();

        Ok(Distributed {
            pp_size: pp_size?,
            dp_size: dp_size?,
            dp_replicate_size: dp_replicate_size?,
            cp_size: cp_size?,
            tp_size: tp_size?,
            pipeline: pipeline?,
        })
    }
}
