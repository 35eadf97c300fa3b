//! Which matrices get an adapter.

use std::collections::BTreeSet;

use crate::Error;
use crate::nearest::nearest;
use crate::options::{Pattern, matches_end};

/// All matrices but the head and those of a mixture of experts, which transformers 5 holds fused:
/// PEFT would not find them.
const ALL: &str = "all-linear";

/// Of `linears`, the paths of all matrices of a model, those that `targets` name.
///
/// # Errors
/// If a target is no pattern, or none of the matrices fits it.
pub(crate) fn targets(targets: &[String], linears: &[String]) -> Result<BTreeSet<String>, Error> {
    let mut chosen = vec![false; linears.len()];
    let mut sorted: Vec<(&str, usize)> =
        linears.iter().enumerate().map(|(place, path)| (path.as_str(), place)).collect();
    sorted.sort_unstable();
    for target in targets {
        let mut has_any = false;
        // Saved adapters have whole paths, as many as there are matrices.
        if let Ok(place) = sorted.binary_search_by_key(&target.as_str(), |(path, _)| path) {
            chosen[sorted[place].1] = true;
            continue;
        }
        let pattern = Pattern::new(target)?;
        for (path, chosen) in linears.iter().zip(&mut chosen) {
            let fits = if target == ALL { is_among_all(path) } else { matches_end(&pattern, path) };
            has_any |= fits;
            *chosen |= fits;
        }
        if !has_any {
            let ends = linears.iter().filter_map(|path| path.rsplit('.').next());
            let known = ends.chain(linears.iter().map(String::as_str)).chain([ALL]);
            return Err(Error::NoTarget {
                target: target.clone(),
                nearest: nearest(target, known).map(str::to_owned),
            });
        }
    }
    let paths = linears.iter().zip(chosen).filter(|(_, chosen)| *chosen);
    let paths: BTreeSet<String> = paths.map(|(path, _)| path.clone()).collect();
    if paths.is_empty() { Err(Error::NoTargets) } else { Ok(paths) }
}

fn is_among_all(path: &str) -> bool {
    path != "lm_head" && !path.contains(".experts.") && !path.ends_with(".gate")
}
