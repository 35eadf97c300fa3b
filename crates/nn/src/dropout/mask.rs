//! Which numbers are kept, row by row.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Noise;
use crate::cpu::{Number, Real, vectorised};
use crate::init::{fnv_1a, fnv_1a_on};

/// How many numbers are drawn at once.
const DRAWN: usize = 1024;

/// The masks of one layer in one step.
///
/// Each row has its own random stream: ChaCha8 with the seed as the key and, as the stream, the
/// FNV-1a hash of the name, of a byte that is in no text and of the row's number. A number of the row
/// is zeroed if its 32 bits of the stream are below `p · 2^32`.
#[derive(Clone)]
pub(super) struct Mask {
    random: ChaCha8Rng,
    name: u64,
    first_row: usize,
    threshold: u32,
    scale: f64,
}

impl Mask {
    pub(super) fn new(p: f64, noise: &Noise, name: &str) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(noise.seed),
            name: fnv_1a_on(fnv_1a(name), &[0xff]),
            first_row: noise.first_row,
            threshold: threshold(p),
            scale: 1. / (1. - p),
        }
    }

    /// Writes the numbers of `x`, in `num_rows` rows, multiplied by zero or by the scale.
    pub(super) fn multiply<N: Number>(&self, x: &[N], out: &mut [N], num_rows: usize) {
        let width = (x.len() / num_rows.max(1)).max(1);
        let scale = N::Real::constant(self.scale);
        let mut bytes = [0; 4 * DRAWN];
        for (row, (x, out)) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
            let mut random = self.of_row(row);
            for (x, out) in x.chunks(DRAWN).zip(out.chunks_mut(DRAWN)) {
                let bytes = &mut bytes[..4 * x.len()];
                random.fill_bytes(bytes);
                let (drawn, _) = bytes.as_chunks();
                vectorised(
                    #[inline(always)]
                    || {
                        for ((x, out), &drawn) in x.iter().zip(out).zip(drawn) {
                            let kept = N::narrow(x.wide() * scale);
                            let is_kept = u32::from_le_bytes(drawn) >= self.threshold;
                            *out = if is_kept { kept } else { N::zero() };
                        }
                    },
                );
            }
        }
    }

    fn of_row(&self, row: usize) -> ChaCha8Rng {
        let row = u64::try_from(self.first_row.wrapping_add(row)).unwrap_or(u64::MAX);
        let mut random = self.random.clone();
        random.set_stream(fnv_1a_on(self.name, &row.to_le_bytes()));
        random
    }
}

/// `p · 2^32`, for a `p` below 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the nearest number that 32 bits hold is what is asked for"
)]
fn threshold(p: f64) -> u32 {
    (p * 4_294_967_296.) as u32
}
