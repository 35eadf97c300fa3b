//! `autopipe schedule placement`: which stages each rank has.

use anyhow::bail;
use autopipe_schedule::{Placement, Rank};
use serde_json::json;

use crate::args;
use crate::output;

/// Prints the stages of every rank.
///
/// # Errors
/// If so many stages cannot be placed in this way.
pub(super) fn run(args: &args::Placement) -> anyhow::Result<()> {
    let &args::Placement { pp, stages, style, json: as_json } = args;
    if pp == 0 {
        bail!("there is no rank to place stages on, the fewest is 1");
    }
    if stages == 0 || !stages.is_multiple_of(pp) {
        let (lower, higher) = (stages / pp * pp, (stages / pp + 1).saturating_mul(pp));
        let nearest =
            if lower == 0 { format!("{higher} do") } else { format!("{lower} and {higher} do") };
        bail!("{stages} stages do not give each of {pp} ranks the same number; {nearest}");
    }
    let placement = style.place(pp, stages / pp)?;
    let by_rank = stages_of(&placement);
    if as_json {
        return output::result(&format!("{}\n", json!(by_rank)));
    }
    let digits = (pp - 1).to_string().len();
    let line = |(rank, stages): (usize, &Vec<usize>)| {
        let stages: Vec<String> = stages.iter().map(ToString::to_string).collect();
        format!("Rank {rank:>digits$}: {}\n", stages.join(" "))
    };
    let text: String = by_rank.iter().enumerate().map(line).collect();
    output::result(&text)
}

/// The stages of every rank, by their numbers.
pub(super) fn stages_of(placement: &Placement) -> Vec<Vec<usize>> {
    let ranks = (0..placement.num_ranks()).map(Rank::new);
    ranks
        .map(|rank| placement.stages_of(rank).iter().map(|stage| stage.index()).collect())
        .collect()
}
