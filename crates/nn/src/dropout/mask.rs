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
/// is zeroed if its 32 bits of the stream are below `p · 2^32`. Of columns of a wider tensor it is the
/// stream of the whole row, of which what belongs to the others is passed over.
#[derive(Clone)]
pub(super) struct Mask {
    random: ChaCha8Rng,
    name: u64,
    first_row: usize,
    threshold: u32,
    scale: f64,
    columns: Option<Columns>,
}

/// Some of the columns of a wider tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    pub(super) start: usize,
    pub(super) len: usize,
    /// How many there are in the whole.
    pub(super) width: usize,
}

impl Mask {
    pub(super) fn new(p: f64, noise: &Noise, name: &str, columns: Option<Columns>) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(noise.seed),
            name: fnv_1a_on(fnv_1a(name), &[0xff]),
            first_row: noise.first_row,
            threshold: threshold(p),
            scale: 1. / (1. - p),
            columns,
        }
    }

    /// Writes the numbers of `x`, in `num_rows` rows, multiplied by zero or by the scale.
    pub(super) fn multiply<N: Number>(&self, x: &[N], out: &mut [N], num_rows: usize) {
        let width = (x.len() / num_rows.max(1)).max(1);
        for (row, (x, out)) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
            let mut random = self.of_row(row);
            let Some(Columns { start, len, width }) = self.columns else {
                self.multiply_next(&mut random, x, out);
                continue;
            };
            let parts = x.chunks_exact(len.max(1)).zip(out.chunks_exact_mut(len.max(1)));
            for (number, (x, out)) in parts.enumerate() {
                random.set_word_pos(number as u128 * width as u128 + start as u128);
                self.multiply_next(&mut random, x, out);
            }
        }
    }

    /// The same, by what the stream has next.
    fn multiply_next<N: Number>(&self, random: &mut ChaCha8Rng, x: &[N], out: &mut [N]) {
        let scale = N::Real::constant(self.scale);
        let mut bytes = [0; 4 * DRAWN];
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

    fn of_row(&self, row: usize) -> ChaCha8Rng {
        let mut random = self.random.clone();
        random.set_stream(self.stream(row));
        random
    }

    fn stream(&self, row: usize) -> u64 {
        let row = u64::try_from(self.first_row.wrapping_add(row)).unwrap_or(u64::MAX);
        fnv_1a_on(self.name, &row.to_le_bytes())
    }
}

/// What a kernel for GPUs has to know.
impl Mask {
    /// The eight words of the key, and two of the stream of each row.
    pub(super) fn words(&self, num_rows: usize) -> Vec<u32> {
        let seed = self.random.get_seed();
        let (key, _) = seed.as_chunks();
        let streams = (0..num_rows).flat_map(|row| {
            let stream = self.stream(row).to_le_bytes();
            let (words, _) = stream.as_chunks();
            [words[0], words[1]]
        });
        key.iter().copied().chain(streams).map(u32::from_le_bytes).collect()
    }

    pub(super) fn columns(&self) -> Option<Columns> {
        self.columns
    }

    /// What a word of a number that is kept is at the least.
    pub(super) fn threshold(&self) -> u32 {
        self.threshold
    }

    pub(super) fn scale(&self) -> f64 {
        self.scale
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
