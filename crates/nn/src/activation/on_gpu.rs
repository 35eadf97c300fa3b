//! Activations as kernels for GPUs.

use candle_core::{DType, Result, Tensor};

use super::Activation;
use crate::gpu::{Array, Given, Grid, Kernel, Machine, Operand, make, read, tensor};

/// An activation as a kernel has it, of a `REAL x`.
pub(crate) struct GpuActivation {
    /// Statements that make `s(x)`, a `REAL s`.
    pub(crate) share: &'static str,
    /// The derivative of `x s(x)`, made of what the statements have made.
    pub(crate) slope: &'static str,
}

fn kernel<A: Activation>(
    suffix: &str,
    dtype: DType,
    [reads, writes]: [&'static [Array]; 2],
    of_number: impl Fn() -> String + 'static,
) -> Kernel {
    let code = move || {
        let (share, of_number) = (A::ON_GPU.share, of_number());
        format!(
            "    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) {{
        REAL x = WIDE(xs[i]);
        {share}
{of_number}    }}
"
        )
    };
    let name = format!("{}{suffix}", A::NAMES[0]).into();
    Kernel { name, dtype, reads, writes, counts: &["n"], factors: &[], code: Box::new(code) }
}

/// `f(x)` of a contiguous `x`.
pub(super) fn forward<A: Activation, S: Machine>(x: Operand<'_, S>) -> Result<S> {
    let arrays: [&[Array]; 2] = [&[Array::Num("xs")], &[Array::Num("ys")]];
    let kernel =
        kernel::<A>("", x.0.dtype(), arrays, || "        ys[i] = NARROW(x * s);\n".to_owned());
    let (num, shape) = (x.1.shape().elem_count(), x.1.shape());
    let [y] = make(
        &kernel,
        [shape],
        &Given { grid: Grid::of_numbers(num), reads: &[x], counts: &[num], factors: &[] },
    )?;
    Ok(y)
}

/// The gradient of `x`. Both are contiguous.
pub(super) fn backward<A: Activation, S: Machine>(x: &Tensor, grad: &Tensor) -> Result<Tensor> {
    let of_number = || {
        let slope = A::ON_GPU.slope;
        format!("        x_grads[i] = NARROW(WIDE(grads[i]) * ({slope}));\n")
    };
    let arrays: [&[Array]; 2] =
        [&[Array::Num("xs"), Array::Num("grads")], &[Array::Num("x_grads")]];
    let kernel = kernel::<A>(" backward", x.dtype(), arrays, of_number);
    let num = x.elem_count();
    let [input_grad] = read::<S, _, 2>([x, grad], |reads| {
        make(
            &kernel,
            [x.shape()],
            &Given { grid: Grid::of_numbers(num), reads: &reads, counts: &[num], factors: &[] },
        )
    })?;
    Ok(tensor(input_grad, x.shape()))
}

/// `f(gate) · up`, of two that are contiguous.
pub(super) fn forward_gated<A: Activation, S: Machine>(
    gate: Operand<'_, S>,
    up: Operand<'_, S>,
) -> Result<S> {
    let arrays: [&[Array]; 2] = [&[Array::Num("xs"), Array::Num("ups")], &[Array::Num("ys")]];
    let of_number = || "        ys[i] = NARROW(x * s * WIDE(ups[i]));\n".to_owned();
    let kernel = kernel::<A>(" gated", gate.0.dtype(), arrays, of_number);
    let (num, shape) = (gate.1.shape().elem_count(), gate.1.shape());
    let [y] = make(
        &kernel,
        [shape],
        &Given { grid: Grid::of_numbers(num), reads: &[gate, up], counts: &[num], factors: &[] },
    )?;
    Ok(y)
}

/// The gradients of gate and up. All are contiguous.
pub(super) fn backward_gated<A: Activation, S: Machine>(
    [gate, up, grad]: [&Tensor; 3],
) -> Result<[Tensor; 2]> {
    let of_number = || {
        let slope = A::ON_GPU.slope;
        format!(
            "        REAL grad = WIDE(grads[i]);
        x_grads[i] = NARROW(grad * WIDE(ups[i]) * ({slope}));
        up_grads[i] = NARROW(grad * x * s);
"
        )
    };
    let reads = &[Array::Num("xs"), Array::Num("ups"), Array::Num("grads")];
    let writes = &[Array::Num("x_grads"), Array::Num("up_grads")];
    let kernel = kernel::<A>(" gated backward", gate.dtype(), [reads, writes], of_number);
    let (num, shape) = (gate.elem_count(), gate.shape());
    let grads = read::<S, _, 3>([gate, up, grad], |reads| {
        make(
            &kernel,
            [shape, shape],
            &Given { grid: Grid::of_numbers(num), reads: &reads, counts: &[num], factors: &[] },
        )
    })?;
    Ok(grads.map(|grad| tensor(grad, shape)))
}
