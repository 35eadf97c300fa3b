//! The sum y + b whose bias gradient waits, and that gradient by a kernel.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, CustomOp2, Device, Layout, Result, Shape, Tensor, op};

use crate::cpu::{Number, Values, add_to, for_number, vectorised};
use crate::every_device::on_every_device;
use crate::gpu::{Array, Machine, Term, add_columns};
use crate::{Error, Parameter};

/// The sum `x + b` of `x` of shape `[.., n]` and a bias of shape `[n]`, whose gradient can wait. It is
/// for a bias that does not belong to the product before it: behind a sum over ranks.
///
/// # Errors
/// If the last dimension, dtype or device of `x` is not the bias's.
pub fn add_bias(x: &Tensor, bias: &Parameter) -> Result<Tensor> {
    let width = bias.num_elements();
    if bias.shape().rank() != 1 || x.dims().last() != Some(&width) {
        return Err(Error::InputShape {
            layer: "sum with a bias",
            expected: format!("an input of shape [.., n] and a bias [n], here {:?}", bias.shape()),
            actual: x.shape().clone(),
        }
        .into());
    }
    x.contiguous()?.apply_op2(bias.value(), AddBias { bias: bias.clone() })
}

/// `y + b` for `y` of shape `[.., n]` and `b` of shape `[n]`.
pub(crate) struct AddBias {
    pub(crate) bias: Parameter,
}

fn forward<S: BackendStorage>(
    y: &S,
    y_layout: &Layout,
    b: &S,
    b_layout: &Layout,
) -> Result<(S, Shape)> {
    let shape = y_layout.shape();
    let sum = y.binary_impl::<op::Add>(b, y_layout, &b_layout.broadcast_as(shape.clone())?)?;
    Ok((sum, shape.clone()))
}

impl CustomOp2 for AddBias {
    fn name(&self) -> &'static str {
        "add bias"
    }

    on_every_device!(forward);

    fn bwd(
        &self,
        y: &Tensor,
        b: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        if self.bias.is_trainable() {
            let grad = grad.detach().reshape(((), b.elem_count()))?;
            self.bias.defer(move |bias| {
                if crate::gpu::has_kernels(&grad) {
                    return bias_grad_on_gpu::<CudaStorage>(bias, &grad.contiguous()?);
                }
                bias.accumulate(&grad.to_dtype(bias.grad_dtype())?.sum(0)?)
            })?;
        }
        Ok((y.track_op().then(|| grad.clone()), None))
    }
}

/// As [`bias_grad`], where a GPU's kernels are.
fn bias_grad_on_gpu<S: Machine>(bias: &Parameter, grad: &Tensor) -> Result<()> {
    let term = Term { name: "bias", reads: &[Array::Num("grad")], code: "WIDE(grad[at])" };
    add_columns::<S, 1>(bias, &term, [grad])
}

/// Adds the sum of the rows of `G`, contiguous on the CPU, to the bias's gradient.
pub(crate) fn bias_grad(bias: &Parameter, grad: &Tensor) -> Result<()> {
    let sum = for_number!(grad.dtype(), "gradient of a bias", N => {
        sum_of_rows::<N>(bias.shape(), grad)
    })?;
    bias.accumulate(&sum)
}

fn sum_of_rows<N: Number>(shape: &Shape, grad: &Tensor) -> Result<Tensor> {
    let values = Values::of(grad);
    let grads = values.slice::<N>()?;
    let mut sum = vec![N::zero().wide(); shape.elem_count()];
    vectorised(
        #[inline(always)]
        || {
            for grad in grads.chunks_exact(sum.len().max(1)) {
                add_to(&mut sum, grad);
            }
        },
    );
    Tensor::from_vec(sum, shape, &Device::Cpu)
}

#[cfg(test)]
mod on_gpu {
    use candle_core::CpuStorage;

    use crate::Parameters;
    use crate::gpu::{DTYPES, assert_same, numbers_of};

    /// More rows than are added up at once, and more than one part each.
    #[test]
    fn gradients_on_a_gpu_are_those_of_the_cpu() {
        for dtype in DTYPES {
            for [rows, width] in [[3, 5], [40, 33], [2100, 2], [2, 300]] {
                let grad = numbers_of(&[rows, width], 9, dtype);
                let sums = [super::bias_grad, super::bias_grad_on_gpu::<CpuStorage>].map(|add| {
                    let mut set = Parameters::new();
                    let bias = set.add("b", numbers_of(&[width], 3, dtype), true).unwrap();
                    add(&bias, &grad).unwrap();
                    add(&bias, &grad).unwrap();
                    bias.grad().unwrap()
                });
                assert_same(&sums[1], &sums[0], &format!("{rows} rows of {width} in {dtype:?}"));
            }
        }
    }
}
