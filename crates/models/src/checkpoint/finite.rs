//! Looks for numbers that no training can go on with.

use candle_core::{DType, Device, Result, Tensor};

use super::{Checkpoint, CheckpointProblem};
use crate::Error;

impl Checkpoint {
    /// Reads all tensors, one after the other, and looks for NaNs and infinities. Tensors of numbers
    /// that weights do not come in are passed over.
    ///
    /// # Errors
    /// The first such number of every tensor that has one, all at once; or if a file cannot be read
    /// any more.
    pub fn check_finite(&self) -> std::result::Result<(), Error> {
        let mut problems = Vec::new();
        for (name, &place) in &self.tensors {
            let file = &self.files[place];
            if !file.is_readable(name) {
                continue;
            }
            let tensor = file.read(name, DType::F32, &Device::Cpu)?;
            problems.extend(self.not_finite(name, &tensor)?);
        }
        if problems.is_empty() {
            Ok(())
        } else {
            Err(Error::Checkpoint { folder: self.folder.clone(), problems })
        }
    }

    /// The first NaN or infinity of the tensor that has been read under a name.
    pub(super) fn not_finite(
        &self,
        name: &str,
        tensor: &Tensor,
    ) -> std::result::Result<Option<CheckpointProblem>, Error> {
        let failed = |source| Error::Parameter { name: name.to_owned(), source };
        let found = first_non_finite(tensor).map_err(failed)?;
        let file = self.tensors.get(name).map_or("", |&place| self.files[place].name());
        let (file, tensor) = (file.to_owned(), name.to_owned());
        Ok(found.map(|(value, index)| CheckpointProblem::NotFinite { file, tensor, value, index }))
    }
}

impl CheckpointProblem {
    /// The same of a number that is finite in the file.
    pub(super) fn converted_to(self, dtype: DType) -> Self {
        match self {
            Self::NotFinite { file, tensor, value, index } => {
                let value = format!("{value} as {}", dtype.as_str());
                Self::NotFinite { file, tensor, value, index }
            }
            other => other,
        }
    }
}

/// The first NaN or infinity of a tensor, with its index along each dimension.
fn first_non_finite(tensor: &Tensor) -> Result<Option<(String, Vec<usize>)>> {
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
