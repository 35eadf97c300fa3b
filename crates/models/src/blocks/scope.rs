//! A place in the tree of modules, from which layers take their parameters.

use autopipe_nn::{Cut, Dropout, Linear, Parameter, Parameters, RmsNorm};
use candle_core::Result;

use super::{Adapter, NormShape, Projection, Ranks};
use crate::lora::{LORA_A, LORA_B, Lora};

/// A module's path and the parameters of the stage that it is on.
#[derive(Clone, Debug)]
pub(crate) struct Scope<'a> {
    parameters: &'a Parameters,
    lora: Option<&'a Lora>,
    ranks: &'a Ranks,
    path: String,
}

impl<'a> Scope<'a> {
    /// With what is to be known of the adapters that are among the parameters, and the ranks that have
    /// the rest of what is cut.
    pub(crate) fn new(
        parameters: &'a Parameters,
        lora: Option<&'a Lora>,
        ranks: &'a Ranks,
        path: impl Into<String>,
    ) -> Self {
        Self { parameters, lora, ranks, path: path.into() }
    }

    pub(super) fn ranks(&self) -> &'a Ranks {
        self.ranks
    }

    /// A part of this module.
    pub(crate) fn part(&self, name: &str) -> Self {
        Self::new(self.parameters, self.lora, self.ranks, format!("{}.{name}", self.path))
    }

    /// The module's weight.
    pub(crate) fn weight(&self) -> Parameter {
        self.parameter("weight").expect("declared: every leaf of a declaration has a weight")
    }

    /// The module as a matrix, with the bias if one was declared, and the adapter if it has one.
    pub(crate) fn linear(&self) -> Result<Projection> {
        let (weight, bias, adapter) = (self.weight(), self.parameter("bias"), self.adapter()?);
        if weight.cut().is_some_and(|cut| cut.dim() == 1) {
            let base = Linear::new(weight, None)?;
            return Ok(Projection::summed(base, adapter, self.ranks.clone(), bias));
        }
        Ok(Projection::new(Linear::new(weight, bias)?, adapter))
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
        let dropout = (lora.dropout > 0.0).then(|| self.dropout(lora.dropout, a.cut()));
        Ok(Some(Adapter {
            dropout: dropout.transpose()?,
            a: Linear::new(a, None)?,
            b: Linear::new(b, None)?,
            scale: lora.scale(),
        }))
    }

    /// The dropout in front of an adapter's first matrix, which may be cut by its inputs.
    fn dropout(&self, p: f64, cut: Option<&Cut>) -> Result<Dropout> {
        let dropout = Dropout::new(p, &self.path)?;
        match cut.and_then(|cut| Some((cut.ranges().next()?, cut.whole_shape().dim(1).ok()?))) {
            Some((columns, width)) => dropout.of_columns(columns, width),
            None => Ok(dropout),
        }
    }

    fn parameter(&self, name: &str) -> Option<Parameter> {
        self.parameters.get(&format!("{}.{name}", self.path)).cloned()
    }
}
