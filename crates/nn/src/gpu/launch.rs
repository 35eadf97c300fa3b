//! How kernels are compiled and started on a GPU.
#![expect(unsafe_code, reason = "a kernel trusts the pointers and the counts that it is given")]

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::backend::BackendDevice as _;
use candle_core::cuda_backend::cudarc::driver::{
    CudaView, CudaViewMut, LaunchArgs, LaunchConfig, PushKernelArg as _,
};
use candle_core::cuda_backend::cudarc::nvrtc::compile_ptx;
use candle_core::cuda_backend::{CudaDevice, CudaStorageSlice as Slice, WrapErr as _};
use candle_core::{CudaStorage, DType, Error, Layout, Result, Shape, Storage, bail};

use super::machine::{Call, Grid, Machine};
use super::{Kernel, Onto, Operand, cublas};

/// A kernel's code for GPUs, compiled by the first who asks for it in this process.
fn compiled(module: &str, kernel: &Kernel) -> Result<Arc<str>> {
    static COMPILED: Mutex<BTreeMap<String, Arc<str>>> = Mutex::new(BTreeMap::new());
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(ptx) = compiled.get(module) {
        return Ok(Arc::clone(ptx));
    }
    let ptx = compile_ptx(kernel.text());
    let ptx = ptx.map_err(|error| Error::Msg(format!("the kernel {module}: {error:?}")))?;
    let ptx: Arc<str> = ptx.to_src().into();
    compiled.insert(module.to_owned(), Arc::clone(&ptx));
    Ok(ptx)
}

/// Numbers that a kernel reads.
enum Read<'a> {
    F32(CudaView<'a, f32>),
    F64(CudaView<'a, f64>),
    BF16(CudaView<'a, half::bf16>),
    U32(CudaView<'a, u32>),
}

/// Numbers that a kernel writes.
enum Write<'a> {
    F32(CudaViewMut<'a, f32>),
    F64(CudaViewMut<'a, f64>),
    BF16(CudaViewMut<'a, half::bf16>),
    U32(CudaViewMut<'a, u32>),
}

/// A factor in the type that a kernel computes in.
enum Factor {
    Single(f32),
    Double(f64),
}

impl<'a> Read<'a> {
    fn of(storage: &'a CudaStorage, layout: &Layout) -> Result<Self> {
        let start = layout.start_offset();
        Ok(match &storage.slice {
            Slice::F32(slice) => Self::F32(slice.slice(start..)),
            Slice::F64(slice) => Self::F64(slice.slice(start..)),
            Slice::BF16(slice) => Self::BF16(slice.slice(start..)),
            Slice::U32(slice) => Self::U32(slice.slice(start..)),
            _ => bail!("no GPU kernel reads numbers of this type"),
        })
    }

    fn push<'b>(&'b self, launch: &mut LaunchArgs<'b>) {
        match self {
            Self::F32(view) => launch.arg(view),
            Self::F64(view) => launch.arg(view),
            Self::BF16(view) => launch.arg(view),
            Self::U32(view) => launch.arg(view),
        };
    }
}

impl<'a> Write<'a> {
    fn of(storage: &'a mut CudaStorage, layout: &Layout) -> Result<Self> {
        let range = range(layout)?;
        Ok(match &mut storage.slice {
            Slice::F32(slice) => Self::F32(slice.slice_mut(range)),
            Slice::F64(slice) => Self::F64(slice.slice_mut(range)),
            Slice::BF16(slice) => Self::BF16(slice.slice_mut(range)),
            Slice::U32(slice) => Self::U32(slice.slice_mut(range)),
            _ => bail!("no GPU kernel writes numbers of this type"),
        })
    }

    fn push<'b>(&'b mut self, launch: &mut LaunchArgs<'b>) {
        match self {
            Self::F32(view) => launch.arg(view),
            Self::F64(view) => launch.arg(view),
            Self::BF16(view) => launch.arg(view),
            Self::U32(view) => launch.arg(view),
        };
    }
}

impl Factor {
    #[expect(clippy::cast_possible_truncation, reason = "kernels compute in float32")]
    fn of(value: f64, dtype: DType) -> Self {
        if dtype == DType::F64 { Self::Double(value) } else { Self::Single(value as f32) }
    }

    fn push<'b>(&'b self, launch: &mut LaunchArgs<'b>) {
        match self {
            Self::Single(value) => launch.arg(value),
            Self::Double(value) => launch.arg(value),
        };
    }
}

/// What of a storage a contiguous layout shows.
fn range(layout: &Layout) -> Result<Range<usize>> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(start..end),
        None => bail!("a GPU kernel was given a tensor to write that is not contiguous"),
    }
}

impl Grid {
    fn config(self) -> Result<LaunchConfig> {
        let of = |num| u32::try_from(num).map_err(Error::wrap);
        Ok(LaunchConfig {
            grid_dim: (of(self.blocks)?, 1, 1),
            block_dim: (of(self.threads)?, 1, 1),
            shared_mem_bytes: 0,
        })
    }
}

impl Machine for CudaStorage {
    fn of(storage: &Storage) -> Option<&Self> {
        if let Storage::Cuda(storage) = storage { Some(storage) } else { None }
    }

    fn into_storage(self) -> Storage {
        Storage::Cuda(self)
    }

    fn fresh(device: &CudaDevice, shape: &Shape, dtype: DType) -> Result<Self> {
        // SAFETY: who asks for it has a kernel write all of it before anybody reads.
        unsafe { device.alloc_uninit(shape, dtype) }
    }

    fn run(kernel: &Kernel, grid: Grid, call: Call<'_, '_, Self>) -> Result<()> {
        call.check(kernel)?;
        let Some(device) = call.writes.first().map(|(storage, _)| storage.device.clone()) else {
            bail!("the kernel {} writes nothing", kernel.name)
        };
        if grid.blocks == 0 {
            return Ok(());
        }
        let module = format!("autopipe {} {:?}", kernel.name, kernel.dtype);
        let ptx = compiled(&module, kernel)?;
        let function = device.get_or_load_custom_func(&kernel.function(), &module, &ptx)?;
        let reads = call.reads.iter().map(|(storage, layout)| Read::of(storage, layout));
        let reads = reads.collect::<Result<Vec<_>>>()?;
        let writes = call.writes.iter_mut().map(|(storage, layout)| Write::of(storage, layout));
        let mut writes = writes.collect::<Result<Vec<_>>>()?;
        let counts: Vec<_> = call.counts.iter().map(|&count| count as u64).collect();
        let factors = call.factors.iter().map(|&factor| Factor::of(factor, kernel.dtype));
        let factors: Vec<_> = factors.collect();
        let mut launch = function.builder();
        reads.iter().for_each(|read| read.push(&mut launch));
        writes.iter_mut().for_each(|write| write.push(&mut launch));
        for count in &counts {
            launch.arg(count);
        }
        factors.iter().for_each(|factor| factor.push(&mut launch));
        // SAFETY: the arguments are those of the kernel in number and type, which was checked; who calls
        // gives it arrays as long as the counts say.
        unsafe { launch.launch(grid.config()?) }.w()?;
        Ok(())
    }

    fn multiply(
        factors: [Operand<'_, Self>; 2],
        to: (&mut Self, &Layout),
        onto: Onto,
    ) -> Result<()> {
        cublas::multiply(factors, to, onto)
    }
}
