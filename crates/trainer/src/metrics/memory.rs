//! How much memory the ranks of a step held.

use autopipe::communicator::Reduction;
use autopipe::memory::Account;
use autopipe::schedule::Span;
use autopipe::{Communicator, gpu_peak, restart_gpu_peak};
use candle_core::Device;

use crate::Error;
use crate::device::cuda;

/// By rank, the most bytes held since the last call of this on the rank: weights, gradients,
/// moments, activations. All ranks call it at the end of a step, each with its own row of the timeline
/// if it was measured, for measuring starts the count anew at every action. Empty if the program's
/// allocator counts nothing ([`CountingAllocator`](autopipe::memory::CountingAllocator)).
///
/// Of a rank whose `device` is a GPU, the GPU's memory; of several ranks of a process that share one,
/// what they have of it together.
///
/// # Errors
/// If another rank has failed.
pub fn peak_memory(
    world: &dyn Communicator,
    device: &Device,
    measured: &[Span],
) -> Result<Vec<u64>, Error> {
    let account = Account::of_thread();
    let of_gpu = gpu_peak(device).map_err(cuda)?;
    let (mine, measured) = match of_gpu {
        Some(bytes) => (Some(bytes), &[][..]),
        None => (account.and_then(Account::peak), measured),
    };
    if let Some(account) = account {
        account.restart_peak();
    }
    // Of a rank without a count the sum knows nothing, so that the last figure tells how many count.
    let mut figures = vec![0.0; world.size() + 1];
    if let Some(bytes) = mine {
        let held = measured.iter().filter_map(|span| span.held).map(|held| held.peak);
        figures[world.rank()] = held.fold(float(bytes), f64::max);
        figures[world.size()] = 1.0;
    }
    let mut figures = world.all_reduce(&figures, Reduction::Sum).map_err(autopipe::Error::from)?;
    // Whoever shares a GPU has looked: all have taken part.
    restart_gpu_peak(device).map_err(cuda)?;
    let num_counting = figures.pop().unwrap_or(0.0);
    if num_counting < float(world.size() as u64) {
        return Ok(Vec::new());
    }
    Ok(figures.into_iter().map(whole).collect())
}

#[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
fn float(bytes: u64) -> f64 {
    bytes as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count of bytes, which a float holds exactly"
)]
fn whole(bytes: f64) -> u64 {
    bytes as u64
}
