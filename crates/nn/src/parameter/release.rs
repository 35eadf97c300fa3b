//! The numbers of a parameter, given up and brought back where every holder of the tensor looks.

use std::cell::Cell;
use std::mem::replace;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Result, Tensor, WithDType, bail};
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
    /// If the parameter is frozen, as others may hold the numbers of such a one, or on a device that is
    /// neither the CPU nor a GPU that this build knows (feature `cuda`).
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
        exchange(tensor, Numbers::none(tensor.device())?)?;
        Ok(())
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
            DType::F16 => joined::<f16>(slices, tensor),
            DType::BF16 => joined::<bf16>(slices, tensor),
            DType::F32 => joined::<f32>(slices, tensor),
            DType::F64 => joined::<f64>(slices, tensor),
            _ => Err(candle_core::Error::UnsupportedDTypeForOp(expected_dtype, "restore").bt()),
        };
        exchange(tensor, numbers?)?;
        Ok(())
    }

    /// Whether the numbers are given up.
    pub fn is_released(&self) -> bool {
        let (storage, _) = self.value().storage_and_layout();
        storage.dtype() == NO_NUMBERS
    }

    /// The tensor whose storage may be exchanged: its own, from the first number to the last.
    fn replaceable(&self) -> std::result::Result<&Tensor, Error> {
        let why = match &self.inner.value {
            Value::Trainable(_, outside) if is_known(outside.device()) => return Ok(outside),
            Value::Trainable(..) => "it is on a device that this build does not know",
            Value::Frozen(_) => "it is frozen, and others may hold them",
        };
        Err(Error::CannotRelease { parameter: self.name().to_owned(), why })
    }
}

/// What stands for numbers that are given up: no operation of candle or of this crate takes this dtype,
/// and no tensor of a model has it.
const NO_NUMBERS: DType = DType::F4;

/// The numbers of a tensor, without it.
enum Numbers {
    Cpu(CpuStorage),
    #[cfg(feature = "cuda")]
    Cuda(CudaStorage),
}

fn is_known(device: &Device) -> bool {
    device.is_cpu() || (cfg!(feature = "cuda") && device.is_cuda())
}

impl Numbers {
    /// What stands for those that are given up.
    fn none(device: &Device) -> Result<Self> {
        match device {
            Device::Cpu => Ok(Self::Cpu(CpuStorage::F4(Vec::new()))),
            #[cfg(feature = "cuda")]
            Device::Cuda(device) => {
                use candle_core::cuda_backend::{CudaStorageSlice, WrapErr as _};
                // Not every GPU gives memory of no bytes.
                let slice = CudaStorageSlice::F4(device.cuda_stream().alloc_zeros(1).w()?);
                Ok(Self::Cuda(CudaStorage { slice, device: device.clone() }))
            }
            other => bail!("numbers on {:?} are not given up", other.location()),
        }
    }
}

/// The numbers of the slices, one after the other, where the `tensor` is.
fn joined<T: WithDType>(slices: &[Tensor], tensor: &Tensor) -> Result<Numbers> {
    if !tensor.device().is_cpu() {
        let here = |slice: &Tensor| slice.detach().flatten_all()?.to_device(tensor.device());
        let slices = slices.iter().filter(|slice| slice.elem_count() > 0);
        let slices = slices.map(here).collect::<Result<Vec<_>>>()?;
        let joined = match slices.as_slice() {
            // A storage of its own, which somebody else has not, with these numbers alone.
            [one] => one.force_contiguous(),
            _ => Tensor::cat(&slices, 0),
        }?;
        return exchange(&joined, Numbers::none(tensor.device())?);
    }
    let mut numbers: Vec<T> = Vec::with_capacity(tensor.elem_count());
    for slice in slices {
        let slice = slice.contiguous()?;
        let (storage, layout) = slice.storage_and_layout();
        let all = T::cpu_storage_as_slice(cpu(&storage)?)?;
        numbers.extend_from_slice(&all[layout.start_offset()..][..slice.elem_count()]);
    }
    Ok(Numbers::Cpu(T::to_cpu_storage_owned(numbers)))
}

/// Puts other numbers, or none, where those of a tensor are, and returns these.
fn exchange(tensor: &Tensor, with: Numbers) -> Result<Numbers> {
    struct Exchange(Cell<Option<Numbers>>);

    impl InplaceOp1 for Exchange {
        fn name(&self) -> &'static str {
            "exchange of a parameter's numbers"
        }

        fn cpu_fwd(&self, storage: &mut CpuStorage, _: &Layout) -> Result<()> {
            match self.0.take() {
                Some(Numbers::Cpu(with)) => {
                    self.0.set(Some(Numbers::Cpu(replace(storage, with))));
                    Ok(())
                }
                _ => bail!("a parameter on the CPU is given the numbers of another device"),
            }
        }

        #[cfg(feature = "cuda")]
        fn cuda_fwd(&self, storage: &mut CudaStorage, _: &Layout) -> Result<()> {
            match self.0.take() {
                Some(Numbers::Cuda(with)) => {
                    self.0.set(Some(Numbers::Cuda(replace(storage, with))));
                    Ok(())
                }
                _ => bail!("a parameter on a GPU is given the numbers of another device"),
            }
        }
    }

    let op = Exchange(Cell::new(Some(with)));
    tensor.inplace_op1(&op)?;
    match op.0.into_inner() {
        Some(numbers) => Ok(numbers),
        None => bail!("a parameter has not got its numbers"),
    }
}
