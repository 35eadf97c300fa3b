//! Samples in memory and loaders of them, for tests.

use std::sync::Arc;

use autopipe_config::{Arrange, OnError, TooLong};

use super::{
    Batch, Content, Loader, LoaderOptions, RecordFault, RecordPlace, RecordProblem, Sample, Samples,
};
use crate::Error;

/// Samples, some of them records that cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    records: Arc<[Option<Sample>]>,
    /// A sample whose reader has a bug.
    pub(super) panics_at: Option<u64>,
}

impl Memory {
    pub(super) fn new(records: Vec<Option<Sample>>) -> Self {
        Self { records: records.into(), panics_at: None }
    }

    /// Samples of these tokens, all of which are learnt.
    pub(super) fn learnt(samples: &[&[u32]]) -> Self {
        Self::new(samples.iter().map(|tokens| Some(sample(tokens, 0))).collect())
    }

    pub(super) fn content(self) -> Content {
        Content::Samples(Box::new(self))
    }
}

impl Samples for Memory {
    fn num_samples(&self) -> u64 {
        self.records.len() as u64
    }

    fn read(&mut self, number: u64) -> Result<Sample, Error> {
        assert_ne!(self.panics_at, Some(number), "a bug");
        let record = self.records[usize::try_from(number).unwrap()].clone();
        record.ok_or_else(|| {
            let fault = RecordFault::Json { reason: "a test".to_owned() };
            let place = RecordPlace::Record(number + 1);
            Error::Record(Box::new(RecordProblem { path: "bad.jsonl".into(), place, fault }))
        })
    }

    fn another(&self) -> Box<dyn Samples> {
        Box::new(self.clone())
    }
}

/// A sample whose first tokens are not learnt.
pub(super) fn sample(tokens: &[u32], num_masked: usize) -> Sample {
    let is_label = (0..tokens.len()).map(|place| place >= num_masked).collect();
    Sample { tokens: tokens.to_vec(), is_label }
}

/// Rows of six tokens in order, filled with 99.
pub(super) fn options(arrange: Arrange) -> LoaderOptions {
    LoaderOptions {
        seq_len: 6,
        seed: 1111,
        vocab_size: 100,
        pad_token: 99,
        arrange,
        shuffle: false,
        too_long: TooLong::Truncate,
        on_error: OnError::Skip,
    }
}

pub(super) fn loader(memory: &Memory, options: &LoaderOptions) -> Loader {
    Loader::of(vec![(memory.clone().content(), 1.0)], options).unwrap()
}

/// Inputs, labels and positions of a row.
pub(super) type Taken = (Vec<u32>, Vec<i64>, Option<Vec<u32>>);

pub(super) fn rows(batch: &Batch) -> Vec<Taken> {
    let inputs: Vec<Vec<u32>> = batch.input_ids.to_vec2().unwrap();
    let labels: Vec<Vec<i64>> = batch.labels.to_vec2().unwrap();
    let positions: Vec<Option<Vec<u32>>> = match &batch.position_ids {
        Some(ids) => ids.to_vec2().unwrap().into_iter().map(Some).collect(),
        None => vec![None; inputs.len()],
    };
    inputs.into_iter().zip(labels).zip(positions).map(|((a, b), c)| (a, b, c)).collect()
}

pub(super) fn take(loader: &mut Loader, batch_size: usize) -> Vec<Taken> {
    rows(&loader.next_batch(batch_size).unwrap())
}
