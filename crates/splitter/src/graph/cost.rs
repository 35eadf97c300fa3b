//! What a module takes, as a function of how many samples and tokens go through it.

use std::num::NonZeroUsize;

/// How much goes through a module at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchShape {
    /// Samples, such as those of one microbatch.
    pub batch_size: usize,
    /// Tokens in each sample.
    pub seq_len: usize,
}

/// A number of operations or bytes that grows with what goes through.
///
/// One sample of `s` tokens takes
///
/// ```text
/// per_sample + s * per_token + pairs(s) * per_pair
/// ```
///
/// where `pairs` counts each token with itself and the tokens before it that it attends to:
/// `s (s + 1) / 2` of them, or fewer in a window.
///
/// # Examples
/// ```
/// use autopipe_splitter::{BatchShape, Cost};
///
/// // A product with a matrix of 8 x 8, and the scores and sums of one attention of 8 numbers.
/// let flops = Cost { per_token: 128, per_pair: 32, ..Cost::default() };
/// let shape = BatchShape { batch_size: 2, seq_len: 3 };
/// assert_eq!(flops.at(shape), 2. * (3. * 128. + 6. * 32.));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Cost {
    /// For each sample, however long: what an encoder of images takes, say.
    pub per_sample: u64,
    /// For each token.
    pub per_token: u64,
    /// For each pair of a token and one that it attends to.
    pub per_pair: u64,
    /// To how many tokens each attends at most, itself included; none for all before it.
    pub window: Option<NonZeroUsize>,
}

impl Cost {
    /// What takes the same for each token, wherever it stands.
    pub const fn per_token(per_token: u64) -> Self {
        Self { per_sample: 0, per_token, per_pair: 0, window: None }
    }

    /// The number for a batch. It is a float, so that nothing overflows; exact as far as 2^53.
    pub fn at(self, shape: BatchShape) -> f64 {
        let tokens = float(shape.seq_len);
        let pairs = self.pairs(shape.seq_len);
        let sample = float_of(self.per_sample)
            + tokens * float_of(self.per_token)
            + pairs * float_of(self.per_pair);
        float(shape.batch_size) * sample
    }

    /// The part of it that is for pairs of tokens: attention's scores and sums, without any weights.
    pub fn of_pairs_at(self, shape: BatchShape) -> f64 {
        float(shape.batch_size) * self.pairs(shape.seq_len) * float_of(self.per_pair)
    }

    /// How many pairs of tokens attend to each other in a sample.
    fn pairs(self, seq_len: usize) -> f64 {
        // The first tokens see less than a window.
        let ramp = self.window.map_or(seq_len, |window| window.get().min(seq_len));
        let (ramp, seq_len) = (float(ramp), float(seq_len));
        ramp * (ramp + 1.0) / 2.0 + (seq_len - ramp) * ramp
    }
}

#[expect(clippy::cast_precision_loss, reason = "a size is no different at the 16th digit")]
fn float(size: usize) -> f64 {
    size as f64
}

#[expect(clippy::cast_precision_loss, reason = "a cost is no different at the 16th digit")]
fn float_of(cost: u64) -> f64 {
    cost as f64
}
