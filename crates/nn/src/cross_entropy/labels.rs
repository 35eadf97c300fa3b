//! Labels: classes, or a mark for what does not count.

use candle_core::{DType, Device, Result, Tensor};

use crate::Error;

/// The label of a position that has no part in the loss, as in torch and Hugging Face.
///
/// Labels of u32 cannot say it.
pub const IGNORE_INDEX: i64 = -100;

/// How many of the labels (u32 or i64, any shape) are not [`IGNORE_INDEX`].
///
/// # Errors
/// If the labels have another dtype.
pub fn count_labels(labels: &Tensor) -> Result<usize> {
    Ok(to_vec(labels)?.into_iter().filter(|&label| label != IGNORE_INDEX).count())
}

/// What a position's label is to logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Label {
    /// Nothing.
    Ignored,
    /// One of their classes, by its place.
    Own(usize),
    /// A class whose logits another rank has.
    Elsewhere,
}

/// The labels of logits of all classes.
pub(super) fn of_whole(labels: &Tensor, num_classes: usize) -> Result<Vec<Label>> {
    of_part(labels, num_classes, 0, num_classes)
}

/// The labels of logits of `width` classes from `start` on, of `num_classes`.
pub(super) fn of_part(
    labels: &Tensor,
    num_classes: usize,
    start: usize,
    width: usize,
) -> Result<Vec<Label>> {
    let own = |label| {
        if label == IGNORE_INDEX {
            return Ok(Label::Ignored);
        }
        match usize::try_from(label) {
            Ok(class) if class < num_classes => Ok(class
                .checked_sub(start)
                .filter(|&place| place < width)
                .map_or(Label::Elsewhere, Label::Own)),
            _ => Err(Error::LabelOutOfRange { label, num_classes }.into()),
        }
    };
    to_vec(labels)?.into_iter().map(own).collect()
}

/// The place of each row's label among the classes, `[rows, 1]`: the first where it has none.
pub(super) fn index(labels: &[Label], device: &Device) -> Result<Tensor> {
    let place = |label: &Label| match *label {
        Label::Own(class) => u32::try_from(class).map_err(candle_core::Error::wrap),
        Label::Elsewhere | Label::Ignored => Ok(0),
    };
    let places = labels.iter().map(place).collect::<Result<Vec<u32>>>()?;
    Tensor::from_vec(places, (labels.len(), 1), device)
}

/// One for each row whose label `is_so`, else zero, `[rows, 1]` and otherwise like a tensor.
pub(super) fn factors(
    labels: &[Label],
    is_so: impl Fn(Label) -> bool,
    like: &Tensor,
) -> Result<Tensor> {
    let factors = labels.iter().map(|&label| if is_so(label) { 1f32 } else { 0. }).collect();
    Tensor::from_vec(factors, (labels.len(), 1), like.device())?.to_dtype(like.dtype())
}

/// The rows whose label `is_so`; zeros for the others, whatever they have.
pub(super) fn only(
    labels: &[Label],
    is_so: impl Fn(Label) -> bool,
    rows: &Tensor,
) -> Result<Tensor> {
    let is_so = factors(labels, is_so, rows)?.ne(0f64)?;
    is_so.broadcast_as(rows.shape())?.where_cond(rows, &rows.zeros_like()?)
}

fn to_vec(labels: &Tensor) -> Result<Vec<i64>> {
    match labels.dtype() {
        DType::U32 => {
            Ok(labels.flatten_all()?.to_vec1::<u32>()?.into_iter().map(i64::from).collect())
        }
        DType::I64 => labels.flatten_all()?.to_vec1(),
        actual => Err(Error::InputDType {
            layer: "cross entropy",
            expected: "labels of u32 or i64",
            actual,
        }
        .into()),
    }
}
