//! The text of the kernels.

use candle_core::DType;

/// The most factors that a formula has.
pub(crate) const NUM_FACTORS: usize = 8;

/// A formula of an optimiser as a kernel has it.
#[derive(Clone, Debug)]
pub(crate) struct GpuFormula {
    /// Tells it from others.
    pub(crate) name: &'static str,
    /// Statements that change `value` and what is remembered of it, `r0` and on, by `grad` and the
    /// factors `f0` and on. `REAL` is their type.
    pub(crate) code: &'static str,
    /// The factors of one step.
    pub(crate) factors: Vec<f64>,
}

/// The types and their conversions. Half precision is made of its bits, as headers may be missing where a
/// kernel is compiled.
fn types(dtype: DType) -> &'static str {
    match dtype {
        DType::F64 => {
            "typedef double NUM;
typedef double REAL;
#define SQRT(x) sqrt(x)
#define WIDE(x) (x)
#define NARROW(x) (x)
"
        }
        DType::BF16 => {
            "typedef unsigned short NUM;
typedef float REAL;
#define SQRT(x) sqrtf(x)
typedef union { unsigned int bits; float number; } BOTH;
INLINE REAL WIDE(NUM x) {
    BOTH both;
    both.bits = (unsigned int) x << 16;
    return both.number;
}
INLINE NUM NARROW(REAL x) {
    BOTH both;
    both.number = x;
    if ((both.bits & 0x7fffffffu) > 0x7f800000u) return (NUM) ((both.bits >> 16) | 0x40u);
    return (NUM) ((both.bits + 0x7fffu + ((both.bits >> 16) & 1u)) >> 16);
}
"
        }
        _ => {
            "typedef float NUM;
typedef float REAL;
#define SQRT(x) sqrtf(x)
#define WIDE(x) (x)
#define NARROW(x) (x)
"
        }
    }
}

/// Where a thread begins and how far it goes on, if it is one of a GPU's and not the only one.
const THREADS: &str = "typedef unsigned long long COUNT;
#ifndef ONE_THREAD
#define KERNEL extern \"C\" __global__ void
#define INLINE __device__ __forceinline__
#define FIRST (blockIdx.x * (COUNT) blockDim.x + threadIdx.x)
#define STRIDE (gridDim.x * (COUNT) blockDim.x)
#endif
";

/// A step of a rule that remembers so many numbers: of `n` values, of `grad`, and of `packed`, which has
/// what is remembered, row by row, and then the values in truth, if it has them.
pub(crate) fn step(formula: &GpuFormula, num_rows: usize, dtype: DType) -> String {
    let each = |line: &dyn Fn(usize) -> String| (0..num_rows).map(line).collect::<String>();
    let factors: String = (0..NUM_FACTORS).map(|i| format!(", REAL f{i}")).collect();
    let read = each(&|row| format!("        REAL r{row} = packed[{row} * n + i];\n"));
    let write = each(&|row| format!("        packed[{row} * n + i] = r{row};\n"));
    let (types, code) = (types(dtype), formula.code);
    format!(
        "{THREADS}{types}
KERNEL step(NUM *values, const REAL *grads, REAL *packed, COUNT n, int has_truth{factors}) {{
    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) {{
        REAL value = has_truth ? packed[{num_rows} * n + i] : WIDE(values[i]);
        REAL grad = grads[i];
{read}        {code}
{write}        if (has_truth) packed[{num_rows} * n + i] = value;
        values[i] = NARROW(value);
    }}
}}
"
    )
}

/// `a += b`, of numbers of a type and sums of what it is computed in.
pub(crate) fn add(dtype: DType) -> String {
    let types = types(dtype);
    format!(
        "{THREADS}{types}
KERNEL add(REAL *a, const NUM *b, COUNT n) {{
    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) a[i] += WIDE(b[i]);
}}
"
    )
}

/// `a *= factor`.
pub(crate) fn scale(dtype: DType) -> String {
    let types = types(dtype);
    format!(
        "{THREADS}{types}
KERNEL scale(NUM *a, REAL factor, COUNT n) {{
    COUNT i;
    for (i = FIRST; i < n; i += STRIDE) a[i] = NARROW(WIDE(a[i]) * factor);
}}
"
    )
}
