//! An evaluation has every row once, each time the same, on every rank as often.

use super::*;
use crate::data::memory::{Memory, Taken, loader, options, rows};
use crate::data::{Content, LoaderOptions, TokenFiles};
use autopipe_config::Arrange;

fn five() -> Memory {
    Memory::learnt(&[&[1, 2], &[3, 4], &[5, 6], &[7, 8], &[9, 10]])
}

fn evaluation(loader: Loader, batch_size: usize, max_batches: Option<usize>) -> Evaluation {
    Evaluation::new(loader, batch_size, max_batches).unwrap()
}

fn all(evaluation: &mut Evaluation) -> Vec<Vec<Taken>> {
    evaluation.batches().map(|batch| rows(&batch.unwrap())).collect()
}

/// The first inputs of rows that have labels.
fn firsts(batches: &[Vec<Taken>]) -> Vec<u32> {
    let learnt = |row: &&Taken| row.1.iter().any(|&label| label != -100);
    batches.iter().flatten().filter(learnt).map(|row| row.0[0]).collect()
}

#[test]
fn every_row_once_and_the_last_batch_filled_up() {
    let mut loader = loader(&five(), &options(Arrange::Pad));
    // Where a loader stands makes no difference.
    loader.next_batch(3).unwrap();
    let mut evaluation = evaluation(loader, 2, None);
    let first = all(&mut evaluation);
    assert_eq!(first.len(), 3);
    assert_eq!(firsts(&first), [1, 3, 5, 7, 9]);
    assert_eq!(first[2][1], (vec![99; 6], vec![-100; 6], None));
    assert_eq!(all(&mut evaluation), first);
    let counts = evaluation.batches().map(|batch| {
        let batch = batch.unwrap();
        (batch.num_tokens(), batch.num_label_tokens())
    });
    assert_eq!(counts.collect::<Vec<_>>(), [(2, 2), (2, 2), (1, 1)]);
}

#[test]
fn batches_that_are_as_many_as_asked_for() {
    let shuffled = LoaderOptions { shuffle: true, ..options(Arrange::Pad) };
    let mut some = evaluation(loader(&five(), &shuffled), 2, Some(2));
    let first = all(&mut some);
    assert_eq!((first.len(), firsts(&first).len()), (2, 4));
    assert_eq!(all(&mut some), first);
    let mut exact = evaluation(loader(&five(), &options(Arrange::Pad)), 5, Some(9));
    assert_eq!(all(&mut exact).len(), 1, "no batch of padding alone");
}

#[test]
fn parts_have_as_many_batches_and_together_every_row() {
    // Five rows in batches of two for two ranks: the last batch of the second has none.
    let parts: Vec<Vec<Vec<Taken>>> = (0..2)
        .map(|index| {
            let loader = loader(&five(), &options(Arrange::Pack)).with_shard(index, 2).unwrap();
            all(&mut evaluation(loader, 1, None))
        })
        .collect();
    assert_eq!(parts[0].len(), parts[1].len());
    let mut both = [firsts(&parts[0]), firsts(&parts[1])].concat();
    both.sort_unstable();
    let mut alone = evaluation(loader(&five(), &options(Arrange::Pack)), 1, None);
    assert_eq!(both, firsts(&all(&mut alone)));
}

#[test]
fn several_sources_all_end() {
    let folder = tempfile::tempdir().unwrap();
    let tokens: Vec<u8> = (40..60_u16).flat_map(u16::to_le_bytes).collect();
    std::fs::write(folder.path().join("a.bin"), tokens).unwrap();
    let files = TokenFiles::open(&["a.bin"], folder.path(), None, 100).unwrap();
    let sources = vec![(Content::Tokens(files), 100.0), (five().content(), 1.0)];
    let loader = Loader::of(sources, &options(Arrange::Pad)).unwrap();
    let mut evaluation = evaluation(loader, 3, None);
    let mut found = firsts(&all(&mut evaluation));
    found.sort_unstable();
    assert_eq!(found, [1, 3, 5, 7, 9, 40, 46, 52]);
}

#[test]
fn an_error_is_the_end() {
    let bad = Memory::new(vec![None, None]);
    let mut evaluation = evaluation(loader(&bad, &options(Arrange::Pad)), 1, None);
    let found: Vec<_> = evaluation.batches().collect();
    assert_eq!(found.len(), 1);
    let error = found[0].as_ref().unwrap_err().to_string();
    assert!(error.starts_with("none of the 2 samples"), "{error}");
}

#[test]
fn what_was_left_out_is_counted_anew() {
    let mut records: Vec<_> = vec![None];
    records.push(Some(crate::data::memory::sample(&[1, 2], 0)));
    let mut evaluation = evaluation(loader(&Memory::new(records), &options(Arrange::Pad)), 1, None);
    for _ in 0..2 {
        all(&mut evaluation);
        assert_eq!(evaluation.skipped().bad, 1);
    }
}

#[test]
fn no_batch_at_all() {
    let loader = || loader(&five(), &options(Arrange::Pad));
    let refused = |batch_size, max_batches| {
        Evaluation::new(loader(), batch_size, max_batches).unwrap_err().to_string()
    };
    assert_eq!(refused(0, None), "`batch_size` is 0, the smallest is 1");
    assert_eq!(refused(1, Some(0)), "`max_batches` is 0, the smallest is 1");
}
