//! The numbers of a parameter, given up and brought back where every holder of the tensor looks.

use std::cell::Cell;

use candle_core::{CpuStorage, DType, InplaceOp1, Layout, Result, Storage, Tensor, WithDType};
use half::{bf16, f16};

use super::{Parameter, Value};
use crate::Error;
use crate::cpu::cpu;

impl Parameter {
    /// Gives the memory of the numbers back; name, shape, dtype and gradient stay. The tensor that
    /// layers and graphs hold is the same as before, and has its numbers again after
    /// [`restore`](Self::restore): a graph may be built, lose its weights, get them back and go
    /// backward. Nothing happens if they are released already.
    ///
    /// Whoever computes with released numbers gets an error and never a number: the storage has then
    /// a dtype with which no operation computes.
    ///
    /// # Errors
    /// If the parameter is frozen, as others may hold the numbers of such a one, or not on the CPU.
    ///
    /// # Examples
    /// ```
    /// use autopipe_nn::{Linear, Parameters};
    /// use candle_core::{DType, Device, Tensor};
    ///
    /// let mut parameters = Parameters::new();
    /// let weight = parameters.add("weight", Tensor::ones((2, 3), DType::F32, &Device::Cpu)?, true)?;
    /// let linear = Linear::new(weight.clone(), None)?;
    /// let x = Tensor::ones((1, 3), DType::F32, &Device::Cpu)?;
    ///
    /// weight.release()?;
    /// assert!(linear.forward(&x).is_err());
    /// let halves = [Tensor::new(&[1f32, 2., 3.], &Device::Cpu)?, Tensor::new(&[4f32, 5., 6.], &Device::Cpu)?];
    /// weight.restore(&halves)?;
    /// assert_eq!(linear.forward(&x)?.to_vec2::<f32>()?, [[6., 15.]]);
    /// # Ok::<(), autopipe_nn::Error>(())
    /// ```
    pub fn release(&self) -> std::result::Result<(), Error> {
        let tensor = self.replaceable()?;
        // No operation of candle or of this crate takes this dtype; no tensor of a model has it.
        Ok(replace(tensor, CpuStorage::F4(Vec::new()))?)
    }

    /// Gives the parameter numbers again, or others in place of those it has: the `slices`, one
    /// after the other, in the order of its elements. Whoever holds the tensor sees them.
    ///
    /// # Errors
    /// If they are not as many numbers of the parameter's dtype, which is float16, bfloat16, float32
    /// or float64; or as [`release`](Self::release). The parameter is as it was.
    pub fn restore(&self, slices: &[Tensor]) -> std::result::Result<(), Error> {
        let tensor = self.replaceable()?;
        let expected_dtype = self.dtype();
        let other = slices.iter().map(Tensor::dtype).find(|&dtype| dtype != expected_dtype);
        let (expected, actual) =
            (self.num_elements(), slices.iter().map(Tensor::elem_count).sum::<usize>());
        if expected != actual || other.is_some() {
            return Err(Error::Slices {
                parameter: self.name().to_owned(),
                expected,
                expected_dtype,
                actual,
                actual_dtype: other.unwrap_or(expected_dtype),
            });
        }
        let numbers = match expected_dtype {
            DType::F16 => joined::<f16>(slices, expected),
            DType::BF16 => joined::<bf16>(slices, expected),
            DType::F32 => joined::<f32>(slices, expected),
            DType::F64 => joined::<f64>(slices, expected),
            _ => Err(candle_core::Error::UnsupportedDTypeForOp(expected_dtype, "restore").bt()),
        };
        Ok(replace(tensor, numbers?)?)
    }

    /// Whether the numbers are given up.
    pub fn is_released(&self) -> bool {
        let (storage, _) = self.value().storage_and_layout();
        matches!(&*storage, Storage::Cpu(CpuStorage::F4(_)))
    }

    /// The tensor whose storage may be exchanged: its own, from the first number to the last.
    fn replaceable(&self) -> std::result::Result<&Tensor, Error> {
        let why = match &self.inner.value {
            Value::Trainable(_, outside) if outside.device().is_cpu() => return Ok(outside),
            Value::Trainable(..) => "it is not on the CPU",
            Value::Frozen(_) => "it is frozen, and others may hold them",
        };
        Err(Error::CannotRelease { parameter: self.name().to_owned(), why })
    }
}

fn joined<T: WithDType>(slices: &[Tensor], num_elements: usize) -> Result<CpuStorage> {
    let mut numbers: Vec<T> = Vec::with_capacity(num_elements);
    for slice in slices {
        let slice = slice.contiguous()?;
        let (storage, layout) = slice.storage_and_layout();
        let all = T::cpu_storage_as_slice(cpu(&storage)?)?;
        numbers.extend_from_slice(&all[layout.start_offset()..][..slice.elem_count()]);
    }
    Ok(T::to_cpu_storage_owned(numbers))
}

/// Puts other numbers, or none, where those of a tensor are.
fn replace(tensor: &Tensor, with: CpuStorage) -> Result<()> {
    struct Replace(Cell<Option<CpuStorage>>);

    impl InplaceOp1 for Replace {
        fn name(&self) -> &'static str {
            "exchange of a parameter's numbers"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
            if let Some(with) = self.0.take() {
                *storage = with;
            }
            Ok(())
        }
    }

    tensor.inplace_op1(&Replace(Cell::new(Some(with))))
}
