//! A tensor as bytes: its number type, its shape, its numbers row by row, as the machine has them:
//! all processes run on machines of one kind.

use candle_core::{CpuStorage, DType, Device, Storage, Tensor};

use super::super::parcel::Parcel;
use super::{Reader, WireError, put_word};
use crate::Error;

/// The number types that can be sent; the place of each is its code.
const DTYPES: [DType; 7] =
    [DType::F32, DType::F64, DType::BF16, DType::F16, DType::I64, DType::U32, DType::U8];

/// The code of a number type, `None` if tensors of it cannot be sent.
pub(in super::super) fn code_of(dtype: DType) -> Option<u64> {
    DTYPES.iter().position(|&known| known == dtype).map(|code| code as u64)
}

/// The number type of a code.
pub(in super::super) fn dtype_of(code: u64) -> Option<DType> {
    usize::try_from(code).ok().and_then(|code| DTYPES.get(code)).copied()
}

/// How many bytes the numbers of a tensor have; `None` if that is beyond all bounds, also where a
/// dimension of zero hides the product of the others.
pub(in super::super) fn num_bytes(dtype: DType, dims: &[usize]) -> Option<usize> {
    let product = |least: usize| {
        let mut dims = dims.iter().map(|&dim| dim.max(least));
        dims.try_fold(dtype.size_in_bytes(), usize::checked_mul)
    };
    product(1).and(product(0))
}

/// # Errors
/// If a tensor cannot go to another process.
pub(in super::super) fn unsendable(tensor: &Tensor) -> Result<(), Error> {
    if !DTYPES.contains(&tensor.dtype()) {
        return Err(Error::Unsendable { dtype: tensor.dtype() });
    }
    Ok(())
}

/// Whether it comes from a GPU is told beside the code of its number type.
const OF_GPU: u64 = 1 << 32;

pub(super) fn put(bytes: &mut Vec<u8>, parcel: &Parcel) -> Result<(), WireError> {
    let tensor = &parcel.tensor;
    let dtype = tensor.dtype();
    let code = code_of(dtype).ok_or(WireError::Unsendable(dtype))?;
    put_word(bytes, if parcel.is_of_gpu { code | OF_GPU } else { code });
    put_word(bytes, tensor.rank() as u64);
    tensor.dims().iter().for_each(|&dim| put_word(bytes, dim as u64));

    // Of what is a part of a whole, a GPU copies the part only.
    let is_on_gpu = !tensor.device().is_cpu();
    let tensor = if is_on_gpu { tensor.force_contiguous()? } else { tensor.contiguous()? };
    let tensor = tensor.to_device(&Device::Cpu)?;
    let (storage, layout) = tensor.storage_and_layout();
    let (from, to) = (layout.start_offset(), layout.start_offset() + tensor.elem_count());
    let Storage::Cpu(storage) = &*storage else { return Err(WireError::Unsendable(dtype)) };
    match storage {
        CpuStorage::F32(all) => put_numbers(bytes, &all[from..to], |x| x.to_ne_bytes()),
        CpuStorage::F64(all) => put_numbers(bytes, &all[from..to], |x| x.to_ne_bytes()),
        CpuStorage::BF16(all) => put_numbers(bytes, &all[from..to], |x| x.to_ne_bytes()),
        CpuStorage::F16(all) => put_numbers(bytes, &all[from..to], |x| x.to_ne_bytes()),
        CpuStorage::I64(all) => put_numbers(bytes, &all[from..to], |x| x.to_ne_bytes()),
        CpuStorage::U32(all) => put_numbers(bytes, &all[from..to], |x| x.to_ne_bytes()),
        CpuStorage::U8(all) => bytes.extend_from_slice(&all[from..to]),
        CpuStorage::I16(_)
        | CpuStorage::I32(_)
        | CpuStorage::F8E4M3(_)
        | CpuStorage::F6E2M3(_)
        | CpuStorage::F6E3M2(_)
        | CpuStorage::F4(_)
        | CpuStorage::F8E8M0(_) => return Err(WireError::Unsendable(dtype)),
    }
    Ok(())
}

/// A loop that is a copy once it is compiled well.
fn put_numbers<T: Copy, const N: usize>(
    bytes: &mut Vec<u8>,
    numbers: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) {
    let before = bytes.len();
    bytes.resize(before + numbers.len() * N, 0);
    for (place, &number) in bytes[before..].chunks_exact_mut(N).zip(numbers) {
        place.copy_from_slice(&to_bytes(number));
    }
}

pub(super) fn get(reader: &mut Reader<'_>) -> Result<Parcel, WireError> {
    let word = reader.word()?;
    let code = word & !OF_GPU;
    let dtype = dtype_of(code).ok_or(WireError::Dtype { code })?;
    let num_dims = reader.word()?;
    let dims: Vec<usize> = (0..num_dims).map(|_| reader.number()).collect::<Result<_, _>>()?;
    let Some(len) = num_bytes(dtype, &dims) else {
        return Err(WireError::Shape { dims });
    };
    let numbers = reader.bytes(len as u64)?;
    let tensor = Tensor::from_raw_buffer(numbers, dtype, &dims, &Device::Cpu)?;
    Ok(Parcel::read(tensor, word != code))
}
