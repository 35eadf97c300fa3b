//! Every operation of the crate, to be run on any device: what one computes is what another does.

mod blocks;
mod layers;
mod losses;
mod updates;

use autopipe_nn::{Parameter, Parameters, init, vjp};
use candle_core::{DType, Device, Result, Tensor, Var};

pub(crate) use blocks::*;
pub(crate) use layers::*;
pub(crate) use losses::*;
pub(crate) use updates::*;

/// An operation: what it computes, on that device and in that dtype, of the same numbers everywhere.
pub(crate) type Operation = fn(&Place) -> Result<Vec<Number>>;

/// Where and in what an operation computes.
pub(crate) struct Place {
    pub(crate) device: Device,
    pub(crate) dtype: DType,
}

/// Something that was computed, with what it is.
pub(crate) struct Number {
    what: String,
    tensor: Tensor,
}

impl Number {
    pub(crate) fn new(what: impl Into<String>, tensor: Tensor) -> Self {
        Self { what: what.into(), tensor: tensor.detach() }
    }
}

impl Place {
    /// Normal numbers, the same at every place up to rounding.
    pub(crate) fn random(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        init::normal(shape, 1., 5, name, self.dtype, &self.device)
    }

    pub(crate) fn variable(&self, name: &str, shape: &[usize]) -> Result<Var> {
        Var::from_tensor(&self.random(name, shape)?)
    }

    pub(crate) fn parameter(
        &self,
        set: &mut Parameters,
        name: &str,
        shape: &[usize],
    ) -> Result<Parameter> {
        Ok(set.add(name, self.random(name, shape)?, true)?)
    }

    /// The results of a layer and all gradients, of its inputs and parameters; the parameters' also as
    /// they are after two backwards that put them off.
    pub(crate) fn gradients(
        &self,
        inputs: &[&Var],
        set: &Parameters,
        layer: impl Fn() -> Result<Vec<Tensor>>,
    ) -> Result<Vec<Number>> {
        let backward = |seed: &str| -> Result<_> {
            let outputs = layer()?;
            let grads = outputs.iter().enumerate().map(|(i, output)| {
                let name = format!("{seed} {i}");
                init::normal(output.shape(), 1., 5, &name, output.dtype(), &self.device)
            });
            let mut store = vjp(&outputs, &grads.collect::<Result<Vec<_>>>()?)?;
            set.collect(&mut store)?;
            Ok((outputs, store))
        };
        let mut found = Vec::new();
        set.zero_grad();
        let (outputs, store) = backward("first")?;
        for (i, output) in outputs.into_iter().enumerate() {
            found.push(Number::new(format!("output {i}"), output));
        }
        for (i, input) in inputs.iter().enumerate() {
            let grad = store.get(input.as_tensor()).expect("every input has a gradient").clone();
            found.push(Number::new(format!("gradient of input {i}"), grad));
        }
        found.extend(of_parameters("gradient", set));
        set.zero_grad();
        let (done, late) = set.deferring(|| backward("first").and_then(|_| backward("second")));
        done?;
        late.run()?;
        found.extend(of_parameters("gradient put off", set));
        Ok(found)
    }
}

fn of_parameters(what: &str, set: &Parameters) -> Vec<Number> {
    let grads = set.iter().map(|parameter| {
        let grad = parameter.grad().expect("every parameter has a gradient");
        assert_eq!(grad.device().location(), parameter.device().location());
        Number::new(format!("{what} of {}", parameter.name()), grad)
    });
    grads.collect()
}

/// Asserts that an operation computes the same at two places, up to `tolerance` times the largest number.
/// What there is at one of them only, as the master weights of half precision, has nothing to be the same as.
#[track_caller]
pub(crate) fn assert_same(operation: Operation, at: &Place, expected_at: &Place, tolerance: f64) {
    let (found, expected) = (operation(at).unwrap(), operation(expected_at).unwrap());
    let num_both =
        found.iter().filter(|found| expected.iter().any(|e| e.what == found.what)).count();
    assert_eq!(num_both, found.len().min(expected.len()));
    for expected in &expected {
        let what = &expected.what;
        let Some(found) = found.iter().find(|found| &found.what == what) else { continue };
        assert_eq!(found.tensor.device().location(), at.device.location(), "{what}");
        assert_eq!(found.tensor.dims(), expected.tensor.dims(), "{what}");
        let (found, expected) = (numbers(&found.tensor), numbers(&expected.tensor));
        let size = expected.iter().fold(1f64, |size, x| size.max(x.abs()));
        assert!(expected.iter().any(|&x| x != 0.), "{what} is zero everywhere");
        for (i, (a, e)) in found.iter().zip(&expected).enumerate() {
            let error = (a - e).abs();
            assert!(error <= tolerance * size, "{what}: number {i} is {a}, should be {e}");
        }
    }
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    let flat = tensor.to_device(&Device::Cpu).and_then(|tensor| tensor.flatten_all());
    flat.and_then(|flat| flat.to_dtype(DType::F64)).and_then(|flat| flat.to_vec1()).unwrap()
}

/// One test for each operation, in a module of its own.
macro_rules! for_each_operation {
    ($check:path) => {
        $crate::operations::for_each_operation!(@ $check,
            linear, linear_without_bias, bias, embedding, embedding_with_padding, embedding_among_ranks,
            rms_norm, rms_norm_with_unit_offset, rms_norm_of_a_sum, layer_norm,
            layer_norm_without_bias, rotary, rotary_of_rows, swiglu, gelu, geglu,
            causal_attention, window_attention, full_attention, capped_attention, packed_attention,
            experts, experts_in_balance, dropped, dropped_columns, recomputed, ends_of_ranks,
            cross_entropy, cross_entropy_among_ranks,
            accumulated, scaled_gradients, norms_of_gradients,
            adamw, sgd, sgd_with_momentum, lion, without_master_weights, state_of_an_optimiser
        );
    };
    (@ $check:path, $($operation:ident),+) => {
        $(
            #[test]
            fn $operation() {
                $check($crate::operations::$operation);
            }
        )+
    };
}

pub(crate) use for_each_operation;
