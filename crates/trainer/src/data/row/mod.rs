//! One row of a batch, document by document.

use autopipe_nn::IGNORE_INDEX;

/// Inputs, labels and positions, all of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    input_ids: Vec<u32>,
    labels: Vec<i64>,
    position_ids: Vec<u32>,
}

impl Row {
    /// Takes everything out.
    pub(super) fn clear(&mut self) {
        self.input_ids.clear();
        self.labels.clear();
        self.position_ids.clear();
    }

    /// Adds a document: each of its tokens but the last is an input, and the one after it the label,
    /// if `is_label` says so of that one. Positions begin at 0.
    pub(super) fn push(&mut self, tokens: &[u32], is_label: impl Iterator<Item = bool>) {
        let Some((_, next)) = tokens.split_first() else { return };
        self.input_ids.extend(&tokens[..next.len()]);
        let labels = next.iter().zip(is_label.skip(1));
        self.labels.extend(labels.map(|(&token, is)| if is { token.into() } else { IGNORE_INDEX }));
        // A sample that says too little of its labels has no more of them.
        self.labels.resize(self.input_ids.len(), IGNORE_INDEX);
        self.position_ids.extend((0..).take(next.len()));
    }

    /// Adds a document without labels, so that there are `len` tokens.
    pub(super) fn fill(&mut self, len: usize, pad_token: u32) {
        let num_padding = len.saturating_sub(self.input_ids.len());
        self.input_ids.resize(len, pad_token);
        self.labels.resize(len, IGNORE_INDEX);
        self.position_ids.extend((0..).take(num_padding));
    }

    pub(super) fn num_tokens(&self) -> usize {
        self.input_ids.len()
    }

    pub(super) fn input_ids(&self) -> &[u32] {
        &self.input_ids
    }

    pub(super) fn labels(&self) -> &[i64] {
        &self.labels
    }

    pub(super) fn position_ids(&self) -> &[u32] {
        &self.position_ids
    }
}

#[cfg(test)]
mod tests;
