//! What an optimiser remembers of one parameter.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Shape, Tensor};

use crate::every_device::wide_dtype;
use crate::{Error, Parameter};

/// The name of the master weights in a [`State`].
pub(super) const MASTER: &str = "master";

/// A copy of what an optimiser remembers of one parameter, to be saved and loaded. That of a slice
/// ([`Parameters::slices`](crate::Parameters::slices)) is the same slice of the whole parameter's.
#[derive(Clone, Debug)]
pub struct State {
    /// How many steps the parameter has made.
    pub step: u32,
    /// By torch's names, each of the parameter's shape and float32, or float64 if the parameter is:
    /// `exp_avg`, `exp_avg_sq`, `momentum_buffer`, as [`Rule::state_names`](super::Rule::state_names)
    /// tells them, and `master`.
    pub tensors: BTreeMap<String, Tensor>,
}

/// The same as the optimiser holds it.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) step: u32,
    /// All tensors, one after the other: `[tensors, n]`. One tensor, so that a step can write all of
    /// them in one pass.
    pub(super) packed: Tensor,
    names: Vec<&'static str>,
    /// The parameter's.
    shape: Shape,
    dtype: DType,
}

impl Memory {
    /// Before the first step: nothing but the parameter itself in full precision, if it is to be
    /// remembered.
    pub(super) fn new(parameter: &Parameter, names: Vec<&'static str>) -> Result<Self> {
        let (num_rows, num) = (names.len(), parameter.num_elements());
        let packed = zeros(num_rows, parameter)?;
        if num > 0 && names.last() == Some(&MASTER) {
            let value = parameter.value().detach().to_dtype(packed.dtype())?.reshape((1, num))?;
            packed.slice_set(&value.contiguous()?, 0, num_rows - 1)?;
        }
        Ok(Self {
            step: 0,
            packed,
            names,
            shape: parameter.shape().clone(),
            dtype: parameter.dtype(),
        })
    }

    /// From a saved state.
    ///
    /// # Errors
    /// If it is not one of this parameter under these `names`.
    pub(super) fn load(
        parameter: &Parameter,
        names: Vec<&'static str>,
        state: &State,
    ) -> Result<Self> {
        if !state.tensors.keys().map(String::as_str).eq(sorted(&names)) {
            return Err(Error::StateNames {
                parameter: parameter.name().to_owned(),
                expected: names.iter().map(|&name| name.to_owned()).collect(),
                actual: state.tensors.keys().cloned().collect(),
            }
            .into());
        }
        let (dtype, num) = (dtype_of(parameter), parameter.num_elements());
        let packed = zeros(names.len(), parameter)?;
        for (row, &name) in names.iter().enumerate() {
            let tensor = &state.tensors[name];
            if tensor.shape() != parameter.shape() || tensor.dtype() != dtype {
                return Err(Error::StateTensor {
                    parameter: parameter.name().to_owned(),
                    tensor: name.to_owned(),
                    expected: parameter.shape().clone(),
                    expected_dtype: dtype,
                    actual: tensor.shape().clone(),
                    actual_dtype: tensor.dtype(),
                }
                .into());
            }
            let tensor = tensor.to_device(parameter.device())?.reshape((1, num))?.contiguous()?;
            packed.slice_set(&tensor, 0, row)?;
        }
        Ok(Self {
            step: state.step,
            packed,
            names,
            shape: parameter.shape().clone(),
            dtype: parameter.dtype(),
        })
    }

    /// # Errors
    /// If this is of another parameter of the same name.
    pub(super) fn check(&self, parameter: &Parameter) -> Result<()> {
        if parameter.shape() == &self.shape && parameter.dtype() == self.dtype {
            return Ok(());
        }
        Err(Error::StateOfAnother {
            parameter: parameter.name().to_owned(),
            actual: parameter.shape().clone(),
            actual_dtype: parameter.dtype(),
            remembered: self.shape.clone(),
            remembered_dtype: self.dtype,
        }
        .into())
    }

    /// A copy, which later steps do not change.
    pub(super) fn save(&self) -> Result<State> {
        let tensor = |(row, &name): (usize, &&str)| {
            let tensor = self.packed.get(row)?.force_contiguous()?.reshape(&self.shape)?;
            Ok((name.to_owned(), tensor))
        };
        let tensors = self.names.iter().enumerate().map(tensor).collect::<Result<_>>()?;
        Ok(State { step: self.step, tensors })
    }
}

fn sorted<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let mut names = names.to_vec();
    names.sort_unstable();
    names
}

/// So many rows of as many numbers as a parameter has.
fn zeros(num_rows: usize, parameter: &Parameter) -> Result<Tensor> {
    // Not every device can fill a tensor without numbers.
    let num = parameter.num_elements();
    let device = if num_rows * num == 0 { &Device::Cpu } else { parameter.device() };
    Tensor::zeros((num_rows, num), dtype_of(parameter), device)
}

/// What the numbers of a parameter are updated in.
fn dtype_of(parameter: &Parameter) -> DType {
    wide_dtype(parameter.dtype())
}
