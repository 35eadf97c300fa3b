//! The linear layer on the CPU: the bias added where the product is, the weight's gradient added
//! where the others are.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Device, Layout, Result, Shape, Tensor};

use crate::Parameter;
use crate::affine::bias_grad;
use crate::cpu::{
    Matrix, Number, Values, add_product, add_to, contiguous, for_number, product, vectorised, write,
};

/// `x Wᵀ + b` for contiguous tensors; without a bias it takes two arguments.
pub(super) struct Fused {
    pub(super) weight: Parameter,
    pub(super) bias: Option<Parameter>,
}

/// `x` has `num_rows` rows, `w` as many as there are outputs.
struct Sizes {
    num_rows: usize,
    num_in: usize,
    num_out: usize,
}

impl Sizes {
    fn of(x: &Shape, w: &Shape) -> Result<Self> {
        let (num_out, num_in) = w.dims2()?;
        let num_rows = x.dims().iter().rev().skip(1).product();
        Ok(Self { num_rows, num_in, num_out })
    }

    /// Parts of the weight with the number of the first output of each. One that has to be
    /// converted to be computed with is so bit by bit: a copy of it all could be a gigabyte.
    fn parts<'a, N: Number>(&self, w: &'a [N]) -> impl Iterator<Item = (usize, &'a [N])> {
        let num_outputs = N::CONVERTED_AT_ONCE;
        let len = num_outputs.saturating_mul(self.num_in).max(1);
        w.chunks(len).enumerate().map(move |(i, part)| (i.saturating_mul(num_outputs), part))
    }
}

fn forward<N: Number>(x: &[N], w: &[N], bias: Option<&[N]>, sizes: &Sizes) -> Result<Vec<N>> {
    let &Sizes { num_rows, num_in, num_out } = sizes;
    let x = N::reals(x);
    let x = Matrix::of_rows(&x, num_rows, num_in)?;
    if num_out <= N::CONVERTED_AT_ONCE || num_in == 0 {
        let w = N::reals(w);
        let mut y = product(x, Matrix::of_rows(&w, num_out, num_in)?.t())?;
        add_bias(&mut y, bias);
        return Ok(N::from_reals(y));
    }
    let mut y = vec![N::zero(); num_rows * num_out];
    for (start, w) in sizes.parts(w) {
        let num_outputs = w.len() / num_in;
        let w = N::reals(w);
        let mut part = product(x, Matrix::of_rows(&w, num_outputs, num_in)?.t())?;
        add_bias(&mut part, bias.map(|bias| &bias[start..start + num_outputs]));
        vectorised(
            #[inline(always)]
            || {
                for (y, part) in y.chunks_exact_mut(num_out).zip(part.chunks_exact(num_outputs)) {
                    for (y, &part) in y[start..].iter_mut().zip(part) {
                        *y = N::narrow(part);
                    }
                }
            },
        );
    }
    Ok(y)
}

fn add_bias<N: Number>(y: &mut [N::Real], bias: Option<&[N]>) {
    let Some(bias) = bias.filter(|bias| !bias.is_empty()) else { return };
    vectorised(
        #[inline(always)]
        || {
            for y in y.chunks_exact_mut(bias.len()) {
                add_to(y, bias);
            }
        },
    );
}

/// `G W`.
fn input_grad<N: Number>(grad: &[N], w: &[N], sizes: &Sizes) -> Result<Vec<N>> {
    let &Sizes { num_rows, num_in, num_out } = sizes;
    let grad = N::reals(grad);
    let mut sum: Option<Vec<N::Real>> = None;
    for (start, w) in sizes.parts(w) {
        let num_outputs = w.len().checked_div(num_in).unwrap_or(0);
        let w = N::reals(w);
        let w = Matrix::of_rows(&w, num_outputs, num_in)?;
        let some = grad.get(start..).unwrap_or(&[]);
        let grad = Matrix::new(some, [num_rows, num_outputs], [num_out, 1])?;
        match &mut sum {
            Some(sum) => add_product(sum, grad, w)?,
            None => sum = Some(product(grad, w)?),
        }
    }
    let zeros = || vec![N::zero().wide(); num_rows * num_in];
    Ok(N::from_reals(sum.unwrap_or_else(zeros)))
}

/// Adds `Gᵀ x` to the weight's gradient.
fn weight_grad<N: Number>(weight: &Parameter, x: &Tensor, grad: &Tensor) -> Result<()> {
    let Sizes { num_rows, num_in, num_out } = Sizes::of(x.shape(), weight.shape())?;
    let (x, grad) = (Values::of(x), Values::of(grad));
    let (x, grad) = (N::reals(x.slice()?), N::reals(grad.slice()?));
    let x = Matrix::of_rows(&x, num_rows, num_in)?;
    let turned = Matrix::of_rows(&grad, num_rows, num_out)?.t();
    weight.accumulate_in_place(
        || Tensor::from_vec(product(turned, x)?, weight.shape(), &Device::Cpu),
        |sum| write(sum, |sum| add_product::<N::Real>(sum, turned, x)),
    )
}

impl Fused {
    fn run<N: Number>(
        x: (&CpuStorage, &Layout),
        w: (&CpuStorage, &Layout),
        bias: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let sizes = Sizes::of(x.1.shape(), w.1.shape())?;
        let bias = bias.map(|(bias, layout)| contiguous::<N>(bias, layout)).transpose()?;
        let y = forward::<N>(contiguous(x.0, x.1)?, contiguous(w.0, w.1)?, bias, &sizes)?;
        let leading = &x.1.dims()[..x.1.dims().len() - 1];
        Ok((N::to_cpu_storage_owned(y), Shape::from(leading).extend(&[sizes.num_out])))
    }

    /// Sees to the gradients of weight and bias and returns that of `x`.
    fn backward(&self, x: &Tensor, w: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.detach().contiguous()?;
        if let Some(bias) = self.bias.as_ref().filter(|bias| bias.is_trainable()) {
            let grad = grad.clone();
            bias.defer(move |bias| bias_grad(bias, &grad))?;
        }
        if self.weight.is_trainable() {
            let (x, grad) = (x.detach(), grad.clone());
            self.weight.defer(move |weight| {
                for_number!(x.dtype(), "linear", N => weight_grad::<N>(weight, &x, &grad))
            })?;
        }
        if !x.track_op() {
            return Ok(None);
        }
        let sizes = Sizes::of(x.shape(), w.shape())?;
        let (grad, w) = (Values::of(&grad), Values::of(w));
        for_number!(x.dtype(), "linear", N => {
            let input_grad = input_grad::<N>(grad.slice()?, w.slice()?, &sizes)?;
            Tensor::from_vec(input_grad, x.shape(), &Device::Cpu).map(Some)
        })
    }
}

impl CustomOp2 for Fused {
    fn name(&self) -> &'static str {
        "linear"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dtype = candle_core::backend::BackendStorage::dtype(x);
        for_number!(dtype, "linear", N => Self::run::<N>((x, xl), (w, wl), None))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, w, grad)?, None))
    }
}

impl CustomOp3 for Fused {
    fn name(&self) -> &'static str {
        "linear with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        w: &CpuStorage,
        wl: &Layout,
        b: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let dtype = candle_core::backend::BackendStorage::dtype(x);
        for_number!(dtype, "linear", N => Self::run::<N>((x, xl), (w, wl), Some((b, bl))))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        Ok((self.backward(x, w, grad)?, None, None))
    }
}
