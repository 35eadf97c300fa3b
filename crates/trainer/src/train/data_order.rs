//! Whether a place in the data is one in these data: what decides their order, and how many there are.

use std::collections::BTreeMap;

use autopipe_config::{Arrange, Recipe};

use crate::Error;
use crate::state::StateProblem;

/// What of a recipe decides which rows come when, by key; the arrangement, which may follow from the
/// sources, is that of the loader.
pub(super) fn data_order(recipe: &Recipe, arrange: Arrange) -> BTreeMap<String, String> {
    let dataset = &recipe.dataset;
    let mut order = BTreeMap::from([
        ("rng.seed".to_owned(), recipe.rng.seed.to_string()),
        ("dataset.seq_len".to_owned(), dataset.seq_len.to_string()),
        ("dataset.arrange".to_owned(), arrange.to_string()),
        ("dataset.shuffle".to_owned(), dataset.shuffle.to_string()),
        ("dataset.too_long".to_owned(), dataset.too_long.to_string()),
    ]);
    if dataset.sources.len() > 1 {
        let weights = dataset.sources.iter().enumerate();
        order.extend(weights.map(|(number, source)| {
            (format!("dataset.sources[{number}].weight"), source.weight.to_string())
        }));
    }
    order
}

/// A place in data is one in the same order only. Of what is not known it may be.
pub(super) fn same_order(
    then: &BTreeMap<String, String>,
    now: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let differs = |(key, then): (&String, &String)| {
        let now = now.get(key).filter(|now| *now != then)?;
        Some(format!("`{key}` was {then} when the checkpoint was taken, and is {now}"))
    };
    let differences: Vec<String> = then.iter().filter_map(differs).collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(StateProblem::OtherOrder { differences }.into())
}

/// And of as many rows or samples.
pub(super) fn same_data(then: &[u64], now: &[u64]) -> Result<(), Error> {
    for ((&then, &now), source_number) in then.iter().zip(now).zip(1..) {
        if then != now {
            return Err(StateProblem::OtherData { source_number, then, now }.into());
        }
    }
    Ok(())
}
