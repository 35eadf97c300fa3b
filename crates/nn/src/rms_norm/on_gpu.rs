//! Root-mean-square normalisation as kernels for GPUs: a block of threads for each row.

use candle_core::{DType, Result, Shape, Tensor};

use crate::Parameter;
use crate::gpu::{
    Array, Given, Grid, Kernel, Machine, Operand, Term, add_columns, for_rows, make, read, tensor,
};

/// What is the same for all rows: the number that keeps the root from zero, and whether the factor of a
/// column is one more than its weight.
#[derive(Clone, Copy)]
pub(super) struct GpuRule {
    pub(super) eps: f64,
    pub(super) has_offset: bool,
}

/// `r` of a row: its `x` has been squared and added up to `sum`.
const ROOT: &str = "REAL r = 1 / SQRT(ALL_SUM(sum, parts) / width + eps);";

/// `y` of the row in `from`.
const SCALE: &str = "
        for (i = THREAD; i < width; i += THREADS) {
            REAL normal = WIDE(from[i]) * r;
            REAL weight = WIDE(w[i]);
            y[row * width + i] = NARROW(has_offset ? normal * (1 + weight) : WIDE(NARROW(normal)) * weight);
        }
";

const COUNTS: &[&str] = &["rows", "width", "has_offset"];

fn sizes(shape: &Shape, weight: &Shape) -> (usize, usize) {
    let width = weight.elem_count();
    (shape.elem_count() / width.max(1), width)
}

fn kernel(
    name: &'static str,
    dtype: DType,
    [reads, writes]: [&'static [Array]; 2],
    of_row: impl Fn() -> String + 'static,
) -> Kernel {
    let code = for_rows(move || format!("        REAL sum = 0;\n{}", of_row()));
    Kernel { name: name.into(), dtype, reads, writes, counts: COUNTS, factors: &["eps"], code }
}

/// `y` of a contiguous `x`.
pub(super) fn forward<S: Machine>(
    x: Operand<'_, S>,
    w: Operand<'_, S>,
    rule: GpuRule,
) -> Result<S> {
    let of_row = || {
        format!(
            "        const NUM *from = x + row * width;
        for (i = THREAD; i < width; i += THREADS) sum += WIDE(from[i]) * WIDE(from[i]);
        {ROOT}{SCALE}"
        )
    };
    let (reads, writes) = (&[Array::Num("x"), Array::Num("w")], &[Array::Num("y")]);
    let kernel = kernel("rms norm", x.0.dtype(), [reads, writes], of_row);
    let (rows, width) = sizes(x.1.shape(), w.1.shape());
    let counts = [rows, width, usize::from(rule.has_offset)];
    let grid = Grid::of_rows(rows, width);
    let [y] = make(
        &kernel,
        [x.1.shape()],
        &Given { grid, reads: &[x, w], counts: &counts, factors: &[rule.eps] },
    )?;
    Ok(y)
}

/// `x + r`, both contiguous, and `y` of that.
pub(super) fn forward_sum<S: Machine>(
    [x, r, w]: [Operand<'_, S>; 3],
    rule: GpuRule,
) -> Result<[S; 2]> {
    // Each thread reads again what it has written itself.
    let of_row = || {
        format!(
            "        NUM *from = both + row * width;
        for (i = THREAD; i < width; i += THREADS) {{
            from[i] = NARROW(WIDE(x[row * width + i]) + WIDE(block[row * width + i]));
            sum += WIDE(from[i]) * WIDE(from[i]);
        }}
        {ROOT}{SCALE}"
        )
    };
    let reads = &[Array::Num("x"), Array::Num("block"), Array::Num("w")];
    let writes = &[Array::Num("both"), Array::Num("y")];
    let kernel = kernel("rms norm of a sum", x.0.dtype(), [reads, writes], of_row);
    let (rows, width) = sizes(x.1.shape(), w.1.shape());
    let counts = [rows, width, usize::from(rule.has_offset)];
    let (grid, shape) = (Grid::of_rows(rows, width), x.1.shape());
    make(
        &kernel,
        [shape, shape],
        &Given { grid, reads: &[x, r, w], counts: &counts, factors: &[rule.eps] },
    )
}

/// The gradient of `x`, and `r` of each row. All are contiguous.
pub(super) fn backward<S: Machine>(
    [x, w, grad]: [&Tensor; 3],
    rule: GpuRule,
) -> Result<[Tensor; 2]> {
    let of_row = || {
        format!(
            "        const NUM *from = x + row * width, *grads = grad + row * width;
        REAL along = 0;
        for (i = THREAD; i < width; i += THREADS) {{
            REAL number = WIDE(from[i]);
            sum += number * number;
            along += WIDE(grads[i]) * (has_offset + WIDE(w[i])) * number;
        }}
        {ROOT}
        along = ALL_SUM(along, parts) * r * r * r / width;
        for (i = THREAD; i < width; i += THREADS) {{
            REAL scaled = WIDE(grads[i]) * (has_offset + WIDE(w[i])) * r;
            x_grad[row * width + i] = NARROW(scaled - WIDE(from[i]) * along);
        }}
        if (THREAD == 0) roots[row] = r;
"
        )
    };
    let reads = &[Array::Num("x"), Array::Num("w"), Array::Num("grad")];
    let writes = &[Array::Num("x_grad"), Array::Real("roots")];
    let kernel = kernel("rms norm backward", x.dtype(), [reads, writes], of_row);
    let (rows, width) = sizes(x.shape(), w.shape());
    let counts = [rows, width, usize::from(rule.has_offset)];
    let (grid, each) = (Grid::of_rows(rows, width), Shape::from(rows));
    let [x_grad, roots] = read::<S, _, 3>([x, w, grad], |reads| {
        make(
            &kernel,
            [x.shape(), &each],
            &Given { grid, reads: &reads, counts: &counts, factors: &[rule.eps] },
        )
    })?;
    Ok([tensor(x_grad, x.shape()), tensor(roots, &each)])
}

/// Adds `Σ G x r` to the weight's gradient.
pub(super) fn weight_grad<S: Machine>(
    weight: &Parameter,
    [x, grad, roots]: [&Tensor; 3],
    rule: GpuRule,
) -> Result<()> {
    let term = if rule.has_offset {
        ("rms norm with offset", "WIDE(grad[at]) * WIDE(x[at]) * roots[row]")
    } else {
        ("rms norm", "WIDE(grad[at]) * WIDE(NARROW(WIDE(x[at]) * roots[row]))")
    };
    let (name, code) = term;
    let reads = &[Array::Num("x"), Array::Num("grad"), Array::Real("roots")];
    add_columns::<S, 3>(weight, &Term { name, reads, code }, [x, grad, roots])
}
