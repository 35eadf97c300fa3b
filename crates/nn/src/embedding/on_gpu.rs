//! The gradient of an embedding's weight as a kernel for GPUs: it goes where the others are, to the rows
//! that were looked up and no others.

use candle_core::{Device, Result, Tensor};

use crate::Parameter;
use crate::gpu::{Array, Call, Grid, Kernel, Machine, read};

/// A block of threads for each row of the weight: it adds up the gradients of all places that have it, in
/// their order.
const CODE: &str = "    COUNT row, i;
    for (row = BLOCK; row < rows; row += BLOCKS) {
        for (i = THREAD; i < width; i += THREADS) {
            COUNT at = ids[row] * width + i;
            REAL sum = sums[at];
            INDEX place;
            for (place = starts[row]; place < starts[row + 1]; place++) {
                sum += WIDE(grads[order[place] * width + i]);
            }
            sums[at] = sum;
        }
    }
";

/// Places by what was looked up there.
struct Places {
    /// The places, those with the same id side by side.
    order: Tensor,
    /// Where those of each id begin in `order`, and the end of all.
    starts: Tensor,
    /// The ids.
    ids: Tensor,
}

impl Places {
    fn of(rows: &[usize], padding: Option<usize>, device: &Device) -> Result<Self> {
        let index = |num: usize| u32::try_from(num).map_err(candle_core::Error::wrap);
        let mut order: Vec<usize> = (0..rows.len()).filter(|&i| Some(rows[i]) != padding).collect();
        order.sort_by_key(|&i| rows[i]); // stable: places stay in their order
        let (mut starts, mut ids) = (Vec::new(), Vec::new());
        for (place, &i) in order.iter().enumerate() {
            if ids.last() != Some(&rows[i]) {
                starts.push(place);
                ids.push(rows[i]);
            }
        }
        starts.push(order.len());
        // They go to the device together.
        let lens = [order.len(), starts.len(), ids.len()];
        let all = order.into_iter().chain(starts).chain(ids).map(index);
        let all = Tensor::new(all.collect::<Result<Vec<u32>>>()?, device)?;
        let part = |i: usize| all.narrow(0, lens[..i].iter().sum(), lens[i]);
        Ok(Self { order: part(0)?, starts: part(1)?, ids: part(2)? })
    }
}

/// Adds row `i` of a contiguous `grad` to row `rows[i]` of the weight's gradient, but for that of the padding.
pub(super) fn add_rows<S: Machine>(
    weight: &Parameter,
    grad: &Tensor,
    rows: &[usize],
    padding: Option<usize>,
) -> Result<()> {
    let (_, width) = weight.shape().dims2()?;
    let Places { order, starts, ids } = Places::of(rows, padding, grad.device())?;
    let kernel = Kernel {
        name: "embedding weight".into(),
        dtype: grad.dtype(),
        reads: &[
            Array::Num("grads"),
            Array::Index("order"),
            Array::Index("starts"),
            Array::Index("ids"),
        ],
        writes: &[Array::Real("sums")],
        counts: &["rows", "width"],
        factors: &[],
        code: CODE.into(),
    };
    let counts = [ids.elem_count(), width];
    weight.add_in_place(|sum| {
        read::<S, _, 4>([grad, &order, &starts, &ids], |reads| {
            S::write(sum, |sum, layout| {
                let writes = &mut [(sum, layout)];
                let call = Call { reads: &reads, writes, counts: &counts, factors: &[] };
                S::run(&kernel, Grid::of_rows(counts[0], width), call)
            })
        })
    })
}
