//! A batch in a safetensors file.

use std::path::Path;

use candle_core::safetensors::SliceSafetensors;
use candle_core::{DType, Device, Tensor};

use super::{BatchProblem, Rows};
use crate::train::read_regular;

/// The numbers of `input_ids` and `labels`; whether they fit a model is for others to say.
///
/// # Errors
/// All that is wrong with the file.
pub(super) fn read(path: &Path) -> Result<Rows, Vec<BatchProblem>> {
    let bytes = read_regular(path)
        .map_err(|source| vec![BatchProblem::Read { path: path.to_owned(), source }])?;
    let format = |source| vec![BatchProblem::Format { path: path.to_owned(), source }];
    let file = SliceSafetensors::new(&bytes).map_err(format)?;

    let missing = ["input_ids", "labels"].into_iter().filter(|name| file.get(name).is_err());
    let missing: Vec<&str> = missing.collect();
    if !missing.is_empty() {
        let (path, names) = (path.to_owned(), missing.join("` and no `"));
        return Err(vec![BatchProblem::Missing { path, names, has: listed(&file) }]);
    }
    let mut problems = Vec::new();
    let input_ids = keep(&mut problems, table(path, &file, "input_ids"));
    let labels = keep(&mut problems, table(path, &file, "labels"));
    let (Some(input_ids), Some(labels)) = (input_ids, labels) else { return Err(problems) };
    if input_ids.dims() != labels.dims() {
        let (input_ids, labels) = (input_ids.dims().to_vec(), labels.dims().to_vec());
        return Err(vec![BatchProblem::Shapes { input_ids, labels }]);
    }
    let (batch_size, seq_len) = input_ids.dims2().map_err(format)?;
    let numbers = |tensor: &Tensor| tensor.flatten_all()?.to_vec1::<i64>();
    Ok(Rows {
        batch_size,
        seq_len,
        input_ids: numbers(&input_ids).map_err(format)?,
        labels: numbers(&labels).map_err(format)?,
    })
}

fn keep(problems: &mut Vec<BatchProblem>, result: Result<Tensor, BatchProblem>) -> Option<Tensor> {
    result.map_err(|problem| problems.push(problem)).ok()
}

/// A tensor of two dimensions, as i64.
fn table(
    path: &Path,
    file: &SliceSafetensors<'_>,
    name: &'static str,
) -> Result<Tensor, BatchProblem> {
    let format = |source| BatchProblem::Format { path: path.to_owned(), source };
    let view = file.get(name).map_err(format)?;
    let dims = view.shape().to_vec();
    let whole = [DType::I64, DType::I32, DType::U32, DType::U8];
    let dtype = DType::try_from(view.dtype()).ok().filter(|dtype| whole.contains(dtype));
    if dtype.is_none() {
        return Err(BatchProblem::DType { name, dtype: format!("{:?}", view.dtype()) });
    }
    if dims.len() != 2 {
        return Err(BatchProblem::Shape { name, dims });
    }
    let tensor = file.load(name, &Device::Cpu).and_then(|tensor| tensor.to_dtype(DType::I64));
    tensor.map_err(format)
}

/// The tensors of a file, in the order of their names.
fn listed(file: &SliceSafetensors<'_>) -> String {
    let mut tensors = file.tensors();
    if tensors.is_empty() {
        return "nothing".to_owned();
    }
    tensors.sort_by(|(a, _), (b, _)| a.cmp(b));
    let each = tensors
        .iter()
        .map(|(name, view)| format!("`{name}` ({:?} of {:?})", view.shape(), view.dtype()));
    each.collect::<Vec<_>>().join(", ")
}
