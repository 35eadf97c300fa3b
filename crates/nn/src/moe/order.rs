//! The order in which experts see tokens: sorted by expert, tokens in their order.

use std::sync::Arc;

use super::Chosen;

/// Where each of a token's rows lies once they are sorted by expert.
#[derive(Clone, Debug)]
pub(super) struct Order {
    /// The tokens of the first expert, then those of the next.
    pub(super) tokens: Arc<[u32]>,
    /// Where the first expert of the first token has its row among them, then its second one.
    pub(super) places: Arc<[u32]>,
    /// How many rows each expert has.
    pub(super) counts: Vec<usize>,
    /// How many experts each token has.
    pub(super) k: usize,
}

impl Order {
    pub(super) fn new(chosen: &Chosen) -> Self {
        let experts = || chosen.experts.iter().map(|&expert| expert as usize);
        let mut counts = vec![0; chosen.num_experts];
        experts().for_each(|expert| counts[expert] += 1);
        let mut next: Vec<usize> = Vec::with_capacity(counts.len());
        let mut end = 0;
        for count in &counts {
            next.push(end);
            end += count;
        }
        let mut tokens = vec![0; chosen.experts.len()];
        let mut places = Vec::with_capacity(chosen.experts.len());
        let by_token = (0u32..).flat_map(|token| std::iter::repeat_n(token, chosen.k));
        for (expert, token) in experts().zip(by_token) {
            let place = &mut next[expert];
            tokens[*place] = token;
            // There are no more of them than the numbers that a tensor of ids can name.
            places.push(u32::try_from(*place).unwrap_or(u32::MAX));
            *place += 1;
        }
        Self { tokens: tokens.into(), places: places.into(), counts, k: chosen.k }
    }

    /// The experts that have rows, each with where they begin and how many they are.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let starts = self.counts.iter().scan(0, |end, &count| {
            let start = *end;
            *end += count;
            Some((start, count))
        });
        starts.enumerate().filter(|(_, (_, len))| *len > 0).map(|(i, (start, len))| (i, start, len))
    }
}
