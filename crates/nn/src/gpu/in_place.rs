//! Sums and products written over a tensor.

use candle_core::{Layout, Result, bail};

use super::{Array, Call, Grid, Kernel, Machine, Operand};

/// `a += b`; `a` is of the type that `b` is computed in.
pub(crate) fn add<S: Machine>(a: (&mut S, &Layout), b: Operand<'_, S>) -> Result<()> {
    let num = a.1.shape().elem_count();
    if b.1.shape().elem_count() != num || !b.1.is_contiguous() {
        bail!("{:?} cannot be added to {:?}", b.1.shape(), a.1.shape());
    }
    let kernel = Kernel {
        name: "add".into(),
        dtype: b.0.dtype(),
        reads: &[Array::Num("b")],
        writes: &[Array::Real("a")],
        counts: &["n"],
        factors: &[],
        code: Box::new(|| {
            "    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) a[i] += WIDE(b[i]);
"
            .to_owned()
        }),
    };
    let call = Call { reads: &[b], writes: &mut [a], counts: &[num], factors: &[] };
    S::run(&kernel, Grid::of_numbers(num), call)
}

/// `a *= factor`.
pub(crate) fn scale<S: Machine>(a: (&mut S, &Layout), factor: f64) -> Result<()> {
    let num = a.1.shape().elem_count();
    let kernel = Kernel {
        name: "scale".into(),
        dtype: a.0.dtype(),
        reads: &[],
        writes: &[Array::Num("a")],
        counts: &["n"],
        factors: &["factor"],
        code: Box::new(|| {
            "    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) a[i] = NARROW(WIDE(a[i]) * factor);
"
            .to_owned()
        }),
    };
    let call = Call { reads: &[], writes: &mut [a], counts: &[num], factors: &[factor] };
    S::run(&kernel, Grid::of_numbers(num), call)
}
