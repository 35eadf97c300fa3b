//! One step of a rule on one variable as a kernel for GPUs.

use candle_core::{DType, Result, Tensor, bail};

use super::update::Formula;
use crate::every_device::{wide_dtype, write_on};
use crate::gpu::{Array, Call, Grid, Kernel, Machine, read};

/// A formula as a kernel has it.
pub(crate) struct GpuFormula {
    /// Tells it from others.
    pub(super) name: &'static str,
    /// Statements that change `value` and what is remembered of it, `r0` and on, by `grad` and the
    /// factors `f0` and on. `REAL` is their type.
    pub(super) code: &'static str,
    /// The factors of one step.
    pub(super) factors: Vec<f64>,
}

/// As many as any formula has.
const FACTORS: &[&str] = &["f0", "f1", "f2", "f3", "f4", "f5", "f6"];

/// A step of a rule that remembers so many numbers of each: of `n` values, of `grads`, and of `packed`,
/// which has what is remembered, row by row, and then the values in truth, if it has them.
fn kernel(formula: &GpuFormula, num_rows: usize, dtype: DType) -> Kernel {
    let of_number = formula.code;
    let code = move || {
        let each = |line: &dyn Fn(usize) -> String| (0..num_rows).map(line).collect::<String>();
        let read = each(&|row| format!("        REAL r{row} = packed[{row} * n + i];\n"));
        let write = each(&|row| format!("        packed[{row} * n + i] = r{row};\n"));
        format!(
            "    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) {{
        REAL value = has_truth ? packed[{num_rows} * n + i] : WIDE(values[i]);
        REAL grad = grads[i];
{read}        {of_number}
{write}        if (has_truth) packed[{num_rows} * n + i] = value;
        values[i] = NARROW(value);
    }}
"
        )
    };
    Kernel {
        name: formula.name.into(),
        dtype,
        reads: &[Array::Real("grads")],
        writes: &[Array::Num("values"), Array::Real("packed")],
        counts: &["n", "has_truth"],
        factors: FACTORS,
        code: Box::new(code),
    }
}

/// A step on `value` and on `packed`, of the shapes that [`update`](super::update::update) says. All are
/// contiguous and on one GPU.
pub(super) fn step<S: Machine, const ROWS: usize>(
    formula: &impl Formula<ROWS>,
    value: &Tensor,
    grad: &Tensor,
    packed: &Tensor,
) -> Result<()> {
    let (num, formula) = (value.elem_count(), formula.on_gpu());
    let rows = packed.dims2()?.0;
    if grad.elem_count() != num || packed.elem_count() != rows * num || rows < ROWS {
        bail!("an optimiser has {:?} for {num} numbers", packed.shape());
    }
    if !grad.is_contiguous() || grad.dtype() != wide_dtype(value.dtype()) {
        bail!("an optimiser takes a contiguous gradient as wide as it computes");
    }
    let mut factors = formula.factors.clone();
    factors.resize(FACTORS.len(), 0.);
    let (kernel, has_truth) = (kernel(&formula, ROWS, value.dtype()), usize::from(rows > ROWS));
    read::<S, _, 1>([grad], |reads| {
        write_on::<S>(value, |value, value_layout| {
            write_on::<S>(packed, |packed, packed_layout| {
                let call = Call {
                    reads: &reads,
                    writes: &mut [(value, value_layout), (packed, packed_layout)],
                    counts: &[num, has_truth],
                    factors: &factors,
                };
                S::run(&kernel, Grid::of_numbers(num), call)
            })
        })
    })
}
