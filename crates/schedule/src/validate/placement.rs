//! Rules about ranks and stages.

use super::index::Index;
use super::{Rule, Violation};
use crate::{Rank, Stage};

/// Whether ranks and actions can be numbered; nothing else is looked at before.
pub(super) fn check_size<Cell>(rows: &[Vec<Cell>]) -> Result<(), Violation> {
    let broken = |rule| Err(Violation { at: Vec::new(), rule });
    if rows.is_empty() {
        return broken(Rule::NoRanks);
    }
    if rows.len() > Rank::LIMIT {
        return broken(Rule::TooManyRanks { num_ranks: rows.len() });
    }
    let too_long = |row: &Vec<Cell>| u32::try_from(row.len()).is_err();
    if let Some(rank) = rows.iter().position(too_long) {
        let num_actions = rows[rank].len();
        return broken(Rule::TooManyActions { rank: Rank::new(rank), num_actions });
    }
    Ok(())
}

pub(super) fn check(index: &Index, found: &mut Vec<Violation>) {
    idle_ranks(index, found);
    for stray in &index.strays {
        let stage = stray.action.stage().expect("a computation has a stage");
        let owner = index.owners[stage.index()].expect("a stage with strays has an owner");
        found.push(Violation { at: vec![*stray], rule: Rule::StageOnTwoRanks { stage, owner } });
    }
    missing_stages(index, found);
}

fn idle_ranks(index: &Index, found: &mut Vec<Violation>) {
    let mut computes = vec![false; index.num_ranks];
    let strays = index.strays.iter().map(|stray| stray.rank);
    for rank in index.owners.iter().copied().flatten().chain(strays) {
        computes[rank.index()] = true;
    }
    for rank in (0..index.num_ranks).filter(|&rank| !computes[rank]).map(Rank::new) {
        found.push(Violation { at: Vec::new(), rule: Rule::IdleRank { rank } });
    }
}

fn missing_stages(index: &Index, found: &mut Vec<Violation>) {
    let Some(last) = index.num_stages().checked_sub(1) else { return };
    let runs: Vec<(usize, usize)> = runs((0..last).filter(|&stage| index.owners[stage].is_none()));
    if !runs.is_empty() {
        let rule = Rule::MissingStages { runs, last: Stage::new(last) };
        found.push(Violation { at: Vec::new(), rule });
    }
}

/// Ascending numbers as runs of first and last.
fn runs(numbers: impl Iterator<Item = usize>) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for number in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => runs.push((number, number)),
        }
    }
    runs
}
