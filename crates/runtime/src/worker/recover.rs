//! The way back from a failed step: everything of it is forgotten, on all ranks together.

use super::Worker;
use crate::communicator::Reduction;
use crate::error::{among, communication};
use crate::{Error, Place, StepPart};

/// What a recovery left of the gradients, the same on all ranks of the pipeline.
#[must_use = "gradients that were cleared have to be accumulated again"]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// No training step was under way: gradients are as they were.
    GradientsKept,
    /// A training step was under way and half its gradients were added. They cannot be told from
    /// those of the steps before, so all are gone: take the steps since the last update again.
    GradientsCleared,
}

impl Worker {
    /// Makes the pipeline usable again after a step that failed, on this rank or another: messages
    /// under way are dropped, stages forget their microbatches, and if the step was a training step,
    /// all gradients are cleared on all ranks of the pipeline. Parameters are not touched, and the
    /// count of the steps goes on.
    ///
    /// All ranks have to call it, and it waits for them. It concerns the whole world: where the
    /// pipeline is one of several in it, so do the ranks of the others. Replicas, those that share
    /// parameters, and tensor-parallel ranks answer for their gradients together, others each for its
    /// own.
    ///
    /// # Errors
    /// If the communicator has no way back, a rank has ended, or not all ranks come in time: the
    /// pipeline stays unusable.
    pub fn recover(&mut self) -> Result<Recovered, Error> {
        self.forget();
        self.comm.reset()?;
        let spoilt = self.failed.as_ref().is_some_and(|failed| failed.spoilt);
        let place = Place { step: self.num_steps, part: StepPart::Recovery };
        // A rank may have finished a step in which another failed, or none.
        #[expect(clippy::cast_precision_loss, reason = "a billion steps a second take 100 days")]
        let mine = [f64::from(u8::from(spoilt)), self.num_steps as f64];
        let most = self.guarded(place, |worker| {
            // What one pipeline has lost, the sums of the others lack, and those that share parameters
            // or cut them have parts of each other's gradients.
            let mut most = mine.to_vec();
            for (comm, _) in worker.peers() {
                let all = comm.all_reduce(&most, Reduction::Max);
                most = all.map_err(|error| among(comm, error))?;
            }
            worker.comm.all_reduce(&most, Reduction::Max).map_err(communication)
        });
        let most = most.inspect_err(|error| self.note_failure(error, spoilt))?;
        self.failed = None;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
        let num_steps = most[1] as usize;
        self.num_steps = num_steps;
        if most[0] == 0.0 {
            return Ok(Recovered::GradientsKept);
        }
        self.zero_grad();
        Ok(Recovered::GradientsCleared)
    }
}
