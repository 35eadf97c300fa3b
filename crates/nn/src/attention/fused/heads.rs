//! Heads of any stride, copied row by row into numbers to compute with.

use std::ops::Range;

use candle_core::{CpuStorage, Error, Layout, Result};

use crate::cpu::Number;

/// A `[batch, heads, length, head_dim]` of any stride.
pub(super) struct Heads<'a, N> {
    data: &'a [N],
    layout: &'a Layout,
    strides: [usize; 4],
}

impl<'a, N: Number> Heads<'a, N> {
    pub(super) fn new(storage: &'a CpuStorage, layout: &'a Layout) -> Result<Self> {
        let strides = <[usize; 4]>::try_from(layout.stride())
            .map_err(|_| Error::RequiresContiguous { op: "attention" }.bt())?;
        Ok(Self { data: N::cpu_storage_as_slice(storage)?, layout, strides })
    }

    /// Copies the `rows` of one head to `to`, multiplied by `factor`.
    pub(super) fn copy(
        &self,
        [batch, head]: [usize; 2],
        rows: Range<usize>,
        factor: N::Real,
        to: &mut [N::Real],
    ) {
        let [batch_stride, head_stride, row_stride, stride] = self.strides;
        let start = self.layout.start_offset() + batch * batch_stride + head * head_stride;
        let width = self.layout.dims()[3];
        for (row, to) in rows.zip(to.chunks_exact_mut(width)) {
            let row = start + row * row_stride;
            if stride == 1 {
                for (to, x) in to.iter_mut().zip(&self.data[row..row + width]) {
                    *to = x.wide() * factor;
                }
            } else {
                for (i, to) in to.iter_mut().enumerate() {
                    *to = self.data[row + i * stride].wide() * factor;
                }
            }
        }
    }
}
