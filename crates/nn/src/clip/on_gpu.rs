//! Norms of gradients as kernels for GPUs: a number of each block of threads, which the host adds up.

use candle_core::{Result, Shape, Tensor};

use crate::gpu::{Array, Given, Grid, Kernel, Machine, make, read, tensor};

/// More add less than they cost the host.
const MOST_BLOCKS: usize = 1 << 10;

/// `of_thread` goes through a thread's numbers, and `of_block` makes one number of what all threads have.
fn parts<S: Machine>(
    name: &'static str,
    [of_thread, of_block]: [&'static str; 2],
    grad: &Tensor,
) -> Result<Tensor> {
    let grad = grad.contiguous()?;
    let kernel = Kernel {
        name: name.into(),
        dtype: grad.dtype(),
        reads: &[Array::Num("grad")],
        writes: &[Array::Real("made")],
        counts: &["n"],
        factors: &[],
        code: Box::new(move || {
            format!(
                "    SHARED REAL parts[PARTS];
    COUNT i;
    REAL sum = 0, max = 0, made_of_all;
    for (i = FIRST; i < n; i += STRIDE) {{
        REAL x = WIDE(grad[i]);
        {of_thread}
    }}
    made_of_all = {of_block};
    if (THREAD == 0) made[BLOCK] = made_of_all;
"
            )
        }),
    };
    let grid = Grid::of_numbers_by(grad.elem_count(), MOST_BLOCKS);
    let shape = Shape::from(grid.num_blocks());
    let [made] = read::<S, _, 1>([&grad], |reads| {
        make(
            &kernel,
            [&shape],
            &Given { grid, reads: &reads, counts: &[grad.elem_count()], factors: &[] },
        )
    })?;
    Ok(tensor(made, &shape))
}

/// Sums of squares, which add up to that of all, in float32 at least.
pub(super) fn squares<S: Machine>(grad: &Tensor) -> Result<Tensor> {
    parts::<S>("squares", ["sum += x * x;", "ALL_SUM(sum, parts)"], grad)
}

/// The largest absolute values of parts, a NaN where there is one.
pub(super) fn largest<S: Machine>(grad: &Tensor) -> Result<Tensor> {
    // What is no number gets lost in a maximum, but not in a sum.
    let of_thread = "if (x != x) sum = x;
        else if ((x < 0 ? -x : x) > max) max = x < 0 ? -x : x;";
    parts::<S>("largest", [of_thread, "ALL_SUM(sum, parts) + ALL_MAX(max, parts)"], grad)
}
