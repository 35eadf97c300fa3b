//! What each arrangement makes of samples, and what is left out.

use super::*;
use crate::data::memory::{Memory, Taken, loader, options, rows, sample, take};
use crate::data::{Loader, LoaderOptions, Skipped};

const NONE: i64 = -100;

/// Three samples that end in a 0.
fn three() -> Memory {
    Memory::learnt(&[&[1, 2, 3, 0], &[4, 5, 0], &[6, 7, 8, 9, 0]])
}

fn row(inputs: [u32; 6], labels: [i64; 6], positions: Option<[u32; 6]>) -> Taken {
    (inputs.to_vec(), labels.to_vec(), positions.map(|positions| positions.to_vec()))
}

#[test]
fn a_stream_goes_over_the_ends_of_rows_and_ends_with_the_epoch() {
    let mut loader = loader(&three(), &options(Arrange::Stream));
    let expected = [
        row([1, 2, 3, 0, 4, 5], [2, 3, 0, 4, 5, 0], None),
        row([0, 6, 7, 8, 9, 99], [6, 7, 8, 9, 0, NONE], None),
    ];
    let batch = loader.next_batch(2).unwrap();
    assert_eq!((batch.num_tokens(), batch.num_label_tokens()), (11, 11));
    assert_eq!(rows(&batch), expected);
    assert_eq!(take(&mut loader, 2), expected, "the next epoch begins anew");
}

#[test]
fn a_stream_that_ends_with_a_row_begins_no_other() {
    let mut loader =
        loader(&Memory::learnt(&[&[1, 2, 3, 4], &[5, 6, 7]]), &options(Arrange::Stream));
    let only = row([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7], None);
    assert_eq!(take(&mut loader, 2), [only.clone(), only]);
}

#[test]
fn padding_has_no_labels() {
    let mut loader = loader(&three(), &options(Arrange::Pad));
    let batch = loader.next_batch(3).unwrap();
    assert_eq!((batch.num_tokens(), batch.num_label_tokens()), (9, 9));
    assert_eq!(
        rows(&batch),
        [
            row([1, 2, 3, 99, 99, 99], [2, 3, 0, NONE, NONE, NONE], None),
            row([4, 5, 99, 99, 99, 99], [5, 0, NONE, NONE, NONE, NONE], None),
            row([6, 7, 8, 9, 99, 99], [7, 8, 9, 0, NONE, NONE], None),
        ]
    );
}

#[test]
fn packed_samples_have_positions_of_their_own() {
    let mut loader = loader(&three(), &options(Arrange::Pack));
    let expected = [
        row([1, 2, 3, 4, 5, 99], [2, 3, 0, 5, 0, NONE], Some([0, 1, 2, 0, 1, 0])),
        row([6, 7, 8, 9, 99, 99], [7, 8, 9, 0, NONE, NONE], Some([0, 1, 2, 3, 0, 1])),
    ];
    assert_eq!(
        take(&mut loader, 3),
        [expected[0].clone(), expected[1].clone(), expected[0].clone()]
    );
}

#[test]
fn what_is_not_learnt_has_no_label_in_any_arrangement() {
    let memory = Memory::new(vec![Some(sample(&[1, 2, 3, 4], 2)), Some(sample(&[5, 6], 1))]);
    let labels = |arrange| take(&mut loader(&memory, &options(arrange)), 1).remove(0).1;
    assert_eq!(labels(Arrange::Stream), [NONE, 3, 4, NONE, 6, NONE]);
    assert_eq!(labels(Arrange::Pad), [NONE, 3, 4, NONE, NONE, NONE]);
    assert_eq!(labels(Arrange::Pack), [NONE, 3, 4, 6, NONE, NONE]);
}

/// Seven tokens fit: the last is a label only.
#[test]
fn samples_that_are_too_long() {
    let memory = Memory::learnt(&[&[1, 2, 3, 4, 5, 6, 7, 8], &[1, 2, 3, 4, 5, 6, 7], &[9, 10]]);
    for arrange in [Arrange::Pad, Arrange::Pack] {
        let with = |too_long| loader(&memory, &LoaderOptions { too_long, ..options(arrange) });
        let seven = ([1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 7]);
        let mut truncating = with(TooLong::Truncate);
        for (inputs, labels, _) in take(&mut truncating, 2) {
            assert_eq!((inputs.as_slice(), labels.as_slice()), (&seven.0[..], &seven.1[..]));
        }
        assert_eq!(truncating.position().skipped(), Skipped::default());
        let mut skipping = with(TooLong::Skip);
        let firsts: Vec<u32> = take(&mut skipping, 3).iter().map(|row| row.0[0]).collect();
        assert_eq!(firsts, [1, 9, 1]);
        assert_eq!(skipping.position().skipped(), Skipped { too_long: 2, ..Skipped::default() });
        assert_eq!(
            with(TooLong::Stop).next_batch(1).unwrap_err().to_string(),
            "sample 0 has 8 tokens, a row of 6 takes 7 at most; raise `seq_len`, or choose \
             `too_long: truncate` or `skip`"
        );
    }
    let stop = LoaderOptions { too_long: TooLong::Stop, ..options(Arrange::Stream) };
    assert_eq!(
        take(&mut loader(&memory, &stop), 2)[1].0,
        [7, 8, 1, 2, 3, 4],
        "a stream has no end"
    );
}

#[test]
fn samples_without_a_label_are_left_out_and_counted() {
    // The second has none within a row, the third none but the first token, the others none at all.
    let memory = Memory::new(vec![
        Some(sample(&[1, 2, 3], 3)),
        Some(sample(&[1, 2, 3, 4, 5, 6, 7, 8], 7)),
        Some(Sample { tokens: vec![1, 2], is_label: vec![true, false] }),
        Some(Sample::default()),
        Some(sample(&[9, 10], 0)),
    ]);
    for (arrange, unlabelled) in [(Arrange::Pad, 4), (Arrange::Pack, 4), (Arrange::Stream, 2)] {
        let mut loader = loader(&memory, &options(arrange));
        take(&mut loader, if arrange == Arrange::Stream { 2 } else { 1 });
        let expected = Skipped { unlabelled, ..Skipped::default() };
        assert_eq!(loader.position().skipped(), expected, "{arrange}");
    }
}

#[test]
fn bad_records_are_skipped_and_counted_or_end_the_run() {
    let memory = Memory::new(vec![None, Some(sample(&[1, 2], 0)), None, Some(sample(&[3, 4], 0))]);
    for arrange in [Arrange::Stream, Arrange::Pad, Arrange::Pack] {
        let mut skipping = loader(&memory, &options(arrange));
        let num_rows = if arrange == Arrange::Pad { 2 } else { 1 };
        take(&mut skipping, 2 * num_rows);
        let skipped = skipping.position().skipped();
        assert_eq!((skipped.bad, skipped.total()), (4, 4), "{arrange}, two epochs");
        let stop = LoaderOptions { on_error: OnError::Stop, ..options(arrange) };
        let mut stopping = loader(&memory, &stop);
        let error = stopping.next_batch(1).unwrap_err().to_string();
        assert!(error.starts_with("bad.jsonl:record 1: not JSON: a test"), "{error}");
    }
}

#[test]
fn an_epoch_without_anything_to_learn_is_an_error() {
    let bad = Memory::new(vec![None, Some(sample(&[1, 2], 2)), None]);
    let long = Memory::learnt(&[&[1; 8]]);
    let error = |memory: &Memory, arrange| {
        let skip = LoaderOptions { too_long: TooLong::Skip, ..options(arrange) };
        loader(memory, &skip).next_batch(1).unwrap_err().to_string()
    };
    for arrange in [Arrange::Stream, Arrange::Pad, Arrange::Pack] {
        let error = error(&bad, arrange);
        assert!(
            error.starts_with(
                "none of the 3 samples of source 1 can be learnt from: 2 cannot be read, 0 are longer \
                 than a row, 1 have no label within it; the first that cannot be read: \
                 bad.jsonl:record 1: "
            ),
            "{error}"
        );
    }
    assert_eq!(
        error(&long, Arrange::Pack),
        "none of the 1 samples of source 1 can be learnt from: 0 cannot be read, 1 are longer than a \
         row, 0 have no label within it"
    );
    // One token has nothing after it.
    let single = loader(&Memory::learnt(&[&[1]]), &options(Arrange::Stream)).next_batch(1);
    assert!(single.unwrap_err().to_string().ends_with(
        "of source 1 can be learnt from: 0 cannot be read, 0 are longer than a row, 0 have no label \
         within it"
    ));
}

#[test]
fn tokens_that_the_model_does_not_know() {
    let memory = Memory::learnt(&[&[1, 2], &[1, 100]]);
    let mut loader = loader(&memory, &options(Arrange::Pad));
    take(&mut loader, 1);
    assert_eq!(
        loader.next_batch(1).unwrap_err().to_string(),
        "sample 1 has the token 100, the model's vocabulary has 100; give the tokenizer of the model"
    );
    assert_eq!(
        Loader::of(
            vec![(Memory::learnt(&[]).content(), 1.0)],
            &LoaderOptions { pad_token: 100, ..options(Arrange::Pad) }
        )
        .unwrap_err()
        .to_string(),
        "the padding token is 100, the model's vocabulary has 100"
    );
    let none = Loader::of(vec![(Memory::learnt(&[]).content(), 1.0)], &options(Arrange::Pad));
    assert_eq!(none.unwrap_err().to_string(), "source 1 has no samples");
}
