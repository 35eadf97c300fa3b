//! Matrix products into buffers of our own, with as many threads as the caller's pool has.
//!
//! candle's product always makes a new tensor, and uses a number of threads that is fixed once for
//! the whole process.
#![expect(
    unsafe_code,
    reason = "gemm takes pointers; here they are made of slices that are checked"
)]

use candle_core::Result;
use gemm::Parallelism;

use super::Real;

/// A matrix in a slice, to be read.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    data: &'a [T],
    num_rows: usize,
    num_columns: usize,
    row_stride: isize,
    column_stride: isize,
}

impl<'a, T> Matrix<'a, T> {
    /// The matrix whose number `(i, j)` is `data[i * row_stride + j * column_stride]`.
    ///
    /// # Errors
    /// If a number of it lies outside of `data`.
    pub(crate) fn new(
        data: &'a [T],
        [num_rows, num_columns]: [usize; 2],
        [row_stride, column_stride]: [usize; 2],
    ) -> Result<Self> {
        let last = || {
            let row = num_rows.checked_sub(1)?.checked_mul(row_stride)?;
            row.checked_add(num_columns.checked_sub(1)?.checked_mul(column_stride)?)
        };
        let is_empty = num_rows == 0 || num_columns == 0;
        let strides = isize::try_from(row_stride).ok().zip(isize::try_from(column_stride).ok());
        match strides {
            Some((row_stride, column_stride))
                if is_empty || last().is_some_and(|last| last < data.len()) =>
            {
                Ok(Self { data, num_rows, num_columns, row_stride, column_stride })
            }
            Some(_) | None => candle_core::bail!(
                "a matrix of {num_rows} x {num_columns} with strides {row_stride} and \
                 {column_stride} does not fit into {} numbers",
                data.len()
            ),
        }
    }

    /// A matrix stored row after row.
    ///
    /// # Errors
    /// If `data` is shorter.
    pub(crate) fn of_rows(data: &'a [T], num_rows: usize, num_columns: usize) -> Result<Self> {
        Self::new(data, [num_rows, num_columns], [num_columns, 1])
    }

    /// The transpose, without a copy.
    pub(crate) fn t(self) -> Self {
        Self {
            data: self.data,
            num_rows: self.num_columns,
            num_columns: self.num_rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
        }
    }
}

/// `a b`, row after row.
///
/// # Errors
/// If the matrices do not fit each other.
pub(crate) fn product<T: Real>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Result<Vec<T>> {
    let num = count(a, b)?;
    if num == 0 || a.num_columns == 0 {
        return Ok(vec![T::zero(); num]);
    }
    let mut c = Vec::with_capacity(num);
    // SAFETY: `c` has room for as many numbers as the product has, and `run` reads none of them.
    unsafe { run(c.as_mut_ptr(), a, b, false) };
    // SAFETY: with at least one column in `a`, the product has written all of them.
    unsafe { c.set_len(num) };
    Ok(c)
}

/// `c += a b`, with `c` row after row.
///
/// # Errors
/// If the matrices do not fit each other; `c` is as it was.
pub(crate) fn add_product<T: Real>(c: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>) -> Result<()> {
    let num = count(a, b)?;
    if c.len() != num {
        candle_core::bail!("a product of {num} numbers cannot be added to {}", c.len());
    }
    if num > 0 && a.num_columns > 0 {
        // SAFETY: `c` has as many numbers as the product, and nobody else sees them.
        unsafe { run(c.as_mut_ptr(), a, b, true) };
    }
    Ok(())
}

/// `c = a b`, with `c` row after row.
///
/// # Errors
/// If the matrices do not fit each other; `c` is as it was.
pub(crate) fn put_product<T: Real>(c: &mut [T], a: Matrix<'_, T>, b: Matrix<'_, T>) -> Result<()> {
    let num = count(a, b)?;
    if c.len() != num {
        candle_core::bail!("a product of {num} numbers cannot be put into {}", c.len());
    }
    if a.num_columns == 0 {
        c.fill(T::zero());
    } else if num > 0 {
        // SAFETY: `c` has as many numbers as the product, and nobody else sees them.
        unsafe { run(c.as_mut_ptr(), a, b, false) };
    }
    Ok(())
}

/// How many numbers the product has.
fn count<T>(a: Matrix<'_, T>, b: Matrix<'_, T>) -> Result<usize> {
    if a.num_columns != b.num_rows {
        candle_core::bail!(
            "a matrix of {} x {} cannot be multiplied by one of {} x {}",
            a.num_rows,
            a.num_columns,
            b.num_rows,
            b.num_columns
        );
    }
    a.num_rows.checked_mul(b.num_columns).ok_or_else(|| {
        candle_core::Error::Msg(format!(
            "a product of {} x {} numbers is too large",
            a.num_rows, b.num_columns
        ))
    })
}

/// How many multiplications a product has at least that is shared out over threads: fewer, such as
/// those of a block of attention, take less time than threads take to meet.
const LEAST_SHARED: usize = 1 << 23;

/// # Safety
/// `c` is valid for writes of `a.num_rows * b.num_columns` numbers, and for reads of them if
/// `add`; none of them is in `a` or `b`, whose inner dimensions agree.
unsafe fn run<T: Real>(c: *mut T, a: Matrix<'_, T>, b: Matrix<'_, T>, add: bool) {
    let size = a.num_rows.saturating_mul(b.num_columns).saturating_mul(a.num_columns);
    let parallelism = match rayon::current_num_threads() {
        0 | 1 => Parallelism::None,
        _ if size < LEAST_SHARED => Parallelism::None,
        num_threads => Parallelism::Rayon(num_threads),
    };
    let row_stride = b.num_columns.cast_signed();
    // SAFETY: the caller answers for `c`; a `Matrix` has all its numbers in its slice.
    unsafe {
        gemm::gemm(
            a.num_rows,
            b.num_columns,
            a.num_columns,
            c,
            1,
            row_stride,
            add,
            a.data.as_ptr(),
            a.column_stride,
            a.row_stride,
            b.data.as_ptr(),
            b.column_stride,
            b.row_stride,
            if add { T::one() } else { T::zero() },
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
}
