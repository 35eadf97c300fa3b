//! Costs from and to text: the command line's, and JSON.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Communication, CostError, CostKey, CostProblem, Costs, PerStage};
use crate::listing::excerpt;

/// Costs as JSON has them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Document {
    #[serde(default)]
    communication: Communication,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    microbatches: Vec<f64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    microbatch_sizes: Vec<f64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    actions: BTreeMap<String, f64>,
    #[serde(flatten)]
    given: BTreeMap<String, PerStage>,
}

impl TryFrom<Document> for Costs {
    type Error = CostError;

    fn try_from(document: Document) -> Result<Self, CostError> {
        let Document { communication, microbatches, microbatch_sizes, actions, given } = document;
        let mut costs = Self { communication, microbatches, microbatch_sizes, ..Self::UNIT };
        let mut problems = Vec::new();
        for (name, value) in given {
            insert(&mut costs.given, &name, value, &mut problems);
        }
        for (text, time) in actions {
            match text.parse() {
                Ok(action) => {
                    costs.actions.insert(action, time);
                }
                Err(source) => {
                    problems.push(CostProblem::NotAnAction { text: excerpt(&text), source });
                }
            }
        }
        costs.checked(problems)
    }
}

impl From<Costs> for Document {
    fn from(costs: Costs) -> Self {
        let Costs { given, communication, microbatches, microbatch_sizes, actions, .. } = costs;
        Self {
            communication,
            microbatches,
            microbatch_sizes,
            actions: actions.into_iter().map(|(action, time)| (action.to_string(), time)).collect(),
            given: given.into_iter().map(|(key, value)| (key.to_string(), value)).collect(),
        }
    }
}

impl FromStr for Costs {
    type Err = CostError;

    /// Reads `KEY=VALUE` pairs with commas between them, where a value is a number, or one for each
    /// stage as in `1:2.5:1`. Nothing at all stands for [`UNIT`](Self::UNIT).
    fn from_str(text: &str) -> Result<Self, CostError> {
        let mut costs = Self::UNIT;
        let mut problems = Vec::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                None => problems.push(CostProblem::NoValue { text: excerpt(pair) }),
                Some((name, value)) => {
                    read_pair(&mut costs, name.trim(), value.trim(), &mut problems);
                }
            }
        }
        costs.checked(problems)
    }
}

fn read_pair(costs: &mut Costs, name: &str, value: &str, problems: &mut Vec<CostProblem>) {
    if name.eq_ignore_ascii_case("communication") {
        match value.parse() {
            Ok(communication) => costs.communication = communication,
            Err(problem) => problems.push(problem),
        }
        return;
    }
    let is = |key| name.eq_ignore_ascii_case(key);
    if !is("microbatches")
        && !is("microbatch_sizes")
        && let Err(problem) = name.parse::<CostKey>()
    {
        problems.push(problem);
        return;
    }
    let numbers: Result<Vec<f64>, _> =
        value.split(':').map(|number| number.trim().parse()).collect();
    match numbers {
        Err(_) => {
            let (key, text) = (name.to_owned(), excerpt(value));
            problems.push(CostProblem::NotANumber { key, text });
        }
        Ok(factors) if is("microbatches") => costs.microbatches = factors,
        Ok(factors) if is("microbatch_sizes") => costs.microbatch_sizes = factors,
        Ok(numbers) => {
            let value = match numbers[..] {
                [number] => PerStage::All(number),
                _ => PerStage::Each(numbers),
            };
            insert(&mut costs.given, name, value, problems);
        }
    }
}

fn insert(
    given: &mut BTreeMap<CostKey, PerStage>,
    name: &str,
    value: PerStage,
    problems: &mut Vec<CostProblem>,
) {
    match name.parse::<CostKey>() {
        Err(problem) => problems.push(problem),
        Ok(key) => {
            if given.insert(key, value).is_some() {
                problems.push(CostProblem::Repeated { key: key.to_string() });
            }
        }
    }
}
