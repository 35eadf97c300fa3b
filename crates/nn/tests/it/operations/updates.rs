//! What happens to parameters: gradients add up, are measured and scaled, and optimisers follow them.

use autopipe_nn::optim::{
    AdamWConfig, LionConfig, Lookahead, MasterWeights, Optimizer, Rule, SgdConfig,
};
use autopipe_nn::{Parameters, grad_norm_max, grad_norm_squared, scale_grads};
use candle_core::{Result, Tensor};

use super::{Number, Place};

/// A matrix and a vector with gradients, the first of which has come twice.
fn with_gradients(at: &Place) -> Result<Parameters> {
    let mut set = Parameters::new();
    for (name, shape) in [("w", &[3, 4][..]), ("b", &[5])] {
        let parameter = at.parameter(&mut set, name, shape)?;
        parameter.accumulate(&at.random(&format!("gradient of {name}"), shape)?)?;
    }
    let again = at.random("again", &[3, 4])?;
    set.get("w").expect("it was added").accumulate(&again)?;
    Ok(set)
}

fn gradients_of(set: &Parameters) -> Vec<Number> {
    super::of_parameters("gradient", set)
}

pub(crate) fn accumulated(at: &Place) -> Result<Vec<Number>> {
    Ok(gradients_of(&with_gradients(at)?))
}

pub(crate) fn scaled_gradients(at: &Place) -> Result<Vec<Number>> {
    let set = with_gradients(at)?;
    scale_grads(&set, 0.25)?;
    // What was scaled is a buffer of its own, to which more can be added.
    set.get("b").expect("it was added").accumulate(&at.random("more", &[5])?)?;
    Ok(gradients_of(&set))
}

pub(crate) fn norms_of_gradients(at: &Place) -> Result<Vec<Number>> {
    let set = with_gradients(at)?;
    let norms = [grad_norm_squared(&set)?, grad_norm_max(&set)?];
    Ok(vec![Number::new("norms", Tensor::new(&norms, &at.device)?)])
}

/// The parameters after three steps, and what is remembered of them.
fn after_steps(at: &Place, rule: impl Into<Rule>, masters: MasterWeights) -> Result<Vec<Number>> {
    let set = with_gradients(at)?;
    let mut optimiser = Optimizer::new(rule, Vec::new())?.with_master_weights(masters);
    for _ in 0..3 {
        optimiser.step(&set, 0.05)?;
    }
    let mut found = Vec::new();
    for parameter in &set {
        let name = parameter.name();
        found.push(Number::new(name, parameter.value().clone()));
        let state = optimiser.state(name)?.expect("it has made a step");
        for (of, tensor) in state.tensors {
            found.push(Number::new(format!("{of} of {name}"), tensor));
        }
    }
    Ok(found)
}

pub(crate) fn adamw(at: &Place) -> Result<Vec<Number>> {
    after_steps(at, AdamWConfig::default(), MasterWeights::Float32)
}

pub(crate) fn sgd(at: &Place) -> Result<Vec<Number>> {
    let config = SgdConfig { weight_decay: 0.1, ..SgdConfig::default() };
    after_steps(at, config, MasterWeights::Float32)
}

pub(crate) fn sgd_with_momentum(at: &Place) -> Result<Vec<Number>> {
    let lookahead = Lookahead::Nesterov;
    let config = SgdConfig { momentum: 0.9, lookahead, ..SgdConfig::default() };
    after_steps(at, config, MasterWeights::Float32)
}

pub(crate) fn lion(at: &Place) -> Result<Vec<Number>> {
    after_steps(at, LionConfig::default(), MasterWeights::Float32)
}

pub(crate) fn without_master_weights(at: &Place) -> Result<Vec<Number>> {
    after_steps(at, AdamWConfig::default(), MasterWeights::None)
}

/// A state that is saved and loaded goes on as the one it was taken from.
pub(crate) fn state_of_an_optimiser(at: &Place) -> Result<Vec<Number>> {
    let set = with_gradients(at)?;
    let new = || Optimizer::new(AdamWConfig::default(), Vec::new());
    let mut first = new()?;
    first.step(&set, 0.05)?;
    let mut second = new()?;
    for parameter in &set {
        let state = first.state(parameter.name())?.expect("it has made a step");
        second.load_state(parameter, &state)?;
    }
    second.step(&set, 0.05)?;
    let values = set.iter().map(|p| Number::new(p.name(), p.value().clone()));
    Ok(values.collect())
}
