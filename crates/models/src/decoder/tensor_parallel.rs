//! Among how many tensor-parallel ranks a decoder can be cut.

use std::collections::BTreeSet;

use super::Decoder;
use crate::Error;
use crate::blocks::{AttentionShape, FeedForward};

/// Why a model cannot be cut among so many tensor-parallel ranks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorParallelProblem {
    /// No rank at all.
    #[error("there has to be at least one")]
    NoRanks,
    /// Heads that would be cut in pieces.
    #[error(
        "each rank has whole heads, and `{key}` is {value}; the numbers that do are {}, and more ranks \
         can be data-parallel or in a pipeline", in_words(.fitting)
    )]
    Heads {
        /// The field of the config.
        key: &'static str,
        /// How many heads there are.
        value: usize,
        /// The numbers of ranks with which all heads stay whole.
        fitting: Vec<usize>,
    },
    /// Ranks that would have nothing of a matrix.
    #[error("each rank has a part of {what}, which has {value}; use that many ranks or fewer")]
    Empty {
        /// What is cut.
        what: &'static str,
        /// How many parts it can have.
        value: usize,
    },
}

fn in_words(numbers: &[usize]) -> String {
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Decoder {
    /// # Errors
    /// All that is in the way of cutting it among so many ranks.
    pub(crate) fn check_tensor_parallel(&self, num_ranks: usize) -> Result<(), Error> {
        let problems = match num_ranks {
            0 => vec![TensorParallelProblem::NoRanks],
            1 => Vec::new(),
            _ => self.tensor_parallel_problems(num_ranks),
        };
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::TensorParallel { num_ranks, problems })
        }
    }

    fn tensor_parallel_problems(&self, num_ranks: usize) -> Vec<TensorParallelProblem> {
        let layers = &self.shape.layers;
        let heads = |key, of_layer: fn(&AttentionShape) -> usize| {
            let counts: BTreeSet<usize> =
                layers.iter().map(|layer| of_layer(&layer.attention)).collect();
            let cut = counts.into_iter().filter(|count| !count.is_multiple_of(num_ranks));
            let fitting = self.fitting_ranks();
            cut.map(move |value| TensorParallelProblem::Heads {
                key,
                value,
                fitting: fitting.clone(),
            })
        };
        let inner: BTreeSet<usize> = layers
            .iter()
            .map(|layer| match &layer.feed_forward {
                FeedForward::Dense(shape) => shape.intermediate_size,
                FeedForward::Sparse(shape) => shape.expert.intermediate_size,
            })
            .collect();
        let widths = [("the vocabulary", self.shape.vocab_size)].into_iter();
        let widths = widths.chain(inner.into_iter().map(|inner| ("a feed-forward block", inner)));
        let empty = widths
            .filter(|(_, value)| *value < num_ranks)
            .map(|(what, value)| TensorParallelProblem::Empty { what, value });
        heads("num_attention_heads", |attention| attention.num_heads)
            .chain(heads("num_key_value_heads", |attention| attention.num_kv_heads))
            .chain(empty)
            .collect()
    }

    /// The numbers of ranks that divide the heads of all layers.
    fn fitting_ranks(&self) -> Vec<usize> {
        let attention = || self.shape.layers.iter().map(|layer| &layer.attention);
        let fewest = attention().map(|attention| attention.num_kv_heads).min().unwrap_or(1);
        let fits = |num_ranks: &usize| {
            attention().all(|attention| {
                attention.num_heads.is_multiple_of(*num_ranks)
                    && attention.num_kv_heads.is_multiple_of(*num_ranks)
            })
        };
        (1..=fewest).filter(fits).collect()
    }
}
