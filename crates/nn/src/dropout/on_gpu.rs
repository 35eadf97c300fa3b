//! Dropout as a kernel for GPUs: it draws what the CPU draws.

use candle_core::backend::BackendDevice as _;
use candle_core::{Layout, Result, Shape};

use super::mask::{Columns, Mask};
use crate::gpu::{Array, Given, Grid, Kernel, Machine, Operand, make};

/// The words that ChaCha makes at once.
const WORDS: usize = 16;

/// A thread makes one block of a row's stream, and treats the numbers that it is for.
const BEFORE: &str = "    COUNT thread;
    for (thread = FIRST; thread < rows * parts * blocks; thread += STRIDE) {
        COUNT part = thread / blocks % parts, row = thread / blocks / parts;
        COUNT first = part * whole + start, counter = first / 16 + thread % blocks;
        INDEX before[16] = {0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u,
            key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7],
            (INDEX) counter, (INDEX) (counter >> 32), key[8 + 2 * row], key[9 + 2 * row]};
        INDEX w[16], i;
        for (i = 0; i < 16; i++) w[i] = before[i];
";

const AFTER: &str = "        for (i = 0; i < 16; i++) {
            COUNT word = counter * 16 + i;
            if (word >= first && word < first + len) {
                COUNT at = (row * parts + part) * len + word - first;
                INDEX drawn = w[i] + before[i];
                y[at] = drawn >= threshold ? NARROW(WIDE(x[at]) * scale) : NARROW((REAL) 0);
            }
        }
    }
";

/// A quarter of a round, on four words.
fn quarter([a, b, c, d]: [usize; 4]) -> String {
    let step = |a, b, d, left: u32| {
        format!(
            "w[{a}] += w[{b}]; w[{d}] ^= w[{a}]; w[{d}] = w[{d}] << {left} | w[{d}] >> {};",
            32 - left
        )
    };
    let steps = [step(a, b, d, 16), step(c, d, b, 12), step(a, b, d, 8), step(c, d, b, 7)];
    format!("            {}\n", steps.join("\n            "))
}

fn code() -> String {
    let columns = (0..4).map(|i| [i, i + 4, i + 8, i + 12]);
    let diagonals = (0..4).map(|i| [i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4]);
    let rounds: String = columns.chain(diagonals).map(quarter).collect();
    format!("{BEFORE}        for (i = 0; i < 4; i++) {{\n{rounds}        }}\n{AFTER}")
}

/// What [`Mask::multiply`] makes of a contiguous `x`.
pub(super) fn multiply<S: Machine>(mask: &Mask, x: Operand<'_, S>) -> Result<S> {
    let shape = x.1.shape();
    let rows = shape.dims().first().copied().unwrap_or(1);
    let width = shape.elem_count() / rows.max(1);
    let Columns { start, len, width: whole } =
        mask.columns().unwrap_or(Columns { start: 0, len: width, width });
    let parts = width / len.max(1);
    // A part may begin in the middle of a block.
    let blocks = len.div_ceil(WORDS) + 1;
    let key = mask.words(rows);
    let key_layout = Layout::contiguous(Shape::from(key.len()));
    let key = x.0.device().storage_from_slice(&key)?;
    let kernel = Kernel {
        name: "dropout".into(),
        dtype: x.0.dtype(),
        reads: &[Array::Num("x"), Array::Index("key")],
        writes: &[Array::Num("y")],
        counts: &["rows", "parts", "len", "whole", "start", "blocks", "threshold"],
        factors: &["scale"],
        code: Box::new(code),
    };
    let counts = [rows, parts, len, whole, start, blocks, mask.threshold() as usize];
    let (grid, reads) = (Grid::of_numbers(rows * parts * blocks), [x, (&key, &key_layout)]);
    let [y] = make(
        &kernel,
        [shape],
        &Given { grid, reads: &reads, counts: &counts, factors: &[mask.scale()] },
    )?;
    Ok(y)
}
