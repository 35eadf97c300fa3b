//! A batch and how it is cut into microbatches.

mod error;
mod input;
mod keywords;
mod rows;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use autopipe_nn::Noise;
use autopipe_schedule::{MicroBatch, Stage};
use candle_core::Tensor;

pub use error::BatchError;
pub use input::{Input, InputValue};
pub use keywords::Keywords;
pub(crate) use rows::Rows;

/// What one pipeline step computes.
///
/// Every rank may be given all of it; each takes what it needs: the inputs where the first stage
/// is, the target where the last one is, the keyword inputs everywhere. What a rank does not need
/// can be left out there. If the batch of one rank does not fit, all ranks refuse the step and name
/// that rank. Batches may differ from step to step in all their sizes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Inputs of the first stage, in their order. They are tensors.
    pub inputs: Vec<Input>,
    /// Inputs that every stage gets, by name; each stage has to know the name
    /// ([`StageModel::keywords`](crate::StageModel::keywords)).
    pub keywords: BTreeMap<String, Input>,
    /// What the loss compares with: a tensor of any shape.
    pub target: Option<Input>,
    /// Each microbatch's loss is multiplied by this before its backward and in what is reported.
    ///
    /// With a loss that sums over tokens, one over the number of label tokens of the whole
    /// optimiser step gives their mean, however unevenly they lie in the microbatches.
    pub loss_scale: f64,
    /// Which part of the optimiser's step this batch is, the same on every rank: 1, unless gradients
    /// are accumulated over several batches. The shares of its microbatches add up to it
    /// ([`Keywords::share`]).
    pub share: f64,
    /// What random numbers of this batch depend on, the same on every rank; without it nothing is
    /// left to chance. An evaluation ignores it.
    pub seed: Option<u64>,
}

/// What a rank takes of a batch.
pub(crate) struct Needs<'a> {
    pub(crate) num_microbatches: usize,
    /// It has the first stage.
    pub(crate) inputs: bool,
    /// It has the last stage.
    pub(crate) target: bool,
    /// The sequence length that batches are held to, if any.
    pub(crate) seq_len: Option<usize>,
    /// Its stages and the keywords that each knows.
    pub(crate) keywords: Vec<(Stage, &'a [&'a str])>,
}

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    Training,
    Evaluation,
}

impl Batch {
    /// A batch with one input, whose losses are summed as they are.
    pub fn new(input: impl Into<Input>, target: impl Into<Input>) -> Self {
        Self {
            inputs: vec![input.into()],
            keywords: BTreeMap::new(),
            target: Some(target.into()),
            loss_scale: 1.0,
            share: 1.0,
            seed: None,
        }
    }

    /// The same batch with another [`loss_scale`](Self::loss_scale).
    #[must_use]
    pub fn with_loss_scale(self, loss_scale: f64) -> Self {
        Self { loss_scale, ..self }
    }

    /// The same batch as another [`share`](Self::share) of the optimiser's step.
    #[must_use]
    pub fn with_share(self, share: f64) -> Self {
        Self { share, ..self }
    }

    /// The same batch with a [`seed`](Self::seed) for its random numbers.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// The same batch with one more keyword input.
    #[must_use]
    pub fn with_keyword(mut self, name: impl Into<String>, input: impl Into<Input>) -> Self {
        self.keywords.insert(name.into(), input.into());
        self
    }

    /// Checks that the batch has what a rank needs and can be cut.
    pub(crate) fn check(&self, needs: &Needs<'_>) -> Result<(), BatchError> {
        let mut errors = Vec::new();
        if needs.inputs && self.inputs.is_empty() {
            errors.push(BatchError::NoInput);
        }
        if needs.target && self.target.is_none() {
            errors.push(BatchError::NoTarget);
        }
        if !self.loss_scale.is_finite() {
            errors.push(BatchError::LossScale { loss_scale: self.loss_scale.to_string() });
        }
        if !(0.0..=1.0).contains(&self.share) {
            errors.push(BatchError::Share { share: self.share.to_string() });
        }
        let first = self.inputs.first().map_or(&[][..], Input::tensors);
        let mut lengths = first.iter().filter_map(|tensor| tensor.dims().get(1).copied());
        if let Some(expected) = needs.seq_len
            && let Some(got) = lengths.find(|&got| got != expected)
        {
            errors.push(BatchError::SeqLen { got, expected });
        }
        for (&(stage, known), name) in needs
            .keywords
            .iter()
            .flat_map(|stage| self.keywords.keys().map(move |name| (stage, name)))
        {
            if !known.contains(&name.as_str()) {
                let known = known.iter().map(|&known| known.to_owned()).collect();
                let stage = stage.index();
                errors.push(BatchError::UnknownKeyword { name: name.clone(), stage, known });
            }
        }
        let inputs = self.inputs.iter().enumerate().map(|(i, input)| (format!("input {i}"), input));
        let target = self.target.iter().map(|target| ("target".to_owned(), target));
        let keywords =
            self.keywords.iter().map(|(name, input)| (format!("keyword input {name}"), input));
        for (name, input) in inputs.clone().chain(target.clone()) {
            if let Input::Same(value) = input
                && !matches!(value, InputValue::Tensor(_))
            {
                errors.push(BatchError::NoTensor { name, kind: value.kind() });
            }
        }
        let mut first = None;
        for (name, input) in inputs.chain(keywords).chain(target) {
            errors.extend(check_cut(name, input, needs.num_microbatches, &mut first).err());
        }
        match errors.len() {
            0 => Ok(()),
            1 => Err(errors.remove(0)),
            _ => Err(BatchError::Several(errors)),
        }
    }

    /// The first stage's inputs of one microbatch.
    pub(crate) fn inputs_of(
        &self,
        num_microbatches: usize,
        index: MicroBatch,
    ) -> candle_core::Result<Vec<Tensor>> {
        let part = |input: &Input| input.tensor_part(num_microbatches, index.index());
        self.inputs.iter().map(part).collect()
    }

    /// What every stage is told of one microbatch. `rows` are those that all ranks count by.
    pub(crate) fn keywords_of(
        &self,
        rows: &Rows,
        index: MicroBatch,
        purpose: Purpose,
    ) -> candle_core::Result<Keywords> {
        let part = |(name, input): (&String, &Input)| {
            Ok((name.clone(), input.part(rows.num_microbatches(), index.index())?))
        };
        let values: Keywords =
            self.keywords.iter().map(part).collect::<candle_core::Result<_>>()?;
        let seed = self.seed.filter(|_| purpose == Purpose::Training);
        let first_row = rows.before(index.index());
        let noise = seed.map(|seed| Noise { seed, first_row });
        Ok(values.with_share(self.share * rows.part(index.index())).with_noise(noise))
    }
}

/// Checks that an input has something for every microbatch. `first` is the first that is cut, with
/// its number of samples: the others have as many.
fn check_cut(
    name: String,
    input: &Input,
    num_microbatches: usize,
    first: &mut Option<(String, usize)>,
) -> Result<(), BatchError> {
    match input {
        Input::Same(_) => Ok(()),
        Input::Each(tensors) if tensors.len() == num_microbatches => Ok(()),
        Input::Each(tensors) => {
            Err(BatchError::WrongPieces { name, pieces: tensors.len(), num_microbatches })
        }
        Input::Along { tensor, dim } => {
            let dim = *dim;
            let Some(&samples) = tensor.dims().get(dim) else {
                return Err(BatchError::NoDimension { name, rank: tensor.rank(), dim });
            };
            if samples < num_microbatches {
                return Err(BatchError::TooFewSamples { name, samples, dim, num_microbatches });
            }
            match first {
                None => *first = Some((name, samples)),
                Some((other, expected)) if *expected != samples => {
                    let (other, expected) = (other.clone(), *expected);
                    return Err(BatchError::Uneven { name, samples, dim, other, expected });
                }
                Some(_) => {}
            }
            Ok(())
        }
    }
}
