//! Why no cut fits the memory of the ranks, and how much would do.

use super::chain::Chain;
use super::costs::Costs;
use super::search::{Capped as _, Cut, least};
use super::{BalanceError, LeastMemory, NoCut, local};

/// The error for a model of which no cut was found that fits.
pub(super) fn reason(costs: &Costs<'_>, no_cut: NoCut) -> BalanceError {
    let least =
        if costs.num_ranks() == costs.num_stages() { exactly(costs) } else { at_most(costs) };
    let ends = Chain::new(costs, &costs.limits).reach(f64::INFINITY);
    let stage = costs.num_stages() - 1;
    let (start, end) = (ends[stage], ends[stage + 1]);
    match (costs.names.get(end), no_cut) {
        (Some(module), NoCut::Proved) => BalanceError::Memory {
            stage,
            rank: costs.rank(stage),
            module: (*module).to_owned(),
            bytes: costs.memory(stage, start, end + 1),
            limit: costs.limits[costs.rank(stage)],
            least,
        },
        (None, NoCut::Proved) => BalanceError::NoRoom { least },
        (Some(_) | None, NoCut::NotFound) => BalanceError::NotFound { least },
    }
}

/// With one stage per rank: the least limit that lets a cut through.
fn exactly(costs: &Costs<'_>) -> LeastMemory {
    let least_limit = costs.limits.iter().copied().fold(f64::INFINITY, f64::min);
    let fits = |bytes: f64| {
        let limits: Vec<f64> = costs.limits.iter().map(|limit| limit.max(bytes)).collect();
        matches!(Chain::new(costs, &limits).cheapest(f64::INFINITY), Ok(Some(_)))
    };
    let enough = enough(costs);
    LeastMemory::Exactly(least(least_limit, enough, fits).unwrap_or(enough))
}

/// With several: the memory of the cut that exceeds the limits least, of those that moves lead to.
fn at_most(costs: &Costs<'_>) -> LeastMemory {
    let unlimited = vec![f64::INFINITY; costs.num_ranks()];
    let mut chain = Chain::new(costs, &unlimited);
    let Ok(Some(start)) = chain.cheapest(chain.least_cap()) else {
        return LeastMemory::AtMost(enough(costs));
    };
    let (Cut { ends, .. }, _) = local::improve(costs, &costs.limits, start);
    let mut ranks = vec![0.0; costs.num_ranks()];
    let mut start = 0;
    for (stage, end) in ends.into_iter().enumerate() {
        ranks[costs.rank(stage)] += costs.memory(stage, start, end);
        start = end;
    }
    LeastMemory::AtMost(ranks.into_iter().fold(0.0, f64::max))
}

/// What any stage takes with all modules.
fn enough(costs: &Costs<'_>) -> f64 {
    let all = costs.num_modules();
    (0..costs.num_stages()).map(|stage| costs.memory(stage, 0, all)).fold(0.0, f64::max)
}
