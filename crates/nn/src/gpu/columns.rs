//! Sums over the columns of matrices: the gradients of what each row is multiplied by or added to.

use candle_core::{Result, Shape, Tensor};

use super::{Array, Call, Given, Grid, Kernel, Machine, make, read, tensor};
use crate::Parameter;
use crate::every_device::write_on;

/// What is added up of each number of a matrix.
pub(crate) struct Term {
    /// Tells it from others.
    pub(crate) name: &'static str,
    /// What it is made of; the first is the matrix.
    pub(crate) reads: &'static [Array],
    /// A `REAL` for the number `at`, which is in that `row` and `column`.
    pub(crate) code: &'static str,
}

/// The most parts of the rows whose sums are added up one by one.
const MOST_PARTS: usize = 64;
/// The rows of a part, if there are no more parts.
const ROWS_OF_PART: usize = 32;

/// Adds the terms of a contiguous matrix, with as many columns as a parameter has numbers, to the gradient
/// of that: over some rows each, and then over those sums, so that the order is always the same.
pub(crate) fn add_columns<S: Machine, const N: usize>(
    parameter: &Parameter,
    term: &Term,
    tensors: [&Tensor; N],
) -> Result<()> {
    let (dtype, width) = (tensors[0].dtype(), parameter.num_elements());
    let rows = tensors[0].elem_count() / width.max(1);
    let rows_of_part = rows.div_ceil(MOST_PARTS).max(ROWS_OF_PART);
    let parts = rows.div_ceil(rows_of_part);
    let (grid, blocks_of_part) = Grid::of_columns(parts, width);
    let of_number = term.code;
    let code = move || {
        format!(
            "    COUNT part = BLOCK / blocks_of_part;
    COUNT column = BLOCK % blocks_of_part * THREADS + THREAD;
    COUNT row = part * rows_of_part, end = row + rows_of_part;
    REAL sum = 0;
    if (column >= width) return;
    for (; row < end && row < rows; row++) {{
        COUNT at = row * width + column;
        sum += {of_number};
    }}
    sums[part * width + column] = sum;
"
        )
    };
    let kernel = Kernel {
        name: format!("{} by columns", term.name).into(),
        dtype,
        reads: term.reads,
        writes: &[Array::Real("sums")],
        counts: &["rows", "width", "rows_of_part", "blocks_of_part"],
        factors: &[],
        code: Box::new(code),
    };
    let counts = [rows, width, rows_of_part, blocks_of_part];
    let shape = Shape::from((parts, width));
    let [sums] = read::<S, _, N>(tensors, |reads| {
        make(&kernel, [&shape], &Given { grid, reads: &reads, counts: &counts, factors: &[] })
    })?;
    add_rows::<S>(parameter, &tensor(sums, &shape))
}

/// Adds the rows of `sums`, `[rows, numbers of the parameter]` in the type of its gradient, to that.
fn add_rows<S: Machine>(parameter: &Parameter, sums: &Tensor) -> Result<()> {
    let (rows, num) = sums.dims2()?;
    let kernel = Kernel {
        name: "add rows".into(),
        dtype: sums.dtype(),
        reads: &[Array::Num("b")],
        writes: &[Array::Num("a")],
        counts: &["n", "rows"],
        factors: &[],
        code: Box::new(|| {
            "    COUNT i, row;
    for (i = FIRST; i < n; i += STRIDE) {
        REAL sum = a[i];
        for (row = 0; row < rows; row++) sum += b[row * n + i];
        a[i] = sum;
    }
"
            .to_owned()
        }),
    };
    parameter.add_in_place(|sum| {
        read::<S, _, 1>([sums], |reads| {
            write_on::<S>(sum, |sum, layout| {
                let writes = &mut [(sum, layout)];
                let call = Call { reads: &reads, writes, counts: &[num, rows], factors: &[] };
                S::run(&kernel, Grid::of_numbers(num), call)
            })
        })
    })
}
