//! Cross entropy in one pass over the logits and no copy of them.

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use crate::cpu::{Number, Real, Values, contiguous, for_number, max, sum, vectorised};

/// The sum of the losses of the rows of a contiguous `[.., classes]`.
pub(super) struct CrossEntropy {
    /// Each row's label, below the number of classes.
    classes: Vec<Option<usize>>,
    /// log Σ exp of each row, kept by the forward so that the backward needs one exponential only.
    log_sums: OnceLock<Vec<f64>>,
}

impl CrossEntropy {
    pub(super) fn new(classes: Vec<Option<usize>>) -> Self {
        Self { classes, log_sums: OnceLock::new() }
    }

    fn forward<N: Number>(&self, logits: &[N], num_classes: usize) -> CpuStorage {
        let mut loss = 0.;
        let mut log_sums = Vec::with_capacity(self.classes.len());
        for (row, class) in logits.chunks_exact(num_classes.max(1)).zip(&self.classes) {
            let Some(class) = *class else {
                log_sums.push(0.);
                continue;
            };
            let (max, sum) = vectorised(
                #[inline(always)]
                || {
                    let max = max(row);
                    (max.to_f64(), sum(row, |z| (z - max).exp()).to_f64())
                },
            );
            let log_sum = max + sum.ln();
            loss += log_sum - row[class].to_f64();
            log_sums.push(log_sum);
        }
        // A second forward of the same operation would find the same sums.
        let _ = self.log_sums.set(log_sums);
        N::Real::to_cpu_storage_owned(vec![<N::Real as WithDType>::from_f64(loss)])
    }

    fn backward<N: Number>(&self, logits: &Tensor, grad: f64) -> Result<Tensor> {
        let num_classes = logits.dims().last().map_or(1, |&n| n.max(1));
        let values = Values::of(logits);
        let logits_slice = values.slice::<N>()?;
        let mut input_grad = vec![N::zero(); logits_slice.len()];
        let scale = <N::Real as WithDType>::from_f64(grad);
        let log_sums = self.log_sums.get().map_or(&[][..], Vec::as_slice);
        let rows =
            input_grad.chunks_exact_mut(num_classes).zip(logits_slice.chunks_exact(num_classes));
        for (((out, row), class), &log_sum) in rows.zip(&self.classes).zip(log_sums) {
            let Some(class) = *class else { continue };
            let log_sum = <N::Real as WithDType>::from_f64(log_sum);
            vectorised(
                #[inline(always)]
                || {
                    for (out, z) in out.iter_mut().zip(row) {
                        *out = N::narrow((z.wide() - log_sum).exp() * scale);
                    }
                },
            );
            let probability = (row[class].wide() - log_sum).exp() * scale;
            out[class] = N::narrow(probability - scale);
        }
        Tensor::from_vec(input_grad, logits.shape(), &Device::Cpu)
    }
}

impl CustomOp1 for CrossEntropy {
    fn name(&self) -> &'static str {
        "cross entropy"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let num_classes = layout.dims().last().copied().unwrap_or(1);
        let loss = for_number!(logits.dtype(), self.name(), N => {
            Ok(self.forward::<N>(contiguous(logits, layout)?, num_classes))
        })?;
        Ok((loss, Shape::from(())))
    }

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        let grad = grad.to_dtype(DType::F64)?.to_scalar()?;
        for_number!(logits.dtype(), self.name(), N => self.backward::<N>(logits, grad)).map(Some)
    }
}
