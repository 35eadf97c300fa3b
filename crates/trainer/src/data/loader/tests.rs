//! What comes in which order, once per epoch, and that a run can be taken up anywhere.

use std::fs;

use tempfile::TempDir;

use super::*;

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

/// Inputs and labels of the next sequences, one by one.
fn take(loader: &mut Loader, batch_size: usize) -> Vec<(Vec<u32>, Vec<i64>)> {
    let batch = loader.next_batch(batch_size, &Device::Cpu).unwrap();
    let inputs = batch.input_ids.to_vec2().unwrap();
    inputs.into_iter().zip(batch.labels.to_vec2().unwrap()).collect()
}

#[test]
fn an_epoch_is_every_sequence_once_with_the_next_tokens_as_labels() {
    let (_folder, mut loader) = loader(5, SEED);
    let tokens: Vec<u32> = (1..=20).chain([0]).chain(21..=38).chain([0]).collect();
    assert_eq!(loader.num_sequences(), 7, "39 labels make seven fives and a rest");
    for epoch in 0..3 {
        assert_eq!(loader.position(), Position { epoch, index: 0 });
        let mut sequences = take(&mut loader, 7);
        sequences.sort();
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
    let batch = loader.next_batch(3, &Device::Cpu).unwrap();
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
    assert_eq!(by_four.position(), Position { epoch: 4, index: 0 });
}

#[test]
fn a_run_can_be_taken_up_anywhere() {
    let (_folder, mut unbroken) = loader(5, SEED);
    for _ in 0..9 {
        let saved = serde_json::to_string(&unbroken.position()).unwrap();
        let expected = take(&mut unbroken, 3);
        let (_folder, mut resumed) = loader(5, SEED);
        resumed.seek(serde_json::from_str(&saved).unwrap()).unwrap();
        assert_eq!(take(&mut resumed, 3), expected, "from {saved}");
        assert_eq!(resumed.position(), unbroken.position());
    }
}

#[test]
fn a_position_as_text() {
    let position = Position { epoch: 2, index: 30 };
    assert_eq!(serde_json::to_string(&position).unwrap(), r#"{"epoch":2,"index":30}"#);
    serde_json::from_str::<Position>(r#"{"epoch":2,"index":30,"rank":0}"#).unwrap_err();
}

#[test]
fn a_position_of_other_data_is_refused() {
    let (_folder, mut loader) = loader(5, SEED);
    take(&mut loader, 2);
    let error = loader.seek(Position { epoch: 0, index: 7 }).unwrap_err();
    assert_eq!(
        error.to_string(),
        "position 7 is beyond the 7 sequences of an epoch; the text or `seq_len` has changed since the \
         position was saved"
    );
    assert_eq!(loader.position(), Position { epoch: 0, index: 2 }, "nothing has changed");
}

#[test]
fn the_last_epoch_that_can_be_counted_is_no_end() {
    let (_folder, mut loader) = loader(5, SEED);
    loader.seek(Position { epoch: u64::MAX, index: 6 }).unwrap();
    take(&mut loader, 1);
    assert_eq!(loader.position(), Position { epoch: 0, index: 0 });
}

#[test]
fn lengths_around_the_whole_corpus() {
    let (_folder, mut whole) = loader(39, SEED);
    assert_eq!(whole.num_sequences(), 1);
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
    assert!(matches!(failing.next_batch(8, &Device::Cpu), Err(Error::ReadCorpus { .. })));
    assert_eq!(failing.position(), unbroken.position());
    fs::write(&file, text).unwrap();
    assert_eq!(take(&mut failing, 8), take(&mut unbroken, 8));
}

#[test]
fn batches_that_cannot_be() {
    let (_folder, mut loader) = loader(5, SEED);
    let mut refused =
        |batch_size| loader.next_batch(batch_size, &Device::Cpu).unwrap_err().to_string();
    assert_eq!(refused(0), "`batch_size` is 0, the smallest is 1");
    assert!(refused(usize::MAX).ends_with("sequences of 5 tokens does not fit into memory"));
    assert!(refused(usize::MAX / 6).ends_with("sequences of 5 tokens does not fit into memory"));
}
