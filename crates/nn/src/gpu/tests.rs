//! The kernels, compiled as C for this machine, compute what the code for the CPU does.

use std::path::Path;
use std::process::Command;

use candle_core::{DType, Device, Tensor, Var};

use super::source::{self, GpuFormula};
use crate::optim::{AdamWConfig, LionConfig, Lookahead, SgdConfig};
use crate::optim::{adamw_formula, lion_formula, momentum_formula, sgd_formula};

/// One thread that computes everything.
const ONE_THREAD: &str = "#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#define ONE_THREAD
#define KERNEL static void
#define INLINE static inline
#define FIRST 0
#define STRIDE 1
";

/// Reads arrays, each with its count of bytes before it, and writes them back after `call`.
fn program(kernel: &str, arrays: usize, call: &str) -> String {
    let read = "    for (i = 0; i < ARRAYS; i++) {
        if (fread(&bytes[i], 8, 1, file) != 1) return 1;
        arrays[i] = malloc(bytes[i] + 1);
        if (fread(arrays[i], 1, bytes[i], file) != bytes[i]) return 1;
    }
";
    format!(
        "{ONE_THREAD}{kernel}
#define ARRAYS {arrays}
int main(int argc, char **argv) {{
    void *arrays[ARRAYS];
    unsigned long long bytes[ARRAYS];
    int i;
    FILE *file = fopen(argv[1], \"rb\");
    if (argc != 3 || !file) return 1;
{read}    fclose(file);
    {call}
    file = fopen(argv[2], \"wb\");
    if (!file) return 1;
    for (i = 0; i < ARRAYS; i++) fwrite(arrays[i], 1, bytes[i], file);
    return fclose(file);
}}
"
    )
}

fn bytes(tensor: &Tensor) -> Vec<u8> {
    let mut bytes = Vec::new();
    tensor.write_bytes(&mut bytes).unwrap();
    bytes
}

/// What a program makes of tensors, each of which it may change.
fn run(source: &str, tensors: &[&Tensor]) -> Vec<Tensor> {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("kernel.c"), source).unwrap();
    let compiled = Command::new("cc")
        // Without the products and sums in one that a CPU's code has not either.
        .args(["-O1", "-ffp-contract=off", "-o"])
        .args([at("kernel"), at("kernel.c")])
        .arg("-lm")
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}\n{source}", String::from_utf8_lossy(&compiled.stderr));
    let mut given = Vec::new();
    for tensor in tensors {
        let bytes = bytes(tensor);
        given.extend((bytes.len() as u64).to_ne_bytes());
        given.extend(bytes);
    }
    std::fs::write(at("given"), given).unwrap();
    let ran = |program: &Path| Command::new(program).args([at("given"), at("made")]).status();
    assert!(ran(&at("kernel")).unwrap().success(), "{source}");
    let made = std::fs::read(at("made")).unwrap();
    let mut rest = made.as_slice();
    let read = |tensor: &&Tensor| {
        let len = bytes(tensor).len();
        let (own, others) = rest.split_at(len);
        rest = others;
        Tensor::from_raw_buffer(own, tensor.dtype(), tensor.dims(), &Device::Cpu).unwrap()
    };
    let made: Vec<_> = tensors.iter().map(read).collect();
    assert!(rest.is_empty());
    made
}

/// Numbers of both signs, large and small, and zero.
fn numbers(num: usize, seed: u32, dtype: DType) -> Tensor {
    let number = |i: usize| {
        let x = ((i as f64 + 1.) * f64::from(seed) * 0.618_033_988_75).fract() - 0.5;
        if i % 7 == 3 { 0. } else { x * [0.01, 0.1, 1., 10., 100.][i % 5] }
    };
    let numbers: Vec<f64> = (0..num).map(number).collect();
    Tensor::new(numbers, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

fn wide(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The last bit may differ: a compiler may put operations in another order.
#[track_caller]
fn assert_same(made: &Tensor, expected: &Tensor, what: &str) {
    let tolerance = match expected.dtype() {
        DType::F64 => 1e-14,
        DType::BF16 => 1e-2,
        _ => 1e-6,
    };
    for (i, (made, expected)) in wide(made).into_iter().zip(wide(expected)).enumerate() {
        let both_none = made.is_nan() && expected.is_nan();
        let close = (made - expected).abs() <= tolerance * (1e-3 + expected.abs());
        assert!(both_none || close, "{what}, number {i}: {made}, and the CPU has {expected}");
    }
}

fn check(formula: &GpuFormula, num_rows: usize, on_cpu: &dyn Fn(&Var, &Tensor, &Tensor)) {
    const NUM: usize = 131;
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let real = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        for has_truth in [false, true] {
            let what = format!("{} of {dtype:?}, truth {has_truth}", formula.name);
            let value = Var::from_tensor(&numbers(NUM, 3, dtype)).unwrap();
            let grad = numbers(NUM, 5, real);
            let rows = num_rows + usize::from(has_truth);
            if rows == 0 {
                continue;
            }
            let packed = numbers(rows * NUM, 11, real).abs().unwrap().reshape((rows, NUM)).unwrap();
            let factors: String = (0..source::NUM_FACTORS)
                .map(|i| format!(", {:?}", formula.factors.get(i).unwrap_or(&0.)))
                .collect();
            let call = format!(
                "step(arrays[0], arrays[1], arrays[2], {NUM}, {}{factors});",
                i32::from(has_truth)
            );
            let kernel = source::step(formula, num_rows, dtype);
            let made = run(&program(&kernel, 3, &call), &[&value, &grad, &packed]);
            on_cpu(&value, &grad, &packed);
            assert_same(&made[0], &value, &format!("value by {what}"));
            assert_same(&made[2], &packed, &format!("memory by {what}"));
        }
    }
}

#[test]
fn steps_of_optimisers_are_those_of_the_cpu() {
    let adamw = adamw_formula(&AdamWConfig::default(), 0.1, 1e-2, 3);
    check(&adamw.0, 2, &adamw.1);
    let lion = lion_formula(&LionConfig::default(), 0.1, 1e-2);
    check(&lion.0, 1, &lion.1);
    let plain = sgd_formula(0.1, 1e-2);
    check(&plain.0, 0, &plain.1);
    for (lookahead, step) in [(Lookahead::None, 1), (Lookahead::Nesterov, 2)] {
        let config = SgdConfig { momentum: 0.9, dampening: 0.1, lookahead, ..SgdConfig::default() };
        let momentum = momentum_formula(&config, 0.1, 1e-2, step);
        check(&momentum.0, 1, &momentum.1);
    }
}

#[test]
fn sums_and_products_in_place_are_those_of_the_cpu() {
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let real = if dtype == DType::F64 { DType::F64 } else { DType::F32 };
        let (a, b) = (numbers(77, 3, real), numbers(77, 5, dtype));
        let made =
            run(&program(&source::add(dtype), 2, "add(arrays[0], arrays[1], 77);"), &[&a, &b]);
        assert_same(
            &made[0],
            &(&a + b.to_dtype(real).unwrap()).unwrap(),
            &format!("add, {dtype:?}"),
        );
        assert_same(&made[1], &b, "what is added stays");
        let made = run(&program(&source::scale(dtype), 1, "scale(arrays[0], 0.3, 77);"), &[&b]);
        let expected = (b.to_dtype(real).unwrap() * 0.3).unwrap().to_dtype(dtype).unwrap();
        assert_same(&made[0], &expected, &format!("scale, {dtype:?}"));
    }
}

/// Every float32 that half precision has to round, at the edges of its numbers: those without a number
/// stay such.
#[test]
fn half_precision_is_rounded_as_on_the_cpu() {
    let edges =
        [0u32, 1, 0x7f7f_ffff, 0x7f80_0000, 0x7f80_0001, 0x7fc0_0000, 0xff80_0000, 0x3f80_8000];
    let edges = edges.into_iter().chain((0..200u32).map(|i| i.wrapping_mul(0x9e37_79b9)));
    let wide: Vec<f32> = edges.map(f32::from_bits).collect();
    let num = wide.len();
    let wide = Tensor::new(wide, &Device::Cpu).unwrap();
    let half = Tensor::zeros(num, DType::BF16, &Device::Cpu).unwrap();
    let kernel = source::scale(DType::BF16);
    let call = format!(
        "for (i = 0; i < {num}; i++) ((NUM *) arrays[1])[i] = NARROW(((REAL *) arrays[0])[i]);\n    \
         scale(arrays[1], 1, {num});"
    );
    let made = run(&program(&kernel, 2, &call), &[&wide, &half]);
    let expected = wide.to_dtype(DType::BF16).unwrap();
    for (made, expected) in made[1]
        .to_vec1::<half::bf16>()
        .unwrap()
        .iter()
        .zip(expected.to_vec1::<half::bf16>().unwrap())
    {
        assert!(made.to_bits() == expected.to_bits() || (made.is_nan() && expected.is_nan()));
    }
}

/// CUDA's compiler takes the kernels, where there is one: what compiles them on a GPU's machine is the same
/// with another entrance.
#[cfg(feature = "cuda")]
#[test]
fn cuda_compiles_the_kernels() {
    #[expect(clippy::disallowed_methods, reason = "where CUDA is, its own variables say")]
    let home = std::env::var_os("CUDA_HOME").map(std::path::PathBuf::from);
    let nvcc = home.map_or("nvcc".into(), |home| home.join("bin").join("nvcc"));
    let folder = tempfile::tempdir().unwrap();
    let (cu, ptx) = (folder.path().join("kernel.cu"), folder.path().join("kernel.ptx"));
    let formulas = [
        (adamw_formula(&AdamWConfig::default(), 0.1, 1e-2, 3).0, 2),
        (lion_formula(&LionConfig::default(), 0.1, 1e-2).0, 1),
        (sgd_formula(0.1, 1e-2).0, 0),
        (momentum_formula(&SgdConfig::default(), 0.1, 1e-2, 2).0, 1),
    ];
    for dtype in [DType::F32, DType::F64, DType::BF16] {
        let steps =
            formulas.iter().map(|(formula, num_rows)| source::step(formula, *num_rows, dtype));
        for source in steps.chain([source::add(dtype), source::scale(dtype)]) {
            std::fs::write(&cu, &source).unwrap();
            let mut command = Command::new(&nvcc);
            command.args(["-ptx", "-o"]).args([&ptx, &cu]);
            let compiled =
                command.output().expect("CUDA's nvcc, without which nothing here is built");
            assert!(
                compiled.status.success(),
                "{}\n{source}",
                String::from_utf8_lossy(&compiled.stderr)
            );
            assert!(std::fs::read_to_string(&ptx).unwrap().contains(".visible .entry"), "{source}");
        }
    }
}
