//! Products of matrices whose result may be of a wider type than they are, or is added to what is there.

use candle_core::backend::BackendDevice as _;
use candle_core::{DType, Layout, Result, Shape, Tensor, bail};

use super::{Machine, Operand, read, tensor};
use crate::Error;
use crate::every_device::{wide_dtype, write_on};

/// What a product is added to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onto {
    /// Nothing: what is there may be no numbers.
    Nothing,
    /// What is there.
    Sum,
}

/// `a b` for matrices of shape `[.., m, k]` and `[.., k, n]`, as many of the one as of the other; either
/// may be a view of transposed ones. It is added up in `dtype`'s wide type.
///
/// # Errors
/// As [`Machine::multiply`].
pub(crate) fn product<S: Machine>(a: &Tensor, b: &Tensor, dtype: DType) -> Result<Tensor> {
    let (&[.., m, num_terms], &[.., n]) = (a.dims(), b.dims()) else {
        bail!("a product is of matrices, not of {:?} and {:?}", a.shape(), b.shape())
    };
    let shape = Shape::from(&a.dims()[..a.rank() - 2]).extend(&[m, n]);
    read::<S, _, 2>([a, b], |[a, b]| {
        let device = candle_core::backend::BackendStorage::device(a.0);
        if shape.elem_count() == 0 || num_terms == 0 {
            return Ok(tensor(device.zeros_impl(&shape, dtype)?, &shape));
        }
        let mut made = S::fresh(device, &shape, dtype)?;
        S::multiply([a, b], (&mut made, &Layout::contiguous(&shape)), Onto::Nothing)?;
        Ok(tensor(made, &shape))
    })
}

/// `sum += a b` where `sum` is: a view of some rows of each matrix too.
///
/// # Errors
/// As [`Machine::multiply`].
pub(crate) fn add_product<S: Machine>(sum: &Tensor, a: &Tensor, b: &Tensor) -> Result<()> {
    if sum.elem_count() == 0 || a.elem_count() == 0 {
        return Ok(());
    }
    read::<S, _, 2>([a, b], |factors| {
        write_on::<S>(sum, |sum, layout| S::multiply(factors, (sum, layout), Onto::Sum))
    })
}

/// A product as BLAS is told of it, for which the columns of a matrix are in one piece. So each of ours,
/// whose rows are, is its transpose there, and `to = a b` is `toᵀ = bᵀ aᵀ`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gemm {
    /// The columns of `to`.
    pub(super) m: i32,
    /// The rows of `to`.
    pub(super) n: i32,
    pub(super) k: i32,
    /// The second of ours, which is the first there.
    pub(super) first: Side,
    pub(super) second: Side,
    pub(super) to: Side,
    /// How many products.
    pub(super) batch: i32,
}

/// Where the numbers of one matrix of each product are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Side {
    /// Whether BLAS has to turn it, as not its rows but its columns are in one piece.
    pub(super) is_turned: bool,
    /// From one row, or column, to the next.
    pub(super) lead: i32,
    /// From one matrix to the next.
    pub(super) stride: i64,
}

impl Gemm {
    /// # Errors
    /// If the shapes do not fit, numbers lie in no order that BLAS knows, or there are more of them than it
    /// counts.
    pub(super) fn of(a: &Layout, b: &Layout, to: &Layout) -> Result<Self> {
        let dims = [a.dims(), b.dims(), to.dims()];
        let (&[ref many @ .., m, k], &[ref others @ .., rows, n], &[ref results @ .., to_m, to_n]) =
            (dims[0], dims[1], dims[2])
        else {
            bail!("a product is of matrices, not of {:?} and {:?}", a.shape(), b.shape())
        };
        if many != others || many != results || rows != k || (to_m, to_n) != (m, n) {
            bail!("{:?} times {:?} is not {:?}", a.shape(), b.shape(), to.shape())
        }
        let too_large = || Error::ProductSize { a: a.shape().clone(), b: b.shape().clone() };
        let of = |size: usize| i32::try_from(size).map_err(|_| too_large());
        let side = |layout: &Layout| -> Result<Side> {
            let Some((is_turned, lead, stride)) = order(layout) else {
                bail!("a product takes no matrices that lie as {layout:?}")
            };
            let stride = i64::try_from(stride).map_err(|_| too_large())?;
            Ok(Side { is_turned, lead: of(lead)?, stride })
        };
        let (first, second, to) = (side(b)?, side(a)?, side(to)?);
        if to.is_turned {
            bail!("a product is written row by row")
        }
        let batch = of(many.iter().product())?;
        Ok(Self { m: of(n)?, n: of(m)?, k: of(k)?, first, second, to, batch })
    }
}

/// Whether columns are in one piece and not rows, from one of them to the next, and from one matrix to the
/// next; nothing if neither are.
fn order(layout: &Layout) -> Option<(bool, usize, usize)> {
    let (&[ref many @ .., rows, columns], &[ref between @ .., next_row, next_column]) =
        (layout.dims(), layout.stride())
    else {
        return None;
    };
    // A stride of what there is one of means nothing.
    let (is_turned, lead) =
        if (next_column == 1 || columns == 1) && (next_row >= columns || rows == 1) {
            (false, if rows == 1 { columns } else { next_row })
        } else if (next_row == 1 || rows == 1) && (next_column >= rows || columns == 1) {
            (true, if columns == 1 { rows } else { next_column })
        } else {
            return None;
        };
    let mut stride = None;
    let mut expected = None;
    for (&num, &next) in many.iter().zip(between).rev().filter(|(num, _)| **num != 1) {
        if expected.is_some_and(|expected| expected != next) {
            return None;
        }
        stride = stride.or(Some(next));
        expected = Some(next * num);
    }
    Some((is_turned, lead, stride.unwrap_or(0)))
}

/// What every [`Machine::multiply`] asks of the types and devices.
pub(super) fn check<S: Machine>([a, b]: [Operand<'_, S>; 2], to: &S) -> Result<()> {
    if ![a.0, b.0].iter().all(|factor| factor.device().same_device(to.device())) {
        bail!("a product is of matrices of one device")
    }
    let [a, b, to] = [a.0, b.0, to].map(candle_core::backend::BackendStorage::dtype);
    if a != b || (to != a && to != wide_dtype(a)) {
        bail!("a product of {a:?} and {b:?} is not {to:?}")
    }
    Ok(())
}
