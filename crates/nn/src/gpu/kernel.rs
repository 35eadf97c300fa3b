//! A kernel as text: a function in the part of C that CUDA has too, and what it needs before it.

use std::borrow::Cow;

use candle_core::DType;

use crate::every_device::wide_dtype;

/// An array that a kernel is given, by its name there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Array {
    /// Numbers of the type that a layer's tensors have, `NUM`.
    Num(&'static str),
    /// Numbers of the type that they are computed in, `REAL`.
    Real(&'static str),
    /// Whole numbers of 32 bits, `INDEX`.
    Index(&'static str),
}

/// What makes the code of a kernel: it is asked once in a process for each type of numbers, and not at every
/// start.
pub(crate) type Code = Box<dyn Fn() -> String>;

/// Code of which a block runs `of_row` for a `row` of so many `rows`, together with its other threads; `i` is
/// for the numbers of the row.
pub(crate) fn for_rows(of_row: impl Fn() -> String + 'static) -> Code {
    Box::new(move || {
        let of_row = of_row();
        format!(
            "    SHARED REAL parts[PARTS];
    COUNT row, i;
    for (row = BLOCK; row < rows; row += BLOCKS) {{
{of_row}    }}
"
        )
    })
}

/// A kernel for one type of numbers. Its arguments come in the order of the fields.
///
/// The code sees `THREAD` of `THREADS` in `BLOCK` of `BLOCKS`, counts all threads of all blocks from `FIRST`
/// by `STRIDE`, and reads and writes a `NUM` by `WIDE` and `NARROW`. Where all threads of a block come by,
/// they wait for each other in `MEET`, and have `ALL_SUM` and `ALL_MAX` of a number of each, which need an
/// array `SHARED REAL parts[PARTS]`.
pub(crate) struct Kernel {
    /// Tells it from all other kernels.
    pub(crate) name: Cow<'static, str>,
    pub(crate) dtype: DType,
    pub(crate) reads: &'static [Array],
    pub(crate) writes: &'static [Array],
    /// Whole numbers that cannot be negative, `COUNT`.
    pub(crate) counts: &'static [&'static str],
    /// Numbers, `REAL`.
    pub(crate) factors: &'static [&'static str],
    pub(crate) code: Code,
}

impl Array {
    fn parameter(self) -> String {
        match self {
            Self::Num(name) => format!("NUM *RESTRICT {name}"),
            Self::Real(name) => format!("REAL *RESTRICT {name}"),
            Self::Index(name) => format!("INDEX *RESTRICT {name}"),
        }
    }

    /// What a storage has for it, in a kernel for `dtype`.
    pub(super) fn dtype(self, dtype: DType) -> DType {
        match self {
            Self::Num(_) => dtype,
            Self::Real(_) => wide_dtype(dtype),
            Self::Index(_) => DType::U32,
        }
    }
}

impl Kernel {
    /// The name of its function, by which profilers tell it.
    pub(super) fn function(&self) -> String {
        format!("autopipe_{}", self.name.replace(|c: char| !c.is_ascii_alphanumeric(), "_"))
    }

    /// The whole text that is compiled.
    pub(super) fn text(&self) -> String {
        let reads = self.reads.iter().map(|array| format!("const {}", array.parameter()));
        let writes = self.writes.iter().map(|array| array.parameter());
        let counts = self.counts.iter().map(|name| format!("COUNT {name}"));
        let factors = self.factors.iter().map(|name| format!("REAL {name}"));
        let parameters: Vec<_> = reads.chain(writes).chain(counts).chain(factors).collect();
        let (types, parameters, code) = (types(self.dtype), parameters.join(", "), (self.code)());
        let function = self.function();
        format!("{MACHINE}{types}{MEETING}KERNEL {function}({parameters}) {{\n{code}}}\n")
    }
}

/// What a GPU calls things; a machine that stands in for one defines them before.
const MACHINE: &str = "typedef unsigned long long COUNT;
typedef unsigned int INDEX;
#ifndef KERNEL
#define KERNEL extern \"C\" __global__ void
#define INLINE __device__ __forceinline__
#define RESTRICT __restrict__
#define SHARED __shared__
#define THREAD threadIdx.x
#define THREADS blockDim.x
#define BLOCK blockIdx.x
#define BLOCKS gridDim.x
#define MEET() __syncthreads()
#define OTHER_LANE(x, mask) __shfl_xor_sync(0xffffffffu, x, mask)
#endif
#define FIRST (BLOCK * (COUNT) THREADS + THREAD)
#define STRIDE (BLOCKS * (COUNT) THREADS)
#define INFINITE (1e30f * 1e30f)
";

/// Sums and maxima over a block: the same on all of its threads, and in the same order always.
const MEETING: &str = "#define PARTS 32
INLINE REAL ALL_SUM(REAL x, REAL *parts) {
    unsigned int i;
    for (i = 16; i > 0; i /= 2) x += OTHER_LANE(x, i);
    MEET();
    if (THREAD % 32 == 0) parts[THREAD / 32] = x;
    MEET();
    x = 0;
    for (i = 0; i < THREADS / 32; i++) x += parts[i];
    return x;
}
INLINE REAL ALL_MAX(REAL x, REAL *parts) {
    unsigned int i;
    for (i = 16; i > 0; i /= 2) {
        REAL y = OTHER_LANE(x, i);
        x = y > x ? y : x;
    }
    MEET();
    if (THREAD % 32 == 0) parts[THREAD / 32] = x;
    MEET();
    x = parts[0];
    for (i = 1; i < THREADS / 32; i++) x = parts[i] > x ? parts[i] : x;
    return x;
}
";

/// The types and their functions. Half precision is made of its bits, as headers may be missing where a
/// kernel is compiled.
fn types(dtype: DType) -> String {
    let conversions = match dtype {
        DType::BF16 => {
            "typedef union { unsigned int bits; float number; } BOTH;
typedef unsigned short NUM;
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
            "typedef REAL NUM;
#define WIDE(x) (x)
#define NARROW(x) (x)
"
        }
    };
    let (real, suffix) = if dtype == DType::F64 { ("double", "") } else { ("float", "f") };
    let functions: String = ["sqrt", "exp", "log", "tanh", "erfc"]
        .map(|name| format!("#define {}(x) {name}{suffix}(x)\n", name.to_uppercase()))
        .concat();
    format!("typedef {real} REAL;\n{conversions}{functions}")
}
