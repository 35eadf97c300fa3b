//! Labels: classes, or a mark for what does not count.

use candle_core::{DType, Result, Tensor};

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

/// The class of every position, `None` where there is none.
pub(super) fn read(labels: &Tensor, num_classes: usize) -> Result<Vec<Option<usize>>> {
    let class = |label| {
        if label == IGNORE_INDEX {
            return Ok(None);
        }
        match usize::try_from(label) {
            Ok(class) if class < num_classes => Ok(Some(class)),
            _ => Err(Error::LabelOutOfRange { label, num_classes }.into()),
        }
    };
    to_vec(labels)?.into_iter().map(class).collect()
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
