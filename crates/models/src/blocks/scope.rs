//! A place in the tree of modules, from which layers take their parameters.

use autopipe_nn::{Linear, Parameter, Parameters, RmsNorm};
use candle_core::Result;

/// A module's path and the parameters of the stage that it is on.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    parameters: &'a Parameters,
    path: String,
}

impl<'a> Scope<'a> {
    pub(crate) fn new(parameters: &'a Parameters, path: impl Into<String>) -> Self {
        Self { parameters, path: path.into() }
    }

    /// A part of this module.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self::new(self.parameters, format!("{}.{name}", self.path))
    }

    /// The module's weight.
    pub(crate) fn weight(&self) -> Parameter {
        self.parameter("weight").expect("declared: every leaf of a declaration has a weight")
    }

    /// The module as a matrix, with the bias if one was declared.
    pub(crate) fn linear(&self) -> Result<Linear> {
        Linear::new(self.weight(), self.parameter("bias"))
    }

    /// The module as a norm.
    pub(crate) fn norm(&self, eps: f64) -> Result<RmsNorm> {
        RmsNorm::new(self.weight(), eps)
    }

    fn parameter(&self, name: &str) -> Option<Parameter> {
        self.parameters.get(&format!("{}.{name}", self.path)).cloned()
    }
}
