//! What holds for every arrangement, mix, order and place: a run goes on as if unbroken, and parts make
//! the whole.

use std::fs;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::data::memory::{Memory, Taken, options, sample, take};
use crate::data::{Sample, WindowShape};

/// What data there are, and what is made of them.
#[derive(Clone, Debug)]
struct Case {
    sources: Vec<(Vec<Option<Sample>>, f64)>,
    has_tokens: bool,
    options: LoaderOptions,
}

impl Case {
    fn loader(&self, folder: &TempDir) -> Loader {
        let samples = self.sources.iter().cloned();
        let mut sources: Vec<_> =
            samples.map(|(records, weight)| (Memory::new(records).content(), weight)).collect();
        if self.has_tokens {
            let path = folder.path().join("tokens.bin");
            fs::write(path, (0..90_u16).flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).unwrap();
            let files = TokenFiles::open(&["*.bin"], folder.path(), None, 100).unwrap();
            sources.insert(0, (Content::Tokens(files), 1.5));
        }
        Loader::of(sources, &self.options).unwrap()
    }
}

fn record() -> impl Strategy<Value = Option<Sample>> {
    prop_oneof![
        1 => Just(None),
        6 => (prop::collection::vec(0..90_u32, 0..14), 0..4_usize)
            .prop_map(|(tokens, num_masked)| Some(sample(&tokens, num_masked))),
    ]
}

fn case() -> impl Strategy<Value = Case> {
    // One that can be learnt from in rows of any length, so that no epoch is empty.
    let records = prop::collection::vec(record(), 0..8).prop_map(|mut records| {
        records.push(Some(sample(&[1, 2], 0)));
        records
    });
    let arrange = prop_oneof![Just(Arrange::Stream), Just(Arrange::Pad), Just(Arrange::Pack)];
    let too_long = prop_oneof![Just(TooLong::Truncate), Just(TooLong::Skip)];
    let sources = prop::collection::vec((records, 0.5..4.0), 1..4);
    (sources, any::<bool>(), (arrange, too_long), any::<bool>(), any::<u64>(), 1..9_usize).prop_map(
        |(sources, has_tokens, (arrange, too_long), shuffle, seed, seq_len)| {
            let options = LoaderOptions { too_long, shuffle, seed, seq_len, ..options(arrange) };
            Case { sources, has_tokens, options }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_resumed_run_sees_what_an_unbroken_one_sees(
        case in case(),
        cut in 0..40_usize,
        batch_size in 1..4_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut unbroken = case.loader(&folder);
        for _ in 0..cut {
            take(&mut unbroken, 1);
        }
        let saved = serde_json::to_string(&unbroken.position()).unwrap();
        let mut resumed = case.loader(&folder);
        resumed.seek(&serde_json::from_str(&saved).unwrap()).unwrap();
        for _ in 0..20 {
            prop_assert_eq!(take(&mut resumed, batch_size), take(&mut unbroken, batch_size));
            prop_assert_eq!(resumed.position(), unbroken.position());
        }
    }

    #[test]
    fn parts_see_together_what_one_alone_sees(
        case in case(),
        count in 1..4_usize,
        batch_size in 1..4_usize,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut whole = case.loader(&folder);
        let mut parts: Vec<Loader> = (0..count)
            .map(|index| case.loader(&folder).with_shard(index, count).unwrap())
            .collect();
        for _ in 0..10 {
            let rows: Vec<Taken> =
                parts.iter_mut().flat_map(|part| take(part, batch_size)).collect();
            prop_assert_eq!(rows, take(&mut whole, count * batch_size));
            for part in &parts {
                prop_assert_eq!(part.position(), whole.position());
            }
        }
    }

    #[test]
    fn windows_are_batches_one_after_the_other(case in case(), num_batches in 1..4_usize) {
        let folder = tempfile::tempdir().unwrap();
        let (mut by_window, mut by_batch) = (case.loader(&folder), case.loader(&folder));
        for _ in 0..5 {
            let window = by_window.next_window(WindowShape { batch_size: 2, num_batches }).unwrap();
            let batches: Vec<Batch> =
                (0..num_batches).map(|_| by_batch.next_batch(2).unwrap()).collect();
            let count = |batch: &Batch| {
                let labels = batch.labels.flatten_all().unwrap().to_vec1::<i64>().unwrap();
                labels.into_iter().filter(|&label| label != -100).count()
            };
            prop_assert_eq!(window.num_label_tokens(), batches.iter().map(count).sum::<usize>());
            prop_assert_eq!(&window.position, &by_batch.position());
        }
    }

    /// Without a mix, an epoch has every token of every sample that can be learnt from.
    #[test]
    fn an_epoch_has_every_label_once(case in case()) {
        let records = &case.sources[0].0;
        let one = Case { sources: vec![(records.clone(), 1.0)], has_tokens: false, ..case.clone() };
        let folder = tempfile::tempdir().unwrap();
        let mut loader = one.loader(&folder);
        let mut labels = Vec::new();
        loop {
            let (_, row, _) = take(&mut loader, 1).remove(0);
            if loader.position().sources[0].epoch > 0 {
                break;
            }
            labels.extend(row.into_iter().filter(|&label| label != -100));
        }
        labels.sort_unstable();
        let LoaderOptions { arrange, seq_len, too_long, .. } = one.options;
        let mut expected = Vec::new();
        let is_stream = arrange == Arrange::Stream;
        for sample in records.iter().flatten() {
            let is_long = sample.tokens.len() > seq_len + 1;
            let len = match is_long && !is_stream {
                true if too_long == TooLong::Skip => 0,
                true => seq_len + 1,
                false => sample.tokens.len(),
            };
            let learnt = sample.tokens.iter().zip(&sample.is_label).take(len);
            let learnt = learnt.skip(usize::from(!is_stream)).filter(|(_, is_label)| **is_label);
            expected.extend(learnt.map(|(&token, _)| i64::from(token)));
        }
        expected.sort_unstable();
        if is_stream {
            // The first token of all is no label, whichever it is in this order.
            prop_assert!(expected.len() - labels.len() <= 1);
            for label in labels {
                prop_assert!(expected.contains(&label));
            }
        } else {
            prop_assert_eq!(labels, expected);
        }
    }
}
