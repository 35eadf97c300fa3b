//! The cross entropy by candle's own operations, some rows at a time: for the devices and dtypes without a
//! kernel. Of the logits there is no copy but of these rows, and the backward keeps one number of each.

use std::ops::Range;

use candle_core::{CustomOp1, D, Result, Tensor};

use super::labels::{self, Label};
use crate::computed::{Computed, computed};
use crate::every_device::wide_dtype;

/// How many logits are copied at once, at about the most.
const MOST_LOGITS: usize = 1 << 24;

/// The loss of `logits`, of the shape that the labels and a dimension of classes say.
pub(super) fn loss(logits: &Tensor, classes: Vec<Label>) -> Result<Tensor> {
    let num_classes = logits.dims().last().map_or(1, |&num| num.max(1));
    loss_by(MOST_LOGITS / num_classes, logits, classes)
}

/// The same, so many rows at a time, one at the least.
pub(super) fn loss_by(num_rows: usize, logits: &Tensor, classes: Vec<Label>) -> Result<Tensor> {
    let num_all = classes.len();
    if logits.elem_count() == 0 {
        return Tensor::zeros((), wide_dtype(logits.dtype()), logits.device());
    }
    let logits = logits.reshape((num_all, ()))?.contiguous()?;
    let rule = Rule {
        index: labels::index(&classes, logits.device())?,
        classes,
        num_rows: num_rows.max(1),
    };
    let (loss, log_sums) = rule.forward(&logits.detach())?;
    if !logits.track_op() {
        return Ok(loss);
    }
    logits.apply_op1(ByRows { rule, log_sums, loss: Computed::new(loss) })
}

/// What the losses of rows are made by.
struct Rule {
    classes: Vec<Label>,
    /// The place of each row's label, `[rows, 1]`.
    index: Tensor,
    num_rows: usize,
}

struct ByRows {
    rule: Rule,
    /// log Σ exp of each row, `[rows, 1]`.
    log_sums: Tensor,
    loss: Computed,
}

fn is_counted(label: Label) -> bool {
    label != Label::Ignored
}

fn cut(x: &Tensor, rows: &Range<usize>) -> Result<Tensor> {
    x.narrow(0, rows.start, rows.len())
}

impl Rule {
    fn blocks(&self) -> impl Iterator<Item = Range<usize>> {
        let (num_all, num_rows) = (self.classes.len(), self.num_rows);
        (0..num_all).step_by(num_rows).map(move |start| start..(start + num_rows).min(num_all))
    }

    /// The loss, and log Σ exp of each row.
    fn forward(&self, logits: &Tensor) -> Result<(Tensor, Tensor)> {
        let (mut losses, mut log_sums) = (Vec::new(), Vec::new());
        for rows in self.blocks() {
            let block = cut(logits, &rows)?.to_dtype(wide_dtype(logits.dtype()))?;
            let max = block.max_keepdim(D::Minus1)?;
            let log_sum = (block.broadcast_sub(&max)?.exp()?.sum_keepdim(D::Minus1)?.log()? + max)?;
            let own = block.gather(&cut(&self.index, &rows)?.contiguous()?, 1)?;
            let each = labels::only(&self.classes[rows], is_counted, &(&log_sum - own)?)?;
            losses.push(each.sum_all()?);
            log_sums.push(log_sum);
        }
        Ok((Tensor::stack(&losses, 0)?.sum_all()?, Tensor::cat(&log_sums, 0)?))
    }

    /// A row's probabilities, less one at its label, times the gradient of the loss.
    fn backward(&self, logits: &Tensor, log_sums: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let dtype = wide_dtype(logits.dtype());
        let grad = grad.to_dtype(dtype)?;
        let mut grads = Vec::new();
        for rows in self.blocks() {
            let block = cut(logits, &rows)?.to_dtype(dtype)?;
            let probabilities = block.broadcast_sub(&cut(log_sums, &rows)?)?.exp()?;
            let index = cut(&self.index, &rows)?.contiguous()?;
            let less = index.zeros_like()?.to_dtype(dtype)?.affine(1., -1.)?;
            let block = probabilities.scatter_add(&index, &less, 1)?.broadcast_mul(&grad)?;
            let block = labels::only(&self.classes[rows], is_counted, &block)?;
            grads.push(block.to_dtype(logits.dtype())?);
        }
        Tensor::cat(&grads, 0)
    }
}

impl CustomOp1 for ByRows {
    fn name(&self) -> &'static str {
        "cross entropy by rows"
    }

    computed!(loss, a);

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        self.rule.backward(&logits.detach(), &self.log_sums, &grad.detach()).map(Some)
    }
}
