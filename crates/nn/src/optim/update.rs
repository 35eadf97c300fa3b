//! One step of Adam on one variable, in a single pass over the numbers where there is a kernel.

use std::cell::RefCell;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, InplaceOp1, InplaceOp2, Layout, Result, Tensor, Var, WithDType};

use crate::cpu::{Number, Real, contiguous, contiguous_mut, for_number, has_kernels, vectorised};

/// The factors of one step, computed in float64.
pub(super) struct Step {
    pub(super) keep: f64,
    pub(super) new_mean: f64,
    pub(super) beta2: f64,
    pub(super) new_square: f64,
    pub(super) root_correction: f64,
    pub(super) eps: f64,
    pub(super) step_size: f64,
}

/// Updates `var` and its `moments`, of shape `[2, n]`.
pub(super) fn update(var: &Var, grad: &Tensor, moments: &Tensor, step: &Step) -> Result<()> {
    if has_kernels(var) {
        let grad = grad.to_dtype(moments.dtype())?.contiguous()?;
        return var.inplace_op2(&grad, &Update { moments, step });
    }
    let wide = moments.dtype();
    let num = var.elem_count();
    let grad = grad.to_dtype(wide)?.reshape(num)?;
    let (mean, square) = (moments.get(0)?, moments.get(1)?);
    let mean = (&mean + ((&grad - &mean)? * step.new_mean)?)?;
    let square = ((square * step.beta2)? + (grad.sqr()? * step.new_square)?)?;
    let root = ((square.sqrt()? / step.root_correction)? + step.eps)?;
    let value = (var.as_detached_tensor().to_dtype(wide)?.reshape(num)? * step.keep)?;
    let value = (value - ((&mean / root)? * step.step_size)?)?;
    moments.slice_set(&Tensor::stack(&[mean, square], 0)?, 0, 0)?;
    var.set(&value.to_dtype(var.dtype())?.reshape(var.shape())?)
}

/// The update seen from the variable: it opens the moments, which are written as well.
struct Update<'a> {
    moments: &'a Tensor,
    step: &'a Step,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        value: &mut CpuStorage,
        vl: &Layout,
        grad: &CpuStorage,
        gl: &Layout,
    ) -> Result<()> {
        for_number!(value.dtype(), self.name(), N => {
            let value = RefCell::new(contiguous_mut::<N>(value, vl)?);
            self.moments.inplace_op1(&Pass { value, grad: contiguous(grad, gl)?, step: self.step })
        })
    }
}

/// The update seen from the moments, with the other numbers at hand.
struct Pass<'a, N: Number> {
    value: RefCell<&'a mut [N]>,
    grad: &'a [N::Real],
    step: &'a Step,
}

impl<N: Number> InplaceOp1 for Pass<'_, N> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(&self, moments: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let mut value = self.value.borrow_mut();
        let (means, squares) =
            contiguous_mut::<N::Real>(moments, layout)?.split_at_mut(self.grad.len());
        let [keep, new_mean, beta2, new_square, root_correction, eps, step_size] = [
            self.step.keep,
            self.step.new_mean,
            self.step.beta2,
            self.step.new_square,
            self.step.root_correction,
            self.step.eps,
            self.step.step_size,
        ]
        .map(<N::Real as WithDType>::from_f64);
        vectorised(
            #[inline(always)]
            || {
                let numbers = value.iter_mut().zip(means).zip(squares).zip(self.grad);
                for (((value, mean), square), &grad) in numbers {
                    *mean += (grad - *mean) * new_mean;
                    *square = *square * beta2 + grad * grad * new_square;
                    let root = square.sqrt() / root_correction + eps;
                    *value = N::narrow(value.wide() * keep - step_size * *mean / root);
                }
            },
        );
        Ok(())
    }
}
