//! What kernels run on, seen from the layers: a GPU, or in the tests what stands in for one.

use candle_core::backend::{BackendDevice, BackendStorage};
use candle_core::op::BackpropOp;
use candle_core::{DType, Layout, Result, Shape, Storage, Tensor, bail};

use super::{Kernel, Onto};

/// A storage and what of it belongs to a tensor.
pub(crate) type Operand<'a, S> = (&'a S, &'a Layout);

/// How many threads a kernel is run by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Grid {
    pub(super) blocks: usize,
    /// In each block: a multiple of 32.
    pub(super) threads: usize,
}

/// Threads of a block that need not wait for each other.
const THREADS: usize = 256;
/// The most blocks: enough for every GPU there is; each takes several parts of the work if there are more.
const MOST_BLOCKS: usize = 1 << 14;

impl Grid {
    /// A thread for each of so many numbers.
    pub(crate) fn of_numbers(num: usize) -> Self {
        Self { blocks: num.div_ceil(THREADS).min(MOST_BLOCKS), threads: THREADS }
    }

    /// The same by no more than so many blocks, each of which makes something of its own.
    pub(crate) fn of_numbers_by(num: usize, most_blocks: usize) -> Self {
        let Self { blocks, threads } = Self::of_numbers(num);
        Self { blocks: blocks.min(most_blocks), threads }
    }

    /// A thread for each of so many numbers of each row, and how many blocks those of a row are.
    pub(crate) fn of_columns(rows: usize, width: usize) -> (Self, usize) {
        let blocks_of_row = width.div_ceil(THREADS);
        (Self { blocks: rows * blocks_of_row, threads: THREADS }, blocks_of_row)
    }

    pub(crate) fn num_blocks(self) -> usize {
        self.blocks
    }

    /// A block for each of so many rows of so many numbers.
    pub(crate) fn of_rows(rows: usize, width: usize) -> Self {
        // At least four numbers each, if there are as many: waiting costs more than adding.
        let threads = (width / 4).next_power_of_two().clamp(32, THREADS);
        Self { blocks: rows.min(MOST_BLOCKS), threads }
    }
}

/// The arguments of a kernel.
pub(crate) struct Call<'a, 'b, S> {
    /// Each from where its layout begins.
    pub(crate) reads: &'a [Operand<'b, S>],
    /// Each as its layout shows, which is contiguous.
    pub(crate) writes: &'a mut [(&'b mut S, &'b Layout)],
    pub(crate) counts: &'a [usize],
    pub(crate) factors: &'a [f64],
}

impl<S: Machine> Call<'_, '_, S> {
    /// # Errors
    /// If they are not those of the kernel, in number or type.
    pub(super) fn check(&self, kernel: &Kernel) -> Result<()> {
        let fits = self.reads.len() == kernel.reads.len()
            && self.writes.len() == kernel.writes.len()
            && self.counts.len() == kernel.counts.len()
            && self.factors.len() == kernel.factors.len();
        let reads = self.reads.iter().map(|(storage, _)| storage.dtype()).zip(kernel.reads);
        let writes = self.writes.iter().map(|(storage, _)| storage.dtype()).zip(kernel.writes);
        for (actual, array) in reads.chain(writes) {
            let expected = array.dtype(kernel.dtype);
            if actual != expected {
                bail!("the kernel {} takes {array:?} of {expected:?}, not {actual:?}", kernel.name)
            }
        }
        if !fits {
            bail!("the kernel {} was not given what it takes", kernel.name)
        }
        // Of one that is elsewhere a GPU would have no more than the address.
        let reads = self.reads.iter().map(|(storage, _)| storage.device());
        let mut all = reads.chain(self.writes.iter().map(|(storage, _)| storage.device()));
        let first = all.next();
        if !all.all(|device| first.is_some_and(|first| first.same_device(device))) {
            bail!("the kernel {} was given tensors of several devices", kernel.name)
        }
        Ok(())
    }
}

/// A place of storages that runs kernels.
pub(crate) trait Machine:
    BackendStorage<Device: BackendDevice<Storage = Self>> + 'static
{
    /// The storage, if it is one of this place.
    fn of(storage: &Storage) -> Option<&Self>;

    fn into_storage(self) -> Storage;

    /// A storage for what a kernel will write, all of it.
    fn fresh(device: &Self::Device, shape: &Shape, dtype: DType) -> Result<Self>;

    /// # Errors
    /// If the arguments are not those of the kernel, or it cannot be compiled or started.
    fn run(kernel: &Kernel, grid: Grid, call: Call<'_, '_, Self>) -> Result<()>;

    /// `a b`, or that added to what is there, for matrices of shape `[.., m, k]` and `[.., k, n]`. It is of
    /// their type, or the one that they are computed in.
    ///
    /// # Errors
    /// If types or shapes do not fit, the numbers of a matrix lie in no order that BLAS knows, or there are
    /// more than it counts.
    fn multiply(
        factors: [Operand<'_, Self>; 2],
        to: (&mut Self, &Layout),
        onto: Onto,
    ) -> Result<()>;
}

/// Hands the storages of tensors to `f` to be read.
///
/// # Errors
/// If one is elsewhere, or what `f` says.
pub(crate) fn read<S: Machine, T, const N: usize>(
    tensors: [&Tensor; N],
    f: impl FnOnce([Operand<'_, S>; N]) -> Result<T>,
) -> Result<T> {
    let guards = tensors.map(Tensor::storage_and_layout);
    let mut operands = Vec::with_capacity(N);
    for (storage, layout) in &guards {
        match S::of(storage) {
            Some(storage) => operands.push((storage, *layout)),
            None => bail!("a kernel was given a tensor of another device"),
        }
    }
    match <[Operand<'_, S>; N]>::try_from(operands) {
        Ok(operands) => f(operands),
        Err(_) => bail!("a kernel was given too few tensors"),
    }
}

/// A tensor of what a kernel has written.
pub(crate) fn tensor<S: Machine>(storage: S, shape: &Shape) -> Tensor {
    Tensor::from_storage(storage.into_storage(), shape, BackpropOp::none(), false)
}

/// What a kernel makes something of.
pub(crate) struct Given<'a, 'b, S> {
    pub(crate) grid: Grid,
    /// Each from where its layout begins.
    pub(crate) reads: &'a [Operand<'b, S>],
    pub(crate) counts: &'a [usize],
    pub(crate) factors: &'a [f64],
}

/// Runs a kernel that makes new arrays of others, of these shapes.
///
/// # Errors
/// As [`Machine::run`].
pub(crate) fn make<S: Machine, const N: usize>(
    kernel: &Kernel,
    makes: [&Shape; N],
    given: &Given<'_, '_, S>,
) -> Result<[S; N]> {
    let &Given { grid, reads, counts, factors } = given;
    let Some((first, _)) = reads.first() else { bail!("a kernel makes something of nothing") };
    let layouts = makes.map(Layout::contiguous);
    let mut made = Vec::with_capacity(N);
    for (shape, array) in makes.iter().zip(kernel.writes) {
        made.push(S::fresh(first.device(), shape, array.dtype(kernel.dtype))?);
    }
    let mut writes: Vec<_> = made.iter_mut().zip(&layouts).collect();
    S::run(kernel, grid, Call { reads, writes: &mut writes, counts, factors })?;
    match made.try_into() {
        Ok(made) => Ok(made),
        Err(_) => bail!("the kernel {} does not make {N} arrays", kernel.name),
    }
}
