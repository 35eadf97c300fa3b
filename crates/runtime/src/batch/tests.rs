//! Tests of cutting a batch.

use autopipe_nn::Noise;
use autopipe_schedule::{MicroBatch, Stage};
use candle_core::{DType, Device, Tensor};

use super::input::chunk;
use super::{Batch, BatchError, Input, InputValue, Needs, Purpose, Rows};

fn all(num_microbatches: usize) -> Needs<'static> {
    let keywords = vec![(Stage::new(3), &["mask", "scale"][..])];
    Needs { num_microbatches, inputs: true, target: true, seq_len: None, keywords }
}

fn nothing(num_microbatches: usize) -> Needs<'static> {
    Needs { num_microbatches, inputs: false, target: false, seq_len: None, keywords: Vec::new() }
}

fn zeros(dims: &[usize]) -> Tensor {
    Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap()
}

#[test]
fn chunks_are_near_even_and_cover_everything() {
    let cut = |len, n| (0..n).map(|i| chunk(len, n, i)).collect::<Vec<_>>();
    assert_eq!(cut(7, 3), [(0, 3), (3, 2), (5, 2)]);
    assert_eq!(cut(4, 4), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    assert_eq!(cut(5, 1), [(0, 5)]);
}

#[test]
fn a_microbatch_is_a_range_of_samples() {
    let tensor = Tensor::arange(0u32, 10, &Device::Cpu).unwrap().reshape((5, 2)).unwrap();
    let rows = Input::from(tensor.clone()).tensor_part(2, 1).unwrap();
    assert_eq!(rows.to_vec2::<u32>().unwrap(), [[6, 7], [8, 9]]);
    let columns = Input::along(tensor.t().unwrap(), 1).tensor_part(2, 1).unwrap();
    assert_eq!(columns.to_vec2::<u32>().unwrap(), [[6, 8], [7, 9]]);
    let whole = Input::same(tensor.clone()).tensor_part(2, 1).unwrap();
    assert_eq!(whole.dims(), [5, 2]);
    let pieces = Input::each([tensor.clone(), tensor.narrow(0, 2, 1).unwrap()]);
    assert_eq!(pieces.tensor_part(2, 1).unwrap().to_vec2::<u32>().unwrap(), [[4, 5]]);
}

#[test]
fn keywords_are_cut_or_the_same_for_all() {
    let batch = Batch::new(zeros(&[4, 2]), zeros(&[4]))
        .with_keyword("mask", Input::along(zeros(&[3, 4]), 1))
        .with_keyword("scale", Input::same(0.5));
    assert_eq!(batch.check(&all(2)), Ok(()));
    let rows = Rows::of(&batch, 2);
    let keywords = batch.keywords_of(&rows, MicroBatch::new(1), Purpose::Training).unwrap();
    assert_eq!(keywords.tensor("mask").unwrap().unwrap().dims(), [3, 2]);
    assert!(matches!(keywords.get("scale"), Some(InputValue::Float(half)) if *half == 0.5));
    assert!(keywords.tensor("nothing").unwrap().is_none());
    let error = keywords.tensor("scale").unwrap_err().to_string();
    assert!(error.contains("`scale` has to be a tensor, got a number"), "{error}");
}

#[test]
fn what_does_not_fit_is_named() {
    let check = |batch: &Batch, n| batch.check(&all(n)).unwrap_err().to_string();
    assert_eq!(
        check(&Batch::new(zeros(&[2, 2]), Input::same(zeros(&[]))), 3),
        "input 0 has 2 samples along dimension 0, but the schedule has 3 microbatches and each needs one"
    );
    assert_eq!(
        check(&Batch::new(zeros(&[4, 2]), zeros(&[5])), 2),
        "target has 5 samples along dimension 0, input 0 has 4"
    );
    assert_eq!(
        check(&Batch::new(zeros(&[]), zeros(&[2])), 1),
        "input 0 has 0 dimensions, so it cannot be cut along dimension 0; `Input::same` gives all \
         of it to every microbatch"
    );
    assert_eq!(
        check(&Batch::new(Input::each([zeros(&[2])]), zeros(&[2])), 2),
        "input 0 comes in 1 pieces, the schedule has 2 microbatches"
    );
    let batch = Batch::new(Input::same("no"), zeros(&[2])).with_keyword("msk", Input::same(1i64));
    assert_eq!(
        check(&batch, 2),
        "stage 3 takes no keyword input `msk`; it takes `mask`, `scale`; \
         input 0 is a text; only a keyword input can be something other than a tensor"
    );
}

#[test]
fn a_rank_asks_for_what_it_needs() {
    let batch = Batch::new(zeros(&[5]), zeros(&[5]));
    assert_eq!(batch.check(&all(2)), Ok(()));
    let empty = Batch { inputs: Vec::new(), target: None, ..batch.clone() };
    assert_eq!(
        empty.check(&all(1)),
        Err(BatchError::Several(vec![BatchError::NoInput, BatchError::NoTarget]))
    );
    assert_eq!(empty.check(&nothing(1)), Ok(()), "a rank between the ends needs nothing");
    let of_three = Needs { seq_len: Some(3), ..nothing(1) };
    let batch_of = |len| Batch::new(zeros(&[5, len]), zeros(&[5, len]));
    assert_eq!(batch_of(3).check(&of_three), Ok(()));
    assert_eq!(batch_of(4).check(&of_three), Err(BatchError::SeqLen { got: 4, expected: 3 }));
    assert_eq!(
        batch.clone().with_loss_scale(1.0 / 0.0).check(&all(2)).unwrap_err().to_string(),
        "the loss scale is inf; it has to be finite: a batch without labels has none"
    );
    assert_eq!(
        batch.clone().with_share(1.5).check(&all(2)).unwrap_err().to_string(),
        "the batch's share of the optimiser's step is 1.5; it has to be between 0 and 1: 1 over the \
         number of batches that make the step, if they are equal"
    );
    assert!(batch.clone().with_share(f64::NAN).check(&all(2)).is_err());
    let unlabelled = Batch { target: None, ..batch };
    assert_eq!(unlabelled.check(&all(2)), Err(BatchError::NoTarget));
}

/// Share and first row of each of three microbatches.
fn told(batch: &Batch) -> Vec<(f64, Option<usize>)> {
    let rows = Rows::of(batch, 3);
    assert_eq!(Rows::new(rows.counts().collect(), 3), rows);
    let told = (0..3).map(|index| {
        let index = MicroBatch::new(index);
        let keywords = batch.keywords_of(&rows, index, Purpose::Training).unwrap();
        assert!(keywords.noise().is_none_or(|noise| noise.seed == 7));
        let evaluated = batch.keywords_of(&rows, index, Purpose::Evaluation).unwrap();
        assert_eq!(evaluated.noise(), None, "nothing is left to chance in an evaluation");
        assert_eq!(evaluated.share(), keywords.share());
        (keywords.share(), keywords.noise().map(|noise| noise.first_row))
    });
    told.collect()
}

#[test]
fn a_microbatch_has_as_large_a_share_as_it_has_rows() {
    let batch = Batch::new(zeros(&[5, 2]), zeros(&[5]));
    assert_eq!(told(&batch), [(0.4, None), (0.4, None), (0.2, None)]);
    let seeded = batch.clone().with_seed(7);
    assert_eq!(told(&seeded), [(0.4, Some(0)), (0.4, Some(2)), (0.2, Some(4))]);
    let half = batch.with_share(0.5);
    assert_eq!(told(&half), [(0.2, None), (0.2, None), (0.1, None)]);

    let columns = Input::along(zeros(&[2, 5]), 1);
    let pieces = |sizes: [usize; 3]| Input::each(sizes.map(|rows| zeros(&[rows, 2])));
    let scalars = Input::each([zeros(&[]), zeros(&[]), zeros(&[])]);
    let same = || Input::same(zeros(&[9, 2]));
    for (input, target, expected) in [
        (columns, same(), [(0.4, Some(0)), (0.4, Some(2)), (0.2, Some(4))]),
        (pieces([1, 0, 3]), same(), [(0.25, Some(0)), (0., Some(1)), (0.75, Some(1))]),
        (same(), pieces([1, 1, 2]), [(0.25, Some(0)), (0.25, Some(1)), (0.5, Some(2))]),
        (scalars, same(), [(1. / 3., Some(0)), (1. / 3., Some(1)), (1. / 3., Some(2))]),
        (pieces([0, 0, 0]), same(), [(1. / 3., Some(0)), (1. / 3., Some(1)), (1. / 3., Some(2))]),
    ] {
        assert_eq!(told(&Batch::new(input, target).with_seed(7)), expected);
    }
}

#[test]
fn keywords_are_the_whole_step_unless_told_otherwise() {
    let keywords: super::Keywords = [("scale", 0.5)].into_iter().collect();
    assert_eq!((keywords.share(), keywords.noise()), (1.0, None));
    let noise = Some(Noise { seed: 3, first_row: 4 });
    let other = keywords.with_share(0.25).with_noise(noise);
    assert_eq!((other.share(), other.noise()), (0.25, noise));
    assert_eq!(other.iter().count(), 1);
}
