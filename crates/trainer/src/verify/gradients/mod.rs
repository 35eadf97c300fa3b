//! Gradients by the names of their parameters, and by how much two sets of them differ.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use autopipe_nn::Parameters;
use candle_core::{DType, Tensor};
use serde::Serialize;

use crate::Error;

/// The gradients of a model, by the names that its parameters have in a Hugging Face checkpoint.
///
/// A parameter that several stages hold has one for each copy: all of them are compared, the first
/// is counted in norms and written.
#[derive(Clone, Debug, Default)]
pub struct Gradients {
    /// `None` where a trainable parameter got none.
    copies: BTreeMap<String, Vec<Option<Tensor>>>,
}

impl Gradients {
    /// Adds the gradients of a stage, as far as it has come.
    pub fn take(&mut self, parameters: &Parameters) {
        for parameter in parameters.iter().filter(|parameter| parameter.is_trainable()) {
            self.push(parameter.name(), parameter.grad());
        }
    }

    /// Adds one gradient, or that there is none.
    pub fn push(&mut self, name: &str, gradient: Option<Tensor>) {
        self.copies.entry(name.to_owned()).or_default().push(gradient);
    }

    /// Adds those of another rank.
    pub fn merge(&mut self, other: Self) {
        for (name, copies) in other.copies {
            self.copies.entry(name).or_default().extend(copies);
        }
    }

    /// The name and the gradient of each parameter that has one, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        self.copies
            .iter()
            .filter_map(|(name, copies)| Some((name.as_str(), copies.first()?.as_ref()?)))
    }

    /// The norm of all of them together.
    ///
    /// # Errors
    /// If candle cannot read a tensor.
    pub fn norm(&self) -> Result<f64, Error> {
        let mut sum = 0.0;
        for (_, gradient) in self.iter() {
            sum += sum_of_squares(&numbers(gradient)?);
        }
        Ok(sum.sqrt())
    }

    /// Writes them as a safetensors file.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        safetensors::serialize_to_file(self.iter(), None, path)
            .map_err(|source| Error::WriteGradients { path: path.to_owned(), source })
    }

    fn copies(&self, name: &str) -> &[Option<Tensor>] {
        self.copies.get(name).map_or(&[], Vec::as_slice)
    }
}

/// How two sets of gradients differ.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The norm of all unsplit gradients.
    pub norm_unsplit: f64,
    /// The norm of all split gradients.
    pub norm_split: f64,
    /// Every parameter, those that differ most first.
    pub differences: Vec<Difference>,
    /// What only one of the two has, in the order of the names.
    pub missing: Vec<Missing>,
}

/// By how much the gradient of a parameter differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// The parameter.
    pub parameter: String,
    /// `|split - unsplit| / |unsplit|`, by the Euclidean norms of all elements.
    ///
    /// An unsplit gradient that is zero, or so small beside the others that it is nothing but their
    /// rounding, is replaced in the denominator by the norm of all gradients. A gradient that is
    /// missing counts as zero.
    pub rel_diff: f64,
    /// The norm of the unsplit gradient.
    pub norm_unsplit: f64,
    /// The norm of the split gradient.
    pub norm_split: f64,
}

/// A gradient that only one of the two runs has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The parameter.
    pub parameter: String,
    /// Which run lacks it.
    pub lacks: Side,
}

/// One of two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// That of the unsplit model.
    Unsplit,
    /// That of the split model.
    Split,
}

/// Below this share of the norm of all gradients, one is taken for rounding: some units of float32's
/// last place.
const ROUNDING: f64 = 1e-6;

/// Compares each gradient with the one of the same name; copies with the same one.
///
/// # Errors
/// If two gradients of a name have different shapes, or candle cannot read a tensor.
pub fn compare(unsplit: &Gradients, split: &Gradients) -> Result<Comparison, Error> {
    let (norm_unsplit, norm_split) = (unsplit.norm()?, split.norm()?);
    let names: BTreeSet<&String> = unsplit.copies.keys().chain(split.copies.keys()).collect();
    let mut differences = Vec::new();
    let mut missing = Vec::new();
    for name in names {
        let one = unsplit.copies(name).first().and_then(Option::as_ref);
        let copies = split.copies(name);
        let has_all = !copies.is_empty() && copies.iter().all(Option::is_some);
        let has_any = copies.iter().any(Option::is_some);
        let lacks = match one {
            Some(_) if !has_all => Some(Side::Split),
            None if has_any => Some(Side::Unsplit),
            _ => None,
        };
        missing.extend(lacks.map(|lacks| Missing { parameter: name.clone(), lacks }));
        let one = one.map(numbers).transpose()?.unwrap_or_default();
        let none = [None];
        // One that is not there is compared as well: as zero.
        for copy in if copies.is_empty() { &none } else { copies } {
            let copy = copy.as_ref().map(numbers).transpose()?.unwrap_or_default();
            differences.push(difference(name, &one, &copy, norm_unsplit)?);
        }
    }
    // NaN is greater than all numbers there, unless it is negative.
    differences.sort_by(|a, b| b.rel_diff.abs().total_cmp(&a.rel_diff.abs()));
    Ok(Comparison { norm_unsplit, norm_split, differences, missing })
}

/// An empty gradient is one of zeros.
fn difference(
    name: &str,
    one: &[f64],
    copy: &[f64],
    norm_of_all: f64,
) -> Result<Difference, Error> {
    if !one.is_empty() && !copy.is_empty() && one.len() != copy.len() {
        return Err(Error::GradientSizes {
            parameter: name.to_owned(),
            unsplit: one.len(),
            split: copy.len(),
        });
    }
    let at = |values: &[f64], place| values.get(place).copied().unwrap_or(0.0);
    let places = 0..one.len().max(copy.len());
    let squares = places.map(|place| (at(copy, place) - at(one, place)).powi(2));
    let (norm_unsplit, norm_split) = (sum_of_squares(one).sqrt(), sum_of_squares(copy).sqrt());
    let distance = squares.sum::<f64>().sqrt();
    let whole = if norm_unsplit > ROUNDING * norm_of_all { norm_unsplit } else { norm_of_all };
    // Zeros that equal each other do not differ, whatever they are measured by.
    let rel_diff = if distance == 0.0 { 0.0 } else { distance / whole };
    Ok(Difference { parameter: name.to_owned(), rel_diff, norm_unsplit, norm_split })
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>, Error> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

fn sum_of_squares(values: &[f64]) -> f64 {
    values.iter().map(|value| value * value).sum()
}
