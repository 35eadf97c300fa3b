//! What comes in which order, once per epoch, and that a run can be taken up anywhere.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::data::SourcePosition;
use crate::data::memory::{Memory, options, sample};
use crate::data::permutation::Permutation;

const SEED: u64 = 1111;

/// Two files whose bytes count up, so that a sequence shows where it comes from: 40 tokens with the
/// separators.
fn corpus() -> (TempDir, Corpus) {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), (1..=20).collect::<Vec<u8>>()).unwrap();
    fs::write(folder.path().join("b"), (21..=38).collect::<Vec<u8>>()).unwrap();
    let corpus = Corpus::open(&["*"], folder.path()).unwrap();
    (folder, corpus)
}

fn loader(seq_len: usize, seed: u64) -> (TempDir, Loader) {
    let (folder, corpus) = corpus();
    (folder, Loader::new(corpus, seq_len, seed).unwrap())
}

/// The position in the only source.
fn at(epoch: u64, index: u64) -> Position {
    let source = SourcePosition { epoch, index, ..SourcePosition::default() };
    Position { num_rows: epoch.wrapping_mul(7).wrapping_add(index), sources: vec![source] }
}

/// Inputs and labels of the next sequences, one by one.
fn take(loader: &mut Loader, batch_size: usize) -> Vec<(Vec<u32>, Vec<i64>)> {
    let batch = loader.next_batch(batch_size).unwrap();
    let inputs = batch.input_ids.to_vec2().unwrap();
    inputs.into_iter().zip(batch.labels.to_vec2().unwrap()).collect()
}

#[test]
fn an_epoch_is_every_sequence_once_with_the_next_tokens_as_labels() {
    let (_folder, mut loader) = loader(5, SEED);
    let tokens: Vec<u32> = (1..=20).chain([0]).chain(21..=38).chain([0]).collect();
    let size = SourceSize::Tokens { num_files: 2, num_empty: 0, num_rows: 7 };
    assert_eq!(loader.sizes(), [size], "39 labels make seven fives and a rest");
    for epoch in 0..3 {
        let mut sequences = take(&mut loader, 7);
        sequences.sort();
        assert_eq!(loader.position(), at(epoch, 7));
        let mut inputs: Vec<Vec<u32>> = tokens[..35].chunks(5).map(<[u32]>::to_vec).collect();
        inputs.sort();
        assert_eq!(sequences.iter().map(|(input, _)| input.clone()).collect::<Vec<_>>(), inputs);
        for (input, label) in sequences {
            let start = tokens.windows(5).position(|window| window == input).unwrap();
            let expected: Vec<i64> =
                tokens[start + 1..start + 6].iter().map(|&token| i64::from(token)).collect();
            assert_eq!(label, expected);
        }
    }
}

#[test]
fn shapes_and_dtypes() {
    let (_folder, mut loader) = loader(5, SEED);
    let batch = loader.next_batch(3).unwrap();
    assert_eq!(
        (batch.input_ids.dims(), batch.input_ids.dtype()),
        ([3, 5].as_slice(), candle_core::DType::U32)
    );
    assert_eq!(
        (batch.labels.dims(), batch.labels.dtype()),
        ([3, 5].as_slice(), candle_core::DType::I64)
    );
    assert_eq!(batch.num_label_tokens(), 15);
}

#[test]
fn epochs_and_seeds_have_orders_of_their_own() {
    let (_folder, mut first) = loader(1, SEED);
    let (_folder, mut same) = loader(1, SEED);
    let (_folder, mut other) = loader(1, SEED + 1);
    let epoch = take(&mut first, 39);
    assert_eq!(epoch, take(&mut same, 39));
    assert_ne!(epoch, take(&mut other, 39));
    assert_ne!(epoch, take(&mut first, 39), "the second epoch");
}

#[test]
fn batches_go_over_the_end_of_an_epoch() {
    let (_folder, mut by_four) = loader(5, SEED);
    let (_folder, mut by_one) = loader(5, SEED);
    let fours: Vec<_> = (0..7).flat_map(|_| take(&mut by_four, 4)).collect();
    let ones: Vec<_> = (0..28).flat_map(|_| take(&mut by_one, 1)).collect();
    assert_eq!(fours, ones);
    assert_eq!(by_four.position(), at(3, 7));
}

#[test]
fn a_run_can_be_taken_up_anywhere() {
    let (_folder, mut unbroken) = loader(5, SEED);
    for _ in 0..9 {
        let saved = serde_json::to_string(&unbroken.position()).unwrap();
        let expected = take(&mut unbroken, 3);
        let (_folder, mut resumed) = loader(5, SEED);
        resumed.seek(&serde_json::from_str(&saved).unwrap()).unwrap();
        assert_eq!(take(&mut resumed, 3), expected, "from {saved}");
        assert_eq!(resumed.position(), unbroken.position());
    }
}

#[test]
fn a_position_as_text() {
    let text = r#"{"num_rows":44,"sources":[{"epoch":6,"index":2,"offset":0,"skipped":{"bad":0,"too_long":0,"unlabelled":0}}]}"#;
    assert_eq!(serde_json::to_string(&at(6, 2)).unwrap(), text);
    for other in [
        r#"{"epoch":2,"index":30}"#.to_owned(),
        text.replace("\"offset\":0,", ""),
        text.replace("\"offset\":0,", "\"offset\":0,\"rank\":0,"),
        text.replace("\"bad\":0,", ""),
    ] {
        serde_json::from_str::<Position>(&other).unwrap_err();
    }
}

#[test]
fn a_position_of_other_data_is_refused() {
    let (_folder, mut loader) = loader(5, SEED);
    take(&mut loader, 2);
    let mut refused = |position: &Position| loader.seek(position).unwrap_err().to_string();
    assert_eq!(
        refused(&at(0, 8)),
        "position 8 is beyond the 7 sequences of an epoch of source 1; its files or `seq_len` have \
         changed since the position was saved"
    );
    let mut within = at(0, 3);
    within.sources[0].offset = 2;
    assert_eq!(
        refused(&within),
        "the position is 2 tokens into what comes next from source 1, which has 0; its files, \
         tokenizer or arrangement have changed since the position was saved"
    );
    assert_eq!(
        refused(&Position::default()),
        "the position is of 0 sources, there are 1; go on with the same sources"
    );
    assert_eq!(loader.position(), at(0, 2), "nothing has changed");
    loader.seek(&at(0, 7)).unwrap();
    take(&mut loader, 1);
    assert_eq!(loader.position(), Position { num_rows: 8, ..at(1, 1) });
}

#[test]
fn a_position_within_a_sample() {
    let memory = Memory::learnt(&[&[1, 2, 3, 4, 5], &[6, 7, 8, 9, 10, 11]]);
    let samples = |arrange| {
        let content = memory.clone().content();
        Loader::of(vec![(content, 1.0)], &LoaderOptions { shuffle: true, ..options(arrange) })
    };
    let mut stream = samples(Arrange::Stream).unwrap();
    stream.next_batch(1).unwrap();
    let position = stream.position();
    assert!(position.sources[0].offset > 0);
    let mut spoilt = position.clone();
    spoilt.sources[0].offset = 6;
    let error = stream.seek(&spoilt).unwrap_err().to_string();
    assert!(error.starts_with("the position is 6 tokens into what comes next"), "{error}");
    spoilt.sources[0].index = 2;
    assert!(stream.seek(&spoilt).is_err(), "an offset at the end of the epoch");
    spoilt.sources[0].index = 3;
    let error = stream.seek(&spoilt).unwrap_err().to_string();
    assert!(error.starts_with("position 3 is beyond the 2 samples"), "{error}");
    assert_eq!(stream.position(), position);
    for arrange in [Arrange::Pad, Arrange::Pack] {
        assert!(samples(arrange).unwrap().seek(&position).is_err(), "{arrange} has no offsets");
    }
}

#[test]
fn the_last_numbers_that_can_be_counted_are_no_end() {
    let (_folder, mut text) = loader(5, SEED);
    text.seek(&Position { num_rows: u64::MAX, ..at(u64::MAX, 7) }).unwrap();
    take(&mut text, 1);
    assert_eq!(text.position(), Position { num_rows: 0, ..at(0, 1) });
    let memory = Memory::new(vec![None, Some(sample(&[1, 2], 0))]);
    let mut samples = Loader::of(vec![(memory.content(), 1.0)], &options(Arrange::Pad)).unwrap();
    let mut position = samples.position();
    position.sources[0].skipped.bad = u64::MAX;
    position.sources[0].skipped.too_long = 1;
    samples.seek(&position).unwrap();
    take(&mut samples, 2);
    assert_eq!(samples.position().skipped().total(), u64::MAX);
}

/// Runs that began before there were other kinds of data go on as they were.
#[test]
fn the_order_of_text_stays() {
    let tokens: Vec<u32> = (1..=20).chain([0]).chain(21..=38).chain([0]).collect();
    let (_folder, mut loader) = loader(5, SEED);
    let mut firsts = Vec::new();
    for epoch in 0..3 {
        let order = Permutation::new(7, SEED, epoch);
        for index in 0..7 {
            let start = usize::try_from(order.at(index)).unwrap() * 5;
            let (inputs, labels) = take(&mut loader, 1).remove(0);
            assert_eq!(inputs, tokens[start..start + 5]);
            let next = tokens[start + 1..start + 6].iter().map(|&token| i64::from(token));
            assert_eq!(labels, next.collect::<Vec<_>>());
            firsts.push(inputs[0]);
        }
    }
    assert_eq!(firsts[..7], [6, 1, 25, 0, 11, 16, 30]);
}

#[test]
fn without_shuffling_rows_come_in_order() {
    let (_folder, corpus) = corpus();
    let text =
        LoaderOptions { seq_len: 5, vocab_size: 256, shuffle: false, ..options(Arrange::Stream) };
    let mut loader = Loader::of(vec![(Content::Text(corpus), 1.0)], &text).unwrap();
    let firsts: Vec<u32> = take(&mut loader, 8).iter().map(|row| row.0[0]).collect();
    assert_eq!(firsts, [1, 6, 11, 16, 0, 25, 30, 1]);
}

#[test]
fn parts_that_do_not_exist() {
    let refused =
        |index, count| loader(5, SEED).1.with_shard(index, count).unwrap_err().to_string();
    assert_eq!(refused(2, 2), "part 2 of 2 of the data does not exist; parts are counted from 0");
    assert!(refused(0, 0).starts_with("part 0 of 0"));
}

#[test]
fn a_model_that_does_not_know_all_bytes() {
    let error = Loader::of(vec![(Content::Text(corpus().1), 1.0)], &options(Arrange::Stream));
    assert!(matches!(error, Err(Error::Vocabulary { vocab_size: 100, needed: 256 })));
}

/// Text beside packed samples has positions, too.
#[test]
fn each_source_has_epochs_of_its_own() {
    let (_folder, corpus) = corpus();
    let both = LoaderOptions { vocab_size: 256, shuffle: true, ..options(Arrange::Pack) };
    let many: Vec<Vec<u32>> = (0..20).map(|number| vec![100 + number; 2]).collect();
    let many: Vec<&[u32]> = many.iter().map(Vec::as_slice).collect();
    let sources = vec![(Content::Text(corpus), 1.0), (Memory::learnt(&many).content(), 4.0)];
    let mut loader = Loader::of(sources, &both).unwrap();
    let batch = loader.next_batch(50).unwrap();
    assert_eq!(batch.position_ids.unwrap().dims(), [50, 6]);
    let Position { num_rows, sources } = loader.position();
    assert_eq!(num_rows, 50);
    assert!(sources.iter().all(|source| source.epoch > 0), "{sources:?}");
}

#[test]
fn lengths_around_the_whole_corpus() {
    let (_folder, mut whole) = loader(39, SEED);
    assert_eq!(whole.sizes(), [SourceSize::Tokens { num_files: 2, num_empty: 0, num_rows: 1 }]);
    let sequences = take(&mut whole, 2);
    assert_eq!(sequences[0], sequences[1], "an epoch of one sequence repeats it");
    assert_eq!(sequences[0].1.last(), Some(&0), "the last separator is a label");

    let refused = |seq_len| Loader::new(corpus().1, seq_len, SEED).unwrap_err().to_string();
    assert_eq!(
        refused(40),
        "a sequence of 40 tokens needs 41 bytes of text, the corpus has 40 with its separators; add text \
         or lower `seq_len`"
    );
    assert_eq!(refused(0), "`seq_len` is 0, the smallest is 1");
    assert!(refused(usize::MAX).contains("needs 18446744073709551616 bytes"));
}

#[test]
fn a_batch_that_fails_leaves_the_loader_as_it_was() {
    let (folder, mut failing) = loader(5, SEED);
    let (_folder, mut unbroken) = loader(5, SEED);
    take(&mut failing, 6);
    take(&mut unbroken, 6);
    let file = folder.path().join("a");
    let text = fs::read(&file).unwrap();
    fs::write(&file, "short").unwrap();
    // The rest of this epoch and all of the next, so that the failure comes after the change of order.
    assert!(matches!(failing.next_batch(8), Err(Error::ReadCorpus { .. })));
    assert_eq!(failing.position(), unbroken.position());
    fs::write(&file, text).unwrap();
    assert_eq!(take(&mut failing, 8), take(&mut unbroken, 8));
}

#[test]
fn batches_that_cannot_be() {
    let (_folder, mut loader) = loader(5, SEED);
    let mut refused = |batch_size| loader.next_batch(batch_size).unwrap_err().to_string();
    assert_eq!(refused(0), "`batch_size` is 0, the smallest is 1");
    assert!(refused(usize::MAX).ends_with("sequences of 5 tokens does not fit into memory"));
    assert!(refused(usize::MAX / 6).ends_with("sequences of 5 tokens does not fit into memory"));
}
