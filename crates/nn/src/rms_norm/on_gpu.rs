//! Root-mean-square normalisation as kernels for GPUs: a block of threads for each row.

use candle_core::{DType, Result, Shape, Tensor};

use crate::Parameter;
use crate::gpu::{Array, Grid, Kernel, Machine, Operand, add_rows, make, read, tensor};

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
    of_row: &str,
) -> Kernel {
    let code = format!(
        "    SHARED REAL parts[PARTS];
    COUNT row, i;
    for (row = BLOCK; row < rows; row += BLOCKS) {{
        REAL sum = 0;
{of_row}    }}
"
    );
    Kernel {
        name: name.into(),
        dtype,
        reads,
        writes,
        counts: COUNTS,
        factors: &["eps"],
        code: code.into(),
    }
}

/// `y` of a contiguous `x`.
pub(super) fn forward<S: Machine>(
    x: Operand<'_, S>,
    w: Operand<'_, S>,
    rule: GpuRule,
) -> Result<S> {
    let of_row = format!(
        "        const NUM *from = x + row * width;
        for (i = THREAD; i < width; i += THREADS) sum += WIDE(from[i]) * WIDE(from[i]);
        {ROOT}{SCALE}"
    );
    let (reads, writes) = (&[Array::Num("x"), Array::Num("w")], &[Array::Num("y")]);
    let kernel = kernel("rms norm", x.0.dtype(), [reads, writes], &of_row);
    let (rows, width) = sizes(x.1.shape(), w.1.shape());
    let counts = [rows, width, usize::from(rule.has_offset)];
    let grid = Grid::of_rows(rows, width);
    let [y] = make(&kernel, grid, &[x, w], [x.1.shape()], &counts, &[rule.eps])?;
    Ok(y)
}

/// `x + r`, both contiguous, and `y` of that.
pub(super) fn forward_sum<S: Machine>(
    [x, r, w]: [Operand<'_, S>; 3],
    rule: GpuRule,
) -> Result<[S; 2]> {
    // Each thread reads again what it has written itself.
    let of_row = format!(
        "        NUM *from = both + row * width;
        for (i = THREAD; i < width; i += THREADS) {{
            from[i] = NARROW(WIDE(x[row * width + i]) + WIDE(block[row * width + i]));
            sum += WIDE(from[i]) * WIDE(from[i]);
        }}
        {ROOT}{SCALE}"
    );
    let reads = &[Array::Num("x"), Array::Num("block"), Array::Num("w")];
    let writes = &[Array::Num("both"), Array::Num("y")];
    let kernel = kernel("rms norm of a sum", x.0.dtype(), [reads, writes], &of_row);
    let (rows, width) = sizes(x.1.shape(), w.1.shape());
    let counts = [rows, width, usize::from(rule.has_offset)];
    let (grid, shape) = (Grid::of_rows(rows, width), x.1.shape());
    make(&kernel, grid, &[x, r, w], [shape, shape], &counts, &[rule.eps])
}

/// The gradient of `x`, and `r` of each row. All are contiguous.
pub(super) fn backward<S: Machine>(
    [x, w, grad]: [&Tensor; 3],
    rule: GpuRule,
) -> Result<[Tensor; 2]> {
    let of_row = format!(
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
    );
    let reads = &[Array::Num("x"), Array::Num("w"), Array::Num("grad")];
    let writes = &[Array::Num("x_grad"), Array::Real("roots")];
    let kernel = kernel("rms norm backward", x.dtype(), [reads, writes], &of_row);
    let (rows, width) = sizes(x.shape(), w.shape());
    let counts = [rows, width, usize::from(rule.has_offset)];
    let (grid, each) = (Grid::of_rows(rows, width), Shape::from(rows));
    let [x_grad, roots] = read::<S, _, 3>([x, w, grad], |reads| {
        make(&kernel, grid, &reads, [x.shape(), &each], &counts, &[rule.eps])
    })?;
    Ok([tensor(x_grad, x.shape()), tensor(roots, &each)])
}

/// The most parts of the rows whose sums are added up one by one.
const MOST_PARTS: usize = 256;
/// The rows of a part, if there are no more parts.
const ROWS_OF_PART: usize = 32;

/// Adds `Σ G x r` to the weight's gradient: over some rows each, and then over those sums, so that the
/// order is always the same.
pub(super) fn weight_grad<S: Machine>(
    weight: &Parameter,
    [x, grad, roots]: [&Tensor; 3],
    rule: GpuRule,
) -> Result<()> {
    let (rows, width) = sizes(x.shape(), weight.shape());
    let rows_of_part = rows.div_ceil(MOST_PARTS).max(ROWS_OF_PART);
    let (parts, threads) = (rows.div_ceil(rows_of_part), 256);
    let blocks_of_part = width.div_ceil(threads);
    let kernel = Kernel {
        name: "rms norm weight".into(),
        dtype: x.dtype(),
        reads: &[Array::Num("x"), Array::Num("grad"), Array::Real("roots")],
        writes: &[Array::Real("sums")],
        counts: &["rows", "width", "has_offset", "rows_of_part", "blocks_of_part"],
        factors: &[],
        code: "    COUNT part = BLOCK / blocks_of_part;
    COUNT column = BLOCK % blocks_of_part * THREADS + THREAD;
    COUNT row = part * rows_of_part, end = row + rows_of_part;
    REAL sum = 0;
    if (column >= width) return;
    for (; row < end && row < rows; row++) {
        REAL normal = WIDE(x[row * width + column]) * roots[row];
        sum += WIDE(grad[row * width + column]) * (has_offset ? normal : WIDE(NARROW(normal)));
    }
    sums[part * width + column] = sum;
"
        .into(),
    };
    let counts = [rows, width, usize::from(rule.has_offset), rows_of_part, blocks_of_part];
    let grid = Grid { blocks: parts * blocks_of_part, threads };
    let shape = Shape::from((parts, width));
    let [sums] = read::<S, _, 3>([x, grad, roots], |reads| {
        make(&kernel, grid, &reads, [&shape], &counts, &[])
    })?;
    add_rows::<S>(weight, &tensor(sums, &shape))
}
