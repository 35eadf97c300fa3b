//! What a run reports: one record per step and per evaluation, written as JSON lines, and events for
//! an observer.

mod event;
mod flops;
mod memory;
mod record;
#[cfg(test)]
mod tests;
mod writer;

pub use event::Event;
pub use flops::model_flops;
pub use memory::peak_memory;
pub use record::{EvalRecord, StepRecord};
pub use writer::MetricsWriter;
