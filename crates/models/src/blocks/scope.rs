//! A place in the tree of modules, from which layers take their parameters.

use autopipe_nn::{Linear, Parameter, Parameters, RmsNorm};
use candle_core::Result;

use super::{Adapter, NormShape, Projection};
use crate::lora::{LORA_A, LORA_B, Lora};

/// A module's path and the parameters of the stage that it is on.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    parameters: &'a Parameters,
    lora: Option<&'a Lora>,
    path: String,
}

impl<'a> Scope<'a> {
    /// With what is to be known of the adapters that are among the parameters.
    pub(crate) fn new(
        parameters: &'a Parameters,
        lora: Option<&'a Lora>,
        path: impl Into<String>,
    ) -> Self {
        Self { parameters, lora, path: path.into() }
    }

    /// A part of this module.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self::new(self.parameters, self.lora, format!("{}.{name}", self.path))
    }

    /// The module's weight.
    pub(crate) fn weight(&self) -> Parameter {
        self.parameter("weight").expect("declared: every leaf of a declaration has a weight")
    }

    /// The module as a matrix, with the bias if one was declared, and the adapter if it has one.
    pub(crate) fn linear(&self) -> Result<Projection> {
        let base = Linear::new(self.weight(), self.parameter("bias"))?;
        Ok(Projection::new(base, self.adapter()?))
    }

    /// The module as a norm.
    pub(crate) fn norm(&self, shape: NormShape) -> Result<RmsNorm> {
        if shape.has_unit_offset {
            RmsNorm::with_unit_offset(self.weight(), shape.eps)
        } else {
            RmsNorm::new(self.weight(), shape.eps)
        }
    }

    /// The adapter of this module over a matrix that another module owns.
    pub(crate) fn adapter(&self) -> Result<Option<Adapter>> {
        let (Some(lora), Some(a), Some(b)) =
            (self.lora, self.parameter(LORA_A), self.parameter(LORA_B))
        else {
            return Ok(None);
        };
        Ok(Some(Adapter {
            a: Linear::new(a, None)?,
            b: Linear::new(b, None)?,
            scale: lora.scale(),
            dropout: lora.dropout,
            name: self.path.clone(),
        }))
    }

    fn parameter(&self, name: &str) -> Option<Parameter> {
        self.parameters.get(&format!("{}.{name}", self.path)).cloned()
    }
}
