//! What random batches depend on, and what is in them.

use super::{RandomSize, random_batch};

#[test]
fn tokens_depend_on_seed_and_step_alone() {
    let size = RandomSize { vocab_size: 97, batch_size: 4, seq_len: 8 };
    let tokens = |seed, step| {
        let batch = random_batch(size, seed, step).unwrap();
        let ids = batch.input_ids.to_vec2::<u32>().unwrap();
        let labels = batch.labels.to_vec2::<i64>().unwrap();
        assert_eq!(ids.len(), 4);
        for (ids, labels) in ids.iter().zip(&labels) {
            assert!(ids.iter().all(|id| *id < 97));
            let next: Vec<i64> = ids[1..].iter().map(|id| i64::from(*id)).collect();
            assert_eq!(labels[..7], next);
        }
        ids
    };
    assert_eq!(tokens(1, 1), tokens(1, 1));
    assert!(tokens(1, 1) != tokens(2, 1) && tokens(1, 1) != tokens(1, 2));
}

#[test]
fn a_batch_that_nothing_can_hold_is_an_error() {
    let size = RandomSize { vocab_size: 97, batch_size: usize::MAX, seq_len: 2 };
    let message = random_batch(size, 0, 0).unwrap_err().to_string();
    assert!(message.ends_with("of 2 tokens does not fit into memory"), "{message}");
}
