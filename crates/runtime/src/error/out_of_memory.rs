//! A GPU has too little memory: the one error of a tensor operation with a way out.

use candle_core::Error;

use crate::device::is_out_of_memory;

/// A GPU had too little memory for what a tensor operation makes.
#[derive(Debug, thiserror::Error)]
#[error(
    "{source}: the GPU has too little memory; lower `pp_microbatch_size`, set `activation_checkpointing`, or \
     use more stages on more ranks; `autopipe plan` says what each rank needs"
)]
pub struct OutOfMemory {
    // In a box, as every result is as large as the largest error.
    source: Box<Error>,
}

impl OutOfMemory {
    /// What an error of a tensor operation is, if it is that.
    ///
    /// # Errors
    /// The error itself, if it is another.
    pub fn of(error: Error) -> Result<Self, Error> {
        match error {
            // It would be printed in the midst of the message.
            Error::WithBacktrace { inner, .. } if is_out_of_memory(&inner) => Self::of(*inner),
            source if is_out_of_memory(&source) => Ok(Self { source: Box::new(source) }),
            other => Err(other),
        }
    }
}
