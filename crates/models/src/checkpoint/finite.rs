//! Looks for numbers that no training can go on with.

use candle_core::{DType, Result, Tensor};

/// The first NaN or infinity of a tensor, with its index along each dimension.
pub(super) fn first_non_finite(tensor: &Tensor) -> Result<Option<(String, Vec<usize>)>> {
    let numbers = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
    let found = numbers.iter().enumerate().find(|(_, number)| !number.is_finite());
    Ok(found.map(|(place, number)| (number.to_string(), index(place, tensor.dims()))))
}

/// The index along each dimension of the number at a place in memory.
fn index(mut place: usize, dims: &[usize]) -> Vec<usize> {
    let mut index: Vec<usize> = dims
        .iter()
        .rev()
        .map(|&size| {
            let here = place % size.max(1);
            place /= size.max(1);
            here
        })
        .collect();
    index.reverse();
    index
}
