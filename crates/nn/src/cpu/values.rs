//! The numbers of tensors as slices.

use candle_core::{CpuStorage, Error, Layout, Result, Storage, StorageRef, Tensor};

use super::{Number, Real};

/// A contiguous tensor on the CPU, held for reading.
pub(crate) struct Values<'a> {
    storage: StorageRef<'a>,
    layout: &'a Layout,
}

impl<'a> Values<'a> {
    pub(crate) fn of(tensor: &'a Tensor) -> Self {
        let (storage, layout) = tensor.storage_and_layout();
        Self { storage, layout }
    }

    /// # Errors
    /// If the tensor is strided, elsewhere, or of another dtype.
    pub(crate) fn slice<N: Number>(&self) -> Result<&[N]> {
        contiguous(cpu(&self.storage)?, self.layout)
    }
}

/// The storage, if it is the CPU's.
pub(crate) fn cpu(storage: &Storage) -> Result<&CpuStorage> {
    match storage {
        Storage::Cpu(storage) => Ok(storage),
        Storage::Cuda(_) | Storage::Metal(_) => {
            candle_core::bail!("a CPU kernel was given a tensor of another device")
        }
    }
}

fn range(layout: &Layout) -> Result<std::ops::Range<usize>> {
    let (start, end) = layout
        .contiguous_offsets()
        .ok_or_else(|| Error::RequiresContiguous { op: "a CPU kernel" }.bt())?;
    Ok(start..end)
}

/// The numbers of a contiguous tensor.
pub(crate) fn contiguous<'a, N: Number>(
    storage: &'a CpuStorage,
    layout: &Layout,
) -> Result<&'a [N]> {
    Ok(&N::cpu_storage_as_slice(storage)?[range(layout)?])
}

/// The numbers of a contiguous tensor, to be written.
pub(crate) fn contiguous_mut<'a, N: Number>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [N]> {
    Ok(&mut N::slice_mut(storage)?[range(layout)?])
}

/// `sum += x`, number by number.
#[inline(always)]
pub(crate) fn add_to<T: Real, N: Number<Real = T>>(sum: &mut [T], x: &[N]) {
    for (sum, &x) in sum.iter_mut().zip(x) {
        *sum += x.wide();
    }
}
