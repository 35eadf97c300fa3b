//! What layers are tested against: slow forms in plain candle operations, and finite differences.

use candle_core::{DType, Device, Result, Tensor, Var};

use crate::{Parameter, Parameters, init, vjp};

/// The dtypes that kernels compute in, with the error they are allowed.
pub(crate) const DTYPES: [(DType, f64); 2] = [(DType::F32, 2e-5), (DType::F64, 1e-12)];

/// All dtypes that have kernels; the slow forms round bfloat16 at every operation.
pub(crate) const ALL_DTYPES: [(DType, f64); 3] = [DTYPES[0], DTYPES[1], (DType::BF16, 0.03)];

/// Normal numbers, the same ones for every dtype.
pub(crate) fn random(shape: &[usize], seed: u64, dtype: DType) -> Tensor {
    init::normal(shape, 1., seed, "oracle", dtype, &Device::Cpu).unwrap()
}

pub(crate) fn variable(shape: &[usize], seed: u64, dtype: DType) -> Var {
    Var::from_tensor(&random(shape, seed, dtype)).unwrap()
}

pub(crate) fn parameter(
    set: &mut Parameters,
    name: &str,
    shape: &[usize],
    dtype: DType,
) -> Parameter {
    let value = init::normal(shape, 1., 7, name, dtype, &Device::Cpu).unwrap();
    set.add(name, value, true).unwrap()
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// Asserts that two tensors agree within `tolerance`, relative to the largest number.
pub(crate) fn assert_close(what: &str, actual: &Tensor, expected: &Tensor, tolerance: f64) {
    assert_eq!(actual.dims(), expected.dims(), "{what}");
    let (actual, expected) = (numbers(actual), numbers(expected));
    let size = expected.iter().fold(1f64, |size, x| size.max(x.abs()));
    for (i, (a, e)) in actual.iter().zip(&expected).enumerate() {
        assert!((a - e).abs() <= tolerance * size, "{what}: number {i} is {a}, should be {e}");
    }
}

/// The output of a layer and all gradients, for a fixed random gradient of the output.
struct Run {
    output: Tensor,
    inputs: Vec<Tensor>,
    parameters: Vec<Tensor>,
}

fn run(inputs: &[&Var], parameters: &Parameters, layer: &dyn Fn() -> Result<Tensor>) -> Run {
    parameters.zero_grad();
    let output = layer().unwrap();
    let grad = random(output.dims(), 99, output.dtype());
    let mut grads = vjp(std::slice::from_ref(&output), &[grad]).unwrap();
    parameters.collect(&mut grads).unwrap();
    let inputs = inputs
        .iter()
        .map(|var| grads.get(var.as_tensor()).expect("every input has a gradient").clone());
    let parameters = parameters.iter().map(|p| p.grad().expect("every parameter has a gradient"));
    Run { output: output.detach(), inputs: inputs.collect(), parameters: parameters.collect() }
}

/// Asserts that the weight gradients of two backwards are the same to the bit when they are put
/// off, and that they were.
fn assert_can_wait(parameters: &Parameters, layer: &dyn Fn() -> Result<Tensor>) {
    let two_backwards = || {
        for seed in [98, 99] {
            let output = layer().unwrap();
            let grad = random(output.dims(), seed, output.dtype());
            vjp(&[output], &[grad]).unwrap();
        }
    };
    let bits =
        || -> Vec<_> { parameters.iter().map(|p| p.grad().map(|grad| numbers(&grad))).collect() };
    parameters.zero_grad();
    two_backwards();
    let at_once = bits();
    parameters.zero_grad();
    let ((), late) = parameters.deferring(two_backwards);
    assert!(bits().iter().all(Option::is_none));
    assert_eq!(late.is_empty(), at_once.iter().all(Option::is_none));
    late.run().unwrap();
    assert_eq!(bits(), at_once);
}

/// Asserts that a layer and its slow form agree in their output and in all gradients, that no
/// gradient is zero, and that those of weights can wait.
pub(crate) fn assert_agree(
    inputs: &[&Var],
    parameters: &Parameters,
    tolerance: f64,
    layer: impl Fn() -> Result<Tensor>,
    slow: impl Fn() -> Result<Tensor>,
) {
    let (actual, expected) = (run(inputs, parameters, &layer), run(inputs, parameters, &slow));
    assert_can_wait(parameters, &layer);
    assert_close("output", &actual.output, &expected.output, tolerance);
    for (i, (a, e)) in actual.inputs.iter().zip(&expected.inputs).enumerate() {
        assert_close(&format!("gradient of input {i}"), a, e, tolerance);
        assert!(numbers(a).iter().any(|&x| x != 0.), "the gradient of input {i} is zero");
    }
    for ((p, a), e) in parameters.iter().zip(&actual.parameters).zip(&expected.parameters) {
        assert_close(&format!("gradient of {}", p.name()), a, e, tolerance);
        assert!(numbers(a).iter().any(|&x| x != 0.), "the gradient of {} is zero", p.name());
    }
}

/// Asserts that the gradients of a layer in float64 are what small steps of every number say.
pub(crate) fn assert_derivative(
    inputs: &[&Var],
    parameters: &Parameters,
    layer: impl Fn() -> Result<Tensor>,
) {
    const STEP: f64 = 1e-5;
    let run = run(inputs, parameters, &layer);
    let weights = random(run.output.dims(), 99, DType::F64);
    let loss = || numbers(&(layer().unwrap() * &weights).unwrap()).iter().sum::<f64>();
    let vars = inputs.iter().copied().chain(parameters.iter().filter_map(Parameter::var));
    for (var, grad) in vars.zip(run.inputs.iter().chain(&run.parameters)) {
        let (start, grad) = (numbers(var), numbers(grad));
        let at = |i: usize, step: f64| {
            let mut moved = start.clone();
            moved[i] += step;
            var.set(&Tensor::from_vec(moved, var.shape(), &Device::Cpu).unwrap()).unwrap();
            loss()
        };
        for (i, grad) in grad.iter().enumerate() {
            let slope = (at(i, STEP) - at(i, -STEP)) / (2. * STEP);
            assert!(
                (grad - slope).abs() < 1e-6 * slope.abs().max(1.),
                "number {i}: {grad}, slope {slope}"
            );
        }
        at(0, 0.);
    }
}
