//! A block of attention on a GPU: products whose results stay wide, and between them one kernel, with a
//! block of threads for each row.

use std::marker::PhantomData;
use std::ops::Range;

use candle_core::{DType, Result, Tensor};

use super::{Block, Form, Rule};
use crate::every_device::wide_dtype;
use crate::gpu::{
    Array, Given, Grid, Kernel, Machine, add_product, for_rows, make, product, read, tensor,
};

/// On one kind of machine.
pub(in crate::attention) struct OnGpu<S>(PhantomData<fn() -> S>);

impl<S> Default for OnGpu<S> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

/// Where the keys that a row sees `start` and `end` among those of the block, and `most`, the largest of
/// their scores. A score is a number of `from`, scaled and perhaps bounded.
const ROW: &str = "
#define BOUND(x) TANH((x) * scale / bound)
#define SCORE(x) (is_bounded ? bound * BOUND(x) : (x) * scale)
        const COUNT query = row / rows_of_sequence * num_queries + first_query + row % rows_of_head;
        const COUNT first = seen[2 * query], last = seen[2 * query + 1];
        const COUNT start = first > first_key ? first - first_key : 0;
        const COUNT behind = last > first_key ? last - first_key : 0;
        const COUNT end = behind < width ? behind : width;
        const REAL *from = products + row * width;
        REAL most = -INFINITE, sum = 0;
        for (i = start + THREAD; i < end; i += THREADS) {
            REAL score = SCORE(from[i]);
            most = score > most ? score : most;
        }
        most = ALL_MAX(most, parts);
";

/// What the kernels take besides arrays: the rows are those of all heads of all sequences, and where all
/// sequences see the same, those are one.
const COUNTS: &[&str] = &[
    "rows",
    "width",
    "rows_of_head",
    "rows_of_sequence",
    "num_queries",
    "first_query",
    "first_key",
    "is_bounded",
];

fn kernel(
    name: &'static str,
    dtype: DType,
    [reads, writes]: [&'static [Array]; 2],
    of_row: &'static str,
) -> Kernel {
    let code = for_rows(move || format!("{ROW}{of_row}"));
    Kernel {
        name: name.into(),
        dtype,
        reads,
        writes,
        counts: COUNTS,
        factors: &["scale", "bound"],
        code,
    }
}

/// The softmax of scores.
pub(in crate::attention) fn softmax(dtype: DType) -> Kernel {
    let of_row =
        "        for (i = start + THREAD; i < end; i += THREADS) sum += EXP(SCORE(from[i]) - most);
        sum = ALL_SUM(sum, parts);
        for (i = THREAD; i < width; i += THREADS) {
            const int is_seen = start <= i && i < end;
            weights[row * width + i] = NARROW(is_seen ? EXP(SCORE(from[i]) - most) / sum : 0);
        }
";
    let (reads, writes) =
        (&[Array::Real("products"), Array::Index("seen")], &[Array::Num("weights")]);
    kernel("attention", dtype, [reads, writes], of_row)
}

/// That again, and what comes back through it to the products of queries and keys.
pub(in crate::attention) fn softmax_grad(dtype: DType) -> Kernel {
    let of_row = "        const REAL *grads = weight_grad + row * width;
        REAL along = 0;
        for (i = start + THREAD; i < end; i += THREADS) {
            REAL part = EXP(SCORE(from[i]) - most);
            sum += part;
            along += part * grads[i];
        }
        sum = ALL_SUM(sum, parts);
        along = ALL_SUM(along, parts) / sum;
        for (i = THREAD; i < width; i += THREADS) {
            REAL weight = 0, grad = 0;
            if (start <= i && i < end) {
                REAL tangent = is_bounded ? BOUND(from[i]) : 0;
                weight = EXP(SCORE(from[i]) - most) / sum;
                grad = weight * (grads[i] - along) * (1 - tangent * tangent) * scale;
            }
            weights[row * width + i] = NARROW(weight);
            product_grad[row * width + i] = NARROW(grad);
        }
";
    let reads = &[Array::Real("products"), Array::Real("weight_grad"), Array::Index("seen")];
    let writes = &[Array::Num("weights"), Array::Num("product_grad")];
    kernel("attention backward", dtype, [reads, writes], of_row)
}

impl Rule {
    /// The numbers of a kernel for a block, whose products have this shape.
    fn arguments(&self, block: &Block, products: &Tensor) -> Result<([usize; 8], [f64; 2])> {
        let (batch, kv_heads, rows, width) = products.dims4()?;
        let all_rows = batch * kv_heads * rows;
        let counts = [
            all_rows,
            width,
            block.rows.len(),
            all_rows / self.visible.num_sequences().max(1),
            self.num_queries,
            block.rows.start,
            block.keys.start,
            self.softcap.is_some().into(),
        ];
        Ok((counts, [self.scale, self.softcap.unwrap_or(1.)]))
    }
}

impl<S: Machine + 'static> Form for OnGpu<S> {
    // The backward has 12 bytes of each in half precision: fewer would be too many small products for a GPU.
    const MOST_SCORES: usize = 1 << 26;

    fn weights(&self, rule: &Rule, block: &Block) -> Result<Tensor> {
        let dtype = block.q.dtype();
        let products = product::<S>(&block.q, &block.k.t()?, wide_dtype(dtype))?;
        let seen = rule.masks.seen(&rule.visible, rule.num_queries, products.device())?;
        let (counts, factors) = rule.arguments(block, &products)?;
        let grid = Grid::of_rows(counts[0], counts[1]);
        let shape = products.shape();
        let [weights] = read::<S, _, 2>([&products, &seen], |reads| {
            make(
                &softmax(dtype),
                [shape],
                &Given { grid, reads: &reads, counts: &counts, factors: &factors },
            )
        })?;
        Ok(tensor(weights, shape))
    }

    fn gradients(&self, rule: &Rule, block: &Block, grad: &Tensor) -> Result<[Tensor; 2]> {
        let dtype = block.q.dtype();
        let products = product::<S>(&block.q, &block.k.t()?, wide_dtype(dtype))?;
        let weight_grad = product::<S>(grad, &block.v.t()?, wide_dtype(dtype))?;
        let seen = rule.masks.seen(&rule.visible, rule.num_queries, products.device())?;
        let (counts, factors) = rule.arguments(block, &products)?;
        let grid = Grid::of_rows(counts[0], counts[1]);
        let shape = products.shape();
        let made = read::<S, _, 3>([&products, &weight_grad, &seen], |reads| {
            make(
                &softmax_grad(dtype),
                [shape, shape],
                &Given { grid, reads: &reads, counts: &counts, factors: &factors },
            )
        })?;
        Ok(made.map(|made| tensor(made, shape)))
    }

    fn product(&self, a: &Tensor, b: &Tensor) -> Result<Tensor> {
        product::<S>(a, b, a.dtype())
    }

    fn add_product(
        &self,
        sum: Tensor,
        keys: &Range<usize>,
        a: &Tensor,
        b: &Tensor,
    ) -> Result<Tensor> {
        add_product::<S>(&sum.narrow(2, keys.start, keys.len())?, &a.t()?, b)?;
        Ok(sum)
    }
}
