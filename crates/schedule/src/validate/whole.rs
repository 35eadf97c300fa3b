//! Rules about stages as a whole: sharded parameters, reduced gradients, updates.

use std::collections::BTreeMap;

use super::index::Index;
use super::{Located, Rule, Violation};
use crate::{Action, Stage};

pub(super) fn check(index: &Index, found: &mut Vec<Violation>) {
    let mut by_stage: BTreeMap<Stage, Vec<Located>> = BTreeMap::new();
    let mut ties: BTreeMap<u16, Vec<Located>> = BTreeMap::new();
    for &at in &index.wholes {
        let stage = at.action.stage().expect("what concerns a stage as a whole names it");
        match index.owners.get(stage.index()).copied().flatten() {
            Some(owner) if owner == at.rank => by_stage.entry(stage).or_default().push(at),
            Some(owner) => {
                found.push(Violation { at: vec![at], rule: Rule::NotItsRank { stage, owner } });
            }
            None => found.push(Violation { at: vec![at], rule: Rule::NoStage { stage } }),
        }
        if let Action::ReduceTied { group, .. } = at.action {
            ties.entry(group).or_default().push(at);
        }
    }
    for (&stage, wholes) in &by_stage {
        repeated(wholes, found);
        sharding(index, stage, wholes, found);
        gradients(index, stage, wholes, found);
    }
    for (group, tied) in ties {
        if let [at] = tied[..] {
            let stage = at.action.stage().expect("what is tied is a stage's");
            let rule = Rule::AloneInGroup { stage, group };
            found.push(Violation { at: vec![at], rule });
        }
    }
    every_stage(index, &by_stage, Action::ReduceGrad, found);
    every_stage(index, &by_stage, Action::OptimizerStep, found);
}

/// What a stage does once and does a second time.
fn repeated(wholes: &[Located], found: &mut Vec<Violation>) {
    let mut firsts: BTreeMap<Action, Located> = BTreeMap::new();
    for &at in wholes {
        if matches!(at.action, Action::Unshard(_) | Action::Reshard(_)) {
            continue;
        }
        match firsts.get(&at.action) {
            Some(&first) => {
                found.push(Violation { at: vec![at, first], rule: Rule::Duplicate { first } });
            }
            None => drop(firsts.insert(at.action, at)),
        }
    }
}

/// Whether a stage that is ever gathered is so wherever it computes, and not in the end.
fn sharding(index: &Index, stage: Stage, wholes: &[Located], found: &mut Vec<Violation>) {
    let is_about = |at: &&Located| matches!(at.action, Action::Unshard(_) | Action::Reshard(_));
    let mut changes: Vec<Located> = wholes.iter().filter(is_about).copied().collect();
    if changes.is_empty() {
        return;
    }
    changes.extend(
        index.computes(stage).into_iter().filter(|at| Some(at.rank) == owner(index, stage)),
    );
    changes.sort_by_key(|at| at.step);
    let mut gathered: Option<Located> = None;
    // One complaint about a stretch of computations is enough.
    let mut is_told = false;
    for at in changes {
        let rule = match (at.action, gathered) {
            (Action::Unshard(_), None) => {
                (gathered, is_told) = (Some(at), false);
                continue;
            }
            (Action::Unshard(_), Some(_)) => Rule::UnshardedTwice { stage },
            (Action::Reshard(_), Some(_)) => {
                gathered = None;
                continue;
            }
            (Action::Reshard(_), None) => Rule::NotUnsharded { stage },
            (_, None) if !is_told => {
                is_told = true;
                Rule::Sharded { stage }
            }
            _ => continue,
        };
        found.push(Violation { at: vec![at], rule });
    }
    if let Some(at) = gathered {
        found.push(Violation { at: vec![at], rule: Rule::NeverResharded { stage } });
    }
}

fn owner(index: &Index, stage: Stage) -> Option<crate::Rank> {
    index.owners.get(stage.index()).copied().flatten()
}

/// Whether what is done with a stage's gradients comes when they are complete and at rest.
fn gradients(index: &Index, stage: Stage, wholes: &[Located], found: &mut Vec<Violation>) {
    let last = index.last_backward(stage).filter(|last| Some(last.rank) == owner(index, stage));
    let mut add = |at, rule| found.push(Violation { at: vec![at], rule });
    let (mut reduced, mut awaited, mut update) = (false, false, None);
    for &at in wholes {
        if matches!(at.action, Action::Unshard(_) | Action::Reshard(_)) {
            continue;
        }
        match last {
            None => add(at, Rule::NoGradients { stage }),
            Some(last) if at.step < last.step => add(at, Rule::IncompleteGradients { stage, last }),
            Some(_) => {}
        }
        if let Some(update) = update
            && !matches!(at.action, Action::OptimizerStep(_))
        {
            add(at, Rule::AfterUpdate { update });
        }
        match at.action {
            Action::ReduceGrad(_) => reduced = true,
            Action::WaitReduceGrad(_) if !reduced => add(at, Rule::WaitWithoutReduce { stage }),
            Action::WaitReduceGrad(_) => awaited = true,
            Action::ReduceTied { .. } if reduced && !awaited => {
                add(at, Rule::StillReducing { stage });
            }
            Action::OptimizerStep(_) => {
                if reduced && !awaited {
                    add(at, Rule::StillReducing { stage });
                }
                update = Some(at);
            }
            _ => {}
        }
    }
    if let (Some(update), Some(compute)) = (update, index.computes(stage).last())
        && compute.rank == update.rank
        && compute.step > update.step
        && last.is_none_or(|last| last.step <= update.step)
    {
        add(*compute, Rule::AfterUpdate { update });
    }
}

/// What one stage does, all have to do.
fn every_stage(
    index: &Index,
    by_stage: &BTreeMap<Stage, Vec<Located>>,
    action: fn(Stage) -> Action,
    found: &mut Vec<Violation>,
) {
    let has = |stage: &Stage| {
        let wholes = by_stage.get(stage)?;
        wholes.iter().find(|at| at.action == action(*stage)).copied()
    };
    let stages: Vec<Stage> = (0..index.num_stages()).map(Stage::new).collect();
    let with = stages.iter().find_map(has);
    let without = stages.iter().find(|stage| has(stage).is_none());
    if let (Some(at), Some(&without)) = (with, without) {
        let with = at.action.stage().expect("what concerns a stage as a whole names it");
        let rule = Rule::NotEveryStage { action: at.action, with, without };
        found.push(Violation { at: vec![at], rule });
    }
}
