//! Cross entropy as kernels for GPUs: a block of threads for each row of logits, of which there is no copy.

use std::marker::PhantomData;

use candle_core::{CustomOp1, DType, Device, Result, Shape, Tensor, bail};

use super::labels::Label;
use crate::computed::{Computed, computed};
use crate::every_device::wide_dtype;
use crate::gpu::{Array, Given, Grid, Kernel, Machine, for_rows, make, read, tensor};

/// The places of labels that are no class of a rank's own logits.
const IGNORED: u32 = u32::MAX;
const ELSEWHERE: u32 = u32::MAX - 1;

/// The place of each row's label.
pub(super) fn places(labels: &[Label], device: &Device) -> Result<Tensor> {
    let place = |label: &Label| match *label {
        Label::Ignored => Ok(IGNORED),
        Label::Elsewhere => Ok(ELSEWHERE),
        Label::Own(class) => match u32::try_from(class) {
            Ok(place) if place < ELSEWHERE => Ok(place),
            _ => bail!("a label beyond {ELSEWHERE}, the last that a GPU's kernel can tell"),
        },
    };
    Tensor::new(labels.iter().map(place).collect::<Result<Vec<_>>>()?, device)
}

fn kernel(
    name: &'static str,
    dtype: DType,
    [reads, writes]: [&'static [Array]; 2],
    of_row: impl Fn() -> String + 'static,
) -> Kernel {
    let code =
        for_rows(move || format!("        const NUM *from = logits + row * width;\n{}", of_row()));
    let counts = &["rows", "width"];
    Kernel { name: name.into(), dtype, reads, writes, counts, factors: &[], code }
}

/// The largest of a row.
const LARGEST: &str = "        REAL max = -INFINITE;
        for (i = THREAD; i < width; i += THREADS) max = WIDE(from[i]) > max ? WIDE(from[i]) : max;
        max = ALL_MAX(max, parts);
";

/// The sum of its exponentials, each less than one.
const SUM: &str = "        REAL sum = 0;
        for (i = THREAD; i < width; i += THREADS) sum += EXP(WIDE(from[i]) - max);
        sum = ALL_SUM(sum, parts);
";

/// Of contiguous logits `[rows, width]`: each row's loss and log Σ exp. A row that does not count has zeros.
fn forward<S: Machine>(logits: &Tensor, places: &Tensor) -> Result<[Tensor; 2]> {
    let of_row = || {
        format!(
            "        if (places[row] == {IGNORED}u) {{
            if (THREAD == 0) losses[row] = log_sums[row] = 0;
            continue;
        }}
{LARGEST}{SUM}        if (THREAD == 0) {{
            log_sums[row] = max + LOG(sum);
            losses[row] = log_sums[row] - WIDE(from[places[row]]);
        }}
"
        )
    };
    let (reads, writes) = (
        &[Array::Num("logits"), Array::Index("places")],
        &[Array::Real("losses"), Array::Real("log_sums")],
    );
    let kernel = kernel("cross entropy", logits.dtype(), [reads, writes], of_row);
    let (rows, width) = logits.dims2()?;
    let (grid, each) = (Grid::of_rows(rows, width), Shape::from(rows));
    let made = read::<S, _, 2>([logits, places], |reads| {
        make(
            &kernel,
            [&each, &each],
            &Given { grid, reads: &reads, counts: &[rows, width], factors: &[] },
        )
    })?;
    Ok(made.map(|made| tensor(made, &each)))
}

/// The gradient of contiguous logits `[rows, width]`: a row's probabilities, less one at its label, times that
/// of the loss, a number on the device. `log_sums` has as many numbers as there are rows.
pub(super) fn backward<S: Machine>(
    logits: &Tensor,
    [places, log_sums, grad]: [&Tensor; 3],
) -> Result<Tensor> {
    let of_row = || {
        "        REAL scale = places[row] == IGNORED ? 0 : grad[0];
        for (i = THREAD; i < width; i += THREADS) {
            REAL share = scale == 0 ? 0 : EXP(WIDE(from[i]) - log_sums[row]) - (i == places[row]);
            grads[row * width + i] = NARROW(share * scale);
        }
"
        .replace("IGNORED", &format!("{IGNORED}u"))
    };
    let reads = &[
        Array::Num("logits"),
        Array::Index("places"),
        Array::Real("log_sums"),
        Array::Real("grad"),
    ];
    let writes = &[Array::Num("grads")];
    let kernel = kernel("cross entropy backward", logits.dtype(), [reads, writes], of_row);
    let dtype = wide_dtype(logits.dtype());
    let log_sums = log_sums.to_dtype(dtype)?.contiguous()?;
    let grad = grad.detach().to_dtype(dtype)?.contiguous()?;
    let (rows, width) = logits.dims2()?;
    let [grads] = read::<S, _, 4>([logits, places, &log_sums, &grad], |reads| {
        let grid = Grid::of_rows(rows, width);
        make(
            &kernel,
            [logits.shape()],
            &Given { grid, reads: &reads, counts: &[rows, width], factors: &[] },
        )
    })?;
    Ok(tensor(grads, logits.shape()))
}

/// The largest number of each row of a contiguous `[rows, width]`, of at least one; `[rows]`.
pub(super) fn row_maxima<S: Machine>(rows: &Tensor) -> Result<Tensor> {
    let of_row = || format!("{LARGEST}        if (THREAD == 0) maxima[row] = max;\n");
    let arrays: [&[Array]; 2] = [&[Array::Num("logits")], &[Array::Real("maxima")]];
    let kernel = kernel("largest of rows", rows.dtype(), arrays, of_row);
    let (num_rows, width) = rows.dims2()?;
    let (grid, each) = (Grid::of_rows(num_rows, width), Shape::from(num_rows));
    let [maxima] = read::<S, _, 1>([rows], |reads| {
        make(
            &kernel,
            [&each],
            &Given { grid, reads: &reads, counts: &[num_rows, width], factors: &[] },
        )
    })?;
    Ok(tensor(maxima, &each))
}

/// Σ exp (z - max) of each row of a contiguous `[rows, width]`; of the shape of `max`.
pub(super) fn row_sums<S: Machine>(rows: &Tensor, max: &Tensor) -> Result<Tensor> {
    let of_row = || {
        format!(
            "        REAL max = maxima[row];
{SUM}        if (THREAD == 0) sums[row] = sum;
"
        )
    };
    let arrays: [&[Array]; 2] =
        [&[Array::Num("logits"), Array::Real("maxima")], &[Array::Real("sums")]];
    let kernel = kernel("exponentials of rows", rows.dtype(), arrays, of_row);
    let (num_rows, width) = rows.dims2()?;
    let max = max.contiguous()?;
    let [sums] = read::<S, _, 2>([rows, &max], |reads| {
        let grid = Grid::of_rows(num_rows, width);
        make(
            &kernel,
            [max.shape()],
            &Given { grid, reads: &reads, counts: &[num_rows, width], factors: &[] },
        )
    })?;
    Ok(tensor(sums, max.shape()))
}

/// The loss of logits of the shape that the labels and a dimension of classes say.
pub(super) fn loss<S: Machine + 'static>(logits: &Tensor, labels: &[Label]) -> Result<Tensor> {
    if logits.elem_count() == 0 {
        return Tensor::zeros((), wide_dtype(logits.dtype()), logits.device());
    }
    let logits = logits.reshape((labels.len(), ()))?.contiguous()?;
    let places = places(labels, logits.device())?;
    let [losses, log_sums] = forward::<S>(&logits.detach(), &places)?;
    let loss = losses.sum_all()?;
    if !logits.track_op() {
        return Ok(loss);
    }
    let loss = Computed::new(loss);
    logits.apply_op1(OnGpu { places, log_sums, loss, machine: PhantomData::<fn() -> S> })
}

struct OnGpu<S> {
    places: Tensor,
    /// log Σ exp of each row, `[rows]`.
    log_sums: Tensor,
    loss: Computed,
    machine: PhantomData<fn() -> S>,
}

impl<S: Machine> CustomOp1 for OnGpu<S> {
    fn name(&self) -> &'static str {
        "cross entropy on a GPU"
    }

    computed!(loss, a);

    fn bwd(&self, logits: &Tensor, _: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        backward::<S>(&logits.detach(), [&self.places, &self.log_sums, grad]).map(Some)
    }
}
