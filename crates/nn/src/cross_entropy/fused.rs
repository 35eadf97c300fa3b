//! Cross entropy in one pass over the logits and no copy of them.

use std::sync::OnceLock;

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Device, Layout, Result, Shape, Tensor, WithDType};

use super::labels::Label;
use crate::cpu::{Number, Real, Values, contiguous, for_number, max, sum, vectorised};

/// The sum of the losses of the rows of a contiguous `[.., classes]`.
pub(super) struct CrossEntropy {
    /// Each row's label.
    classes: Vec<Label>,
    /// log Σ exp of each row, kept by the forward so that the backward needs one exponential only.
    log_sums: OnceLock<Vec<f64>>,
}

impl CrossEntropy {
    pub(super) fn new(classes: Vec<Label>) -> Self {
        Self { classes, log_sums: OnceLock::new() }
    }

    fn forward<N: Number>(&self, logits: &[N], num_classes: usize) -> CpuStorage {
        let mut loss = 0.;
        let mut log_sums = Vec::with_capacity(self.classes.len());
        for (row, class) in logits.chunks_exact(num_classes.max(1)).zip(&self.classes) {
            let Label::Own(class) = *class else {
                log_sums.push(0.);
                continue;
            };
            let largest = largest(row);
            let (max, sum) = (largest.to_f64(), sum_of_exps(row, largest).to_f64());
            let log_sum = max + sum.ln();
            loss += log_sum - row[class].to_f64();
            log_sums.push(log_sum);
        }
        // A second forward of the same operation would find the same sums.
        let _ = self.log_sums.set(log_sums);
        N::Real::to_cpu_storage_owned(vec![<N::Real as WithDType>::from_f64(loss)])
    }
}

fn largest<N: Number>(row: &[N]) -> N::Real {
    vectorised(
        #[inline(always)]
        || max(row),
    )
}

fn sum_of_exps<N: Number>(row: &[N], max: N::Real) -> N::Real {
    vectorised(
        #[inline(always)]
        || sum(row, |z| (z - max).exp()),
    )
}

/// The largest number of each row of a contiguous `[rows, width]`, of at least one; `[rows]`.
pub(super) fn row_maxima<N: Number>(rows: &Tensor) -> Result<Tensor> {
    let (num_rows, width) = rows.dims2()?;
    let values = Values::of(rows);
    let maxima: Vec<_> = values.slice::<N>()?.chunks_exact(width.max(1)).map(largest).collect();
    Tensor::from_vec(maxima, num_rows, &Device::Cpu)
}

/// Σ exp (z - max) of each row of a contiguous `[rows, width]`; of the shape of `max`.
pub(super) fn row_sums<N: Number>(rows: &Tensor, max: &Tensor) -> Result<Tensor> {
    let (_, width) = rows.dims2()?;
    let (values, maxima) = (Values::of(rows), max.flatten_all()?.to_vec1::<N::Real>()?);
    let rows = values.slice::<N>()?;
    let sums = maxima.iter().enumerate().map(|(row, &max)| {
        sum_of_exps(rows.get(row * width..(row + 1) * width).unwrap_or(&[]), max)
    });
    Tensor::from_vec(sums.collect::<Vec<_>>(), max.shape(), &Device::Cpu)
}

/// The gradient of a loss whose own is `grad`: a row's probabilities, less one at its label.
pub(super) fn input_grad<N: Number>(
    logits: &Tensor,
    classes: &[Label],
    log_sums: &[f64],
    grad: f64,
) -> Result<Tensor> {
    let num_classes = logits.dims().last().map_or(1, |&n| n.max(1));
    let values = Values::of(logits);
    let logits_slice = values.slice::<N>()?;
    let mut input_grad = vec![N::zero(); logits_slice.len()];
    let scale = <N::Real as WithDType>::from_f64(grad);
    let rows = input_grad.chunks_exact_mut(num_classes).zip(logits_slice.chunks_exact(num_classes));
    for (((out, row), class), &log_sum) in rows.zip(classes).zip(log_sums) {
        if *class == Label::Ignored {
            continue;
        }
        let log_sum = <N::Real as WithDType>::from_f64(log_sum);
        vectorised(
            #[inline(always)]
            || {
                for (out, z) in out.iter_mut().zip(row) {
                    *out = N::narrow((z.wide() - log_sum).exp() * scale);
                }
            },
        );
        if let Label::Own(class) = *class {
            let probability = (row[class].wide() - log_sum).exp() * scale;
            out[class] = N::narrow(probability - scale);
        }
    }
    Tensor::from_vec(input_grad, logits.shape(), &Device::Cpu)
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
        let log_sums = self.log_sums.get().map_or(&[][..], Vec::as_slice);
        for_number!(logits.dtype(), self.name(), N => {
            input_grad::<N>(logits, &self.classes, log_sums, grad)
        })
        .map(Some)
    }
}
