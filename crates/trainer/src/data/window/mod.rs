//! What one optimiser step computes with, read before it is needed.

use super::{Batch, Loader, Position};
use crate::Error;
pub use feed::{Reader, feed};

mod feed;

/// How much one optimiser step takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowShape {
    /// Rows of each batch.
    pub batch_size: usize,
    /// Batches whose gradients are added up.
    pub num_batches: usize,
}

/// The batches of one optimiser step.
#[derive(Clone, Debug)]
pub struct Window {
    /// At least one.
    pub batches: Vec<Batch>,
    /// Where the next window starts.
    pub position: Position,
}

impl Window {
    /// Labels that count, of all batches: by how many the loss of the step is divided.
    pub fn num_label_tokens(&self) -> usize {
        self.batches.iter().map(Batch::num_label_tokens).sum()
    }
}

impl Loader {
    /// The next batches of this part, as many as one optimiser step takes.
    ///
    /// # Errors
    /// As [`next_batch`](Self::next_batch); the loader then stays where it was.
    pub fn next_window(&mut self, shape: WindowShape) -> Result<Window, Error> {
        let WindowShape { batch_size, num_batches } = shape;
        if num_batches == 0 {
            return Err(Error::Zero { name: "num_batches" });
        }
        let before = self.position();
        let batches: Result<Vec<Batch>, Error> =
            (0..num_batches).map(|_| self.next_batch(batch_size)).collect();
        match batches {
            Ok(batches) => {
                let position = self.position();
                Ok(Window { batches, position })
            }
            Err(error) => {
                self.go_to(&before);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
