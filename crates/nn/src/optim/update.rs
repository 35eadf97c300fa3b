//! One step of a rule on one variable, in a single pass over the numbers where there is a kernel.

use std::array::from_fn;

use candle_core::{CudaStorage, Result, Tensor, Var, WithDType};

use crate::cpu::{Number, Real, Values, for_number, has_kernels, vectorised, write};

/// A rule with the factors of one step, which remembers `ROWS` numbers of each that it updates.
pub(super) trait Formula<const ROWS: usize> {
    /// From a number of the parameter, its gradient's and what is remembered of it to the new
    /// number and what is remembered then. To be inlined.
    fn on_numbers<T: Real>(&self) -> impl Fn(T, T, [T; ROWS]) -> (T, [T; ROWS]);

    /// The same in a kernel for GPUs.
    fn on_gpu(&self) -> super::on_gpu::GpuFormula;

    /// The same with candle's operations.
    fn on_tensors(
        &self,
        value: &Tensor,
        grad: &Tensor,
        rows: [Tensor; ROWS],
    ) -> Result<(Tensor, [Tensor; ROWS])>;
}

/// Updates `var` and `packed`, of shape `[ROWS, n]`; or `[ROWS + 1, n]`, where the last row is the
/// number that is updated in truth, and the variable what that is rounded to.
pub(super) fn update<const ROWS: usize>(
    formula: &impl Formula<ROWS>,
    var: &Var,
    grad: &Tensor,
    packed: &Tensor,
) -> Result<()> {
    if var.elem_count() == 0 {
        return Ok(()); // a slice of few numbers over many ranks
    }
    let grad = grad.to_dtype(packed.dtype())?;
    if has_kernels(var) {
        let grad = grad.contiguous()?;
        return for_number!(var.dtype(), "optimiser step", N => {
            fused::<N, ROWS>(formula, var, &grad, packed)
        });
    }
    if crate::gpu::has_kernels(var) && crate::gpu::has_kernels(packed) {
        let grad = grad.contiguous()?;
        return super::on_gpu::step::<CudaStorage, ROWS>(formula, var, &grad, packed);
    }
    composed(formula, var, &grad, packed)
}

fn composed<const ROWS: usize>(
    formula: &impl Formula<ROWS>,
    var: &Var,
    grad: &Tensor,
    packed: &Tensor,
) -> Result<()> {
    let (num_rows, num) = packed.dims2()?;
    let rows = (0..ROWS).map(|row| packed.get(row)).collect::<Result<Vec<_>>>()?;
    let rows: [Tensor; ROWS] = rows.try_into().expect("as many rows were collected");
    let value = if num_rows > ROWS {
        packed.get(ROWS)?
    } else {
        var.as_detached_tensor().to_dtype(packed.dtype())?.reshape(num)?
    };
    let (value, rows) = formula.on_tensors(&value, &grad.reshape(num)?, rows)?;
    let mut rows: Vec<Tensor> = rows.into();
    if num_rows > ROWS {
        rows.push(value.clone());
    }
    if !rows.is_empty() {
        packed.slice_set(&Tensor::stack(&rows, 0)?, 0, 0)?;
    }
    var.set(&value.to_dtype(var.dtype())?.reshape(var.shape())?)
}

fn fused<N: Number, const ROWS: usize>(
    formula: &impl Formula<ROWS>,
    var: &Var,
    grad: &Tensor,
    packed: &Tensor,
) -> Result<()> {
    let grad = Values::of(grad);
    let grad = grad.slice::<N::Real>()?;
    write::<N>(var, |value| {
        write::<N::Real>(packed, |packed| {
            pass(formula.on_numbers(), value, grad, packed);
            Ok(())
        })
    })
}

/// How many numbers are worked on at once, from local copies: the compiler knows that those do not
/// overlap, however many rows there are.
const CHUNK: usize = 64;

type Chunk<T> = [T; CHUNK];

fn pass<N: Number, const ROWS: usize>(
    f: impl Fn(N::Real, N::Real, [N::Real; ROWS]) -> (N::Real, [N::Real; ROWS]),
    value: &mut [N],
    grad: &[N::Real],
    packed: &mut [N::Real],
) {
    let mut rest = packed;
    let rows: [&mut [N::Real]; ROWS] = from_fn(|_| {
        let (row, others) = std::mem::take(&mut rest).split_at_mut(value.len());
        rest = others;
        row
    });
    let master = (!rest.is_empty()).then_some(rest);
    vectorised(
        #[inline(always)]
        || {
            let (values, last_value) = value.as_chunks_mut();
            let (grads, last_grad) = grad.as_chunks();
            let mut rows = rows.map(|row| row.as_chunks_mut());
            let mut master = master.map(|master| master.as_chunks_mut());
            for (i, (value, grad)) in values.iter_mut().zip(grads).enumerate() {
                let rows = rows.each_mut().map(|row| &mut row.0[i]);
                chunk(&f, value, grad, rows, master.as_mut().map(|master| &mut master.0[i]));
            }
            // Filled up, so that they are computed by the same code.
            let mut value = filled(last_value);
            let mut last_rows = rows.each_ref().map(|row| filled(row.1));
            let mut last_master = master.as_ref().map(|master| filled(master.1));
            let to = last_rows.each_mut();
            chunk(&f, &mut value, &filled(last_grad), to, last_master.as_mut());
            last_value.copy_from_slice(&value[..last_value.len()]);
            for (row, from) in rows.iter_mut().zip(&last_rows) {
                row.1.copy_from_slice(&from[..row.1.len()]);
            }
            if let (Some(master), Some(from)) = (master, last_master) {
                master.1.copy_from_slice(&from[..master.1.len()]);
            }
        },
    );
}

/// Numbers and as many zeros as are missing.
#[inline(always)]
fn filled<T: WithDType>(numbers: &[T]) -> Chunk<T> {
    let mut chunk = [T::zero(); CHUNK];
    chunk[..numbers.len()].copy_from_slice(numbers);
    chunk
}

#[inline(always)]
fn chunk<N: Number, const ROWS: usize>(
    f: &impl Fn(N::Real, N::Real, [N::Real; ROWS]) -> (N::Real, [N::Real; ROWS]),
    value: &mut Chunk<N>,
    grad: &Chunk<N::Real>,
    rows: [&mut Chunk<N::Real>; ROWS],
    master: Option<&mut Chunk<N::Real>>,
) {
    let mut wide = match &master {
        Some(master) => **master,
        None => {
            let mut wide = [N::zero().wide(); CHUNK];
            for (wide, value) in wide.iter_mut().zip(&*value) {
                *wide = value.wide();
            }
            wide
        }
    };
    let mut local: [Chunk<N::Real>; ROWS] = from_fn(|row| *rows[row]);
    for i in 0..CHUNK {
        let (new, remembered) = f(wide[i], grad[i], from_fn(|row| local[row][i]));
        wide[i] = new;
        for row in 0..ROWS {
            local[row][i] = remembered[row];
        }
    }
    for (row, local) in rows.into_iter().zip(local) {
        *row = local;
    }
    for (value, &wide) in value.iter_mut().zip(&wide) {
        *value = N::narrow(wide);
    }
    if let Some(master) = master {
        *master = wide;
    }
}
