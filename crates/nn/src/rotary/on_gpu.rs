//! The rotation of heads as a kernel for GPUs.

use candle_core::{Result, bail};

use super::Rotation;
use crate::gpu::{Array, Given, Grid, Kernel, Machine, Operand, make, read};

/// A thread finds its number's place by divisions of 32 bits, which are several times as fast as longer ones.
pub(super) const MOST_NUMBERS: usize = 1 << 31;

const CODE: &str = "    INDEX i;
    for (i = FIRST; i < n; i += STRIDE) {
        INDEX at = i % (INDEX) width, row = i / (INDEX) width;
        INDEX s = row % (INDEX) length, b = row / (INDEX) length / (INDEX) heads;
        INDEX h = row / (INDEX) length % (INDEX) heads;
        const NUM *head = x + b * batch_stride + h * head_stride + s * row_stride;
        REAL number = WIDE(head[at * stride]);
        if (at < 2 * half) {
            COUNT pair = at < half ? at : at - half;
            COUNT angle = b * angles_of_batch + s * half + pair;
            REAL other = WIDE(head[(at < half ? at + half : pair) * stride]);
            REAL turned = other * WIDE(sin[angle]) * sign;
            number = number * WIDE(cos[angle]) + (at < half ? -turned : turned);
        }
        y[i] = NARROW(number);
    }
";

/// Turns `[batch, heads, sequence, head_dim]` of any stride into the same, contiguous; or back.
pub(super) fn rotate<S: Machine>(x: Operand<'_, S>, rotation: &Rotation, back: bool) -> Result<S> {
    let shape = x.1.shape();
    let (_, heads, length, width) = shape.dims4()?;
    let (angles, _, half) = rotation.cos.dims3()?;
    let &[batch_stride, head_stride, row_stride, stride] = x.1.stride() else {
        bail!("heads have four dimensions")
    };
    let num = shape.elem_count();
    if num >= MOST_NUMBERS {
        bail!("{num} numbers cannot be turned at once, {MOST_NUMBERS} are too many")
    }
    let kernel = Kernel {
        name: "rotary embedding".into(),
        dtype: x.0.dtype(),
        reads: &[Array::Num("x"), Array::Num("cos"), Array::Num("sin")],
        writes: &[Array::Num("y")],
        counts: &[
            "n",
            "heads",
            "length",
            "width",
            "half",
            "angles_of_batch",
            "batch_stride",
            "head_stride",
            "row_stride",
            "stride",
        ],
        factors: &["sign"],
        code: Box::new(|| CODE.to_owned()),
    };
    let angles_of_batch = if angles == 1 { 0 } else { length * half };
    let counts = [num, heads, length, width, half, angles_of_batch];
    let strides = [batch_stride, head_stride, row_stride, stride];
    let [y] = read::<S, _, 2>([&rotation.cos, &rotation.sin], |[cos, sin]| {
        if !(cos.1.is_contiguous() && sin.1.is_contiguous()) {
            bail!("the angles of a rotation are contiguous")
        }
        let (grid, sign) = (Grid::of_numbers(num), if back { -1. } else { 1. });
        let counts = [&counts[..], &strides].concat();
        make(
            &kernel,
            [shape],
            &Given { grid, reads: &[x, cos, sin], counts: &counts, factors: &[sign] },
        )
    })?;
    Ok(y)
}
