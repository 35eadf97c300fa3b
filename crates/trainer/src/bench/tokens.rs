//! Batches of random tokens, the same for a seed and a step on every rank and machine.

use candle_core::{Device, Tensor};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::Setup;
use crate::Error;
use crate::data::Batch;

/// Sequences in which every token is as likely as every other; the label of each is the next.
pub(super) fn batch(setup: &Setup<'_>, step: usize) -> Result<Batch, Error> {
    let (batch_size, seq_len) = (setup.options.batch_size, setup.options.seq_len);
    let too_large = || Error::BatchTooLarge { batch_size, seq_len };
    let mut input_ids: Vec<u32> = Vec::new();
    let mut labels: Vec<i64> = Vec::new();
    input_ids.try_reserve_exact(setup.tokens_per_step).map_err(|_| too_large())?;
    labels.try_reserve_exact(setup.tokens_per_step).map_err(|_| too_large())?;

    let mut key = [0; 32];
    key[..8].copy_from_slice(&setup.options.seed.to_le_bytes());
    key[8..16].copy_from_slice(&(step as u64).to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    let vocab_size = setup.model.vocab_size();
    for _ in 0..batch_size {
        let mut token = draw(&mut rng, vocab_size);
        for _ in 0..seq_len {
            input_ids.push(token);
            token = draw(&mut rng, vocab_size);
            labels.push(i64::from(token));
        }
    }
    Ok(Batch {
        input_ids: Tensor::from_vec(input_ids, (batch_size, seq_len), &Device::Cpu)?,
        labels: Tensor::from_vec(labels, (batch_size, seq_len), &Device::Cpu)?,
    })
}

/// A number below `len`, which a model's config keeps below 2^32.
fn draw(rng: &mut ChaCha8Rng, len: usize) -> u32 {
    // The upper half of a product of two 32-bit numbers is below the second.
    let product = u128::from(rng.next_u32()) * len as u128;
    u32::try_from(product >> 32).unwrap_or(u32::MAX)
}
