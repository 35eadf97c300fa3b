//! How the kernels are compiled and started.
#![expect(unsafe_code, reason = "a kernel trusts the pointers and the count that it is given")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaView, CudaViewMut, DeviceRepr, LaunchConfig, PushKernelArg as _,
};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaStorageSlice as Slice, WrapErr as _};
use candle_core::{
    CpuStorage, CudaStorage, DType, Error, InplaceOp1, Layout, Result, Storage, Tensor, bail,
};

use super::source::{self, GpuFormula, NUM_FACTORS};

/// Threads of a block.
const BLOCK: u32 = 256;
/// The most blocks of a launch: enough for every GPU there is; each thread takes several numbers if
/// there are more.
const MOST_BLOCKS: usize = 1 << 14;

/// A kernel's code for GPUs, compiled by the first who asks for it in this process.
fn compiled(module: &str, source: impl Fn() -> String) -> Result<Arc<str>> {
    static COMPILED: Mutex<BTreeMap<String, Arc<str>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ptx) = compiled.get(module) {
        return Ok(Arc::clone(ptx));
    }
    let ptx = compile_ptx(source());
    let ptx = ptx.map_err(|error| Error::Msg(format!("the kernel {module}: {error:?}")))?;
    let ptx: Arc<str> = ptx.to_src().into();
    compiled.insert(module.to_owned(), Arc::clone(&ptx));
    Ok(ptx)
}

fn over(num: usize) -> LaunchConfig {
    let blocks = num.div_ceil(BLOCK as usize).clamp(1, MOST_BLOCKS);
    let blocks = u32::try_from(blocks).unwrap_or(1);
    LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK, 1, 1), shared_mem_bytes: 0 }
}

/// What of a storage a contiguous layout shows.
fn range(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("a GPU kernel was given a tensor that is not contiguous"),
    }
}

/// The slice of a storage that is of one type of numbers.
trait Typed: DeviceRepr + Sized {
    const DTYPE: DType;
    fn of(slice: &Slice) -> Option<&CudaSlice<Self>>;
    fn of_mut(slice: &mut Slice) -> Option<&mut CudaSlice<Self>>;
    fn constant(value: f64) -> Self;
}

macro_rules! typed {
    ($type:ty, $variant:ident, $constant:expr) => {
        impl Typed for $type {
            const DTYPE: DType = DType::$variant;
            fn of(slice: &Slice) -> Option<&CudaSlice<Self>> {
                if let Slice::$variant(slice) = slice { Some(slice) } else { None }
            }
            fn of_mut(slice: &mut Slice) -> Option<&mut CudaSlice<Self>> {
                if let Slice::$variant(slice) = slice { Some(slice) } else { None }
            }
            fn constant(value: f64) -> Self {
                $constant(value)
            }
        }
    };
}
#[expect(clippy::cast_possible_truncation, reason = "kernels compute in float32")]
fn single(value: f64) -> f32 {
    value as f32
}
typed!(f32, F32, single);
typed!(f64, F64, std::convert::identity);
typed!(half::bf16, BF16, half::bf16::from_f64);

fn view<T: Typed>(storage: &CudaStorage, range: Range<usize>) -> Result<CudaView<'_, T>> {
    match T::of(&storage.slice) {
        Some(slice) => Ok(slice.slice(range)),
        None => bail!("a GPU kernel for {:?} was given a tensor of another type", T::DTYPE),
    }
}

fn view_mut<T: Typed>(
    storage: &mut CudaStorage,
    range: Range<usize>,
) -> Result<CudaViewMut<'_, T>> {
    match T::of_mut(&mut storage.slice) {
        Some(slice) => Ok(slice.slice_mut(range)),
        None => bail!("a GPU kernel for {:?} was given a tensor of another type", T::DTYPE),
    }
}

/// Hands the storage of a tensor on a GPU to `f` to be written; whoever else holds the tensor sees that.
fn write(tensor: &Tensor, f: impl FnOnce(&mut CudaStorage, &Layout) -> Result<()>) -> Result<()> {
    struct Write<F>(Cell<Option<F>>);

    impl<F: FnOnce(&mut CudaStorage, &Layout) -> Result<()>> InplaceOp1 for Write<F> {
        fn name(&self) -> &'static str {
            "write in place"
        }

        fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
            bail!("a GPU kernel was given a tensor on the CPU")
        }

        fn cuda_fwd(&self, storage: &mut CudaStorage, layout: &Layout) -> Result<()> {
            self.0.take().map_or(Ok(()), |f| f(storage, layout))
        }
    }

    tensor.inplace_op1(&Write(Cell::new(Some(f))))
}

/// A step of a rule on `value` and on `packed`, whose rows are what is remembered of it, and the numbers
/// in truth if there is one more. All are contiguous and on one GPU.
pub(crate) fn step(
    formula: &GpuFormula,
    num_rows: usize,
    value: &Tensor,
    grad: &Tensor,
    packed: &Tensor,
) -> Result<()> {
    match value.dtype() {
        DType::F32 => step_of::<f32, f32>(formula, num_rows, value, grad, packed),
        DType::F64 => step_of::<f64, f64>(formula, num_rows, value, grad, packed),
        DType::BF16 => step_of::<half::bf16, f32>(formula, num_rows, value, grad, packed),
        other => bail!("no GPU kernel of an optimiser is for {other:?}"),
    }
}

fn step_of<N: Typed, R: Typed>(
    formula: &GpuFormula,
    num_rows: usize,
    value: &Tensor,
    grad: &Tensor,
    packed: &Tensor,
) -> Result<()> {
    let num = value.elem_count();
    let rows = packed.dims2()?.0;
    if grad.elem_count() != num || packed.elem_count() != rows * num || rows < num_rows {
        bail!("an optimiser has {:?} for {num} numbers", packed.shape());
    }
    let has_truth = i32::from(rows > num_rows);
    let mut factors = std::array::from_fn::<R, NUM_FACTORS, _>(|_| R::constant(0.));
    for (factor, &value) in factors.iter_mut().zip(&formula.factors) {
        *factor = R::constant(value);
    }
    let (grad, grad_layout) = grad.storage_and_layout();
    let Storage::Cuda(grad) = &*grad else {
        bail!("a gradient is not on the GPU of its parameter")
    };
    let grad = view::<R>(grad, range(grad_layout)?)?;
    write(value, |value, value_layout| {
        write(packed, |packed, packed_layout| {
            let module = format!("autopipe-{}-{:?}", formula.name, N::DTYPE);
            let ptx = compiled(&module, || source::step(formula, num_rows, N::DTYPE))?;
            let kernel = value.device.get_or_load_custom_func("step", &module, &ptx)?;
            let mut value = view_mut::<N>(value, range(value_layout)?)?;
            let mut packed = view_mut::<R>(packed, range(packed_layout)?)?;
            let n = num as u64;
            let mut launch = kernel.builder();
            launch.arg(&mut value).arg(&grad).arg(&mut packed).arg(&n).arg(&has_truth);
            for factor in &factors {
                launch.arg(factor);
            }
            // SAFETY: the arguments are those of the kernel in number and type; the slices have `n`
            // numbers, and `rows` times as many, of which the kernel touches no others.
            unsafe { launch.launch(over(num)) }.w()?;
            Ok(())
        })
    })
}

/// `a += b`; `a` is of the type that `b` is computed in.
pub(crate) fn add(
    a: &mut CudaStorage,
    a_layout: &Layout,
    b: &CudaStorage,
    b_layout: &Layout,
) -> Result<()> {
    match b.slice {
        Slice::F32(_) => add_of::<f32, f32>(a, a_layout, b, b_layout),
        Slice::F64(_) => add_of::<f64, f64>(a, a_layout, b, b_layout),
        Slice::BF16(_) => add_of::<half::bf16, f32>(a, a_layout, b, b_layout),
        _ => bail!("no GPU kernel adds numbers of this type"),
    }
}

fn add_of<N: Typed, R: Typed>(
    a: &mut CudaStorage,
    a_layout: &Layout,
    b: &CudaStorage,
    b_layout: &Layout,
) -> Result<()> {
    let (num, n) = (a_layout.shape().elem_count(), a_layout.shape().elem_count() as u64);
    if b_layout.shape().elem_count() != num {
        bail!("{:?} cannot be added to {:?}", b_layout.shape(), a_layout.shape());
    }
    if num == 0 {
        return Ok(());
    }
    let module = format!("autopipe-add-{:?}", N::DTYPE);
    let ptx = compiled(&module, || source::add(N::DTYPE))?;
    let kernel = a.device.get_or_load_custom_func("add", &module, &ptx)?;
    let mut a = view_mut::<R>(a, range(a_layout)?)?;
    let b = view::<N>(b, range(b_layout)?)?;
    let mut launch = kernel.builder();
    launch.arg(&mut a).arg(&b).arg(&n);
    // SAFETY: the arguments are those of the kernel in number and type; both slices have `n` numbers.
    unsafe { launch.launch(over(num)) }.w()?;
    Ok(())
}

/// `a *= factor`.
pub(crate) fn scale(a: &mut CudaStorage, layout: &Layout, factor: f64) -> Result<()> {
    match a.slice {
        Slice::F32(_) => scale_of::<f32, f32>(a, layout, factor),
        Slice::F64(_) => scale_of::<f64, f64>(a, layout, factor),
        Slice::BF16(_) => scale_of::<half::bf16, f32>(a, layout, factor),
        _ => bail!("no GPU kernel scales numbers of this type"),
    }
}

fn scale_of<N: Typed, R: Typed>(a: &mut CudaStorage, layout: &Layout, factor: f64) -> Result<()> {
    let (num, n) = (layout.shape().elem_count(), layout.shape().elem_count() as u64);
    if num == 0 {
        return Ok(());
    }
    let module = format!("autopipe-scale-{:?}", N::DTYPE);
    let ptx = compiled(&module, || source::scale(N::DTYPE))?;
    let kernel = a.device.get_or_load_custom_func("scale", &module, &ptx)?;
    let mut a = view_mut::<N>(a, range(layout)?)?;
    let factor = R::constant(factor);
    let mut launch = kernel.builder();
    launch.arg(&mut a).arg(&factor).arg(&n);
    // SAFETY: the arguments are those of the kernel in number and type; the slice has `n` numbers.
    unsafe { launch.launch(over(num)) }.w()?;
    Ok(())
}
