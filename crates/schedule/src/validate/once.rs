//! Rules about completeness: everything once, nothing twice.

use super::index::{B, Cell, F, I, Index, R, W};
use super::{Part, Rule, Violation};
use crate::Stage;

pub(super) fn check(index: &Index, found: &mut Vec<Violation>) {
    for stage in (0..index.num_stages()).filter(|&stage| index.owners[stage].is_some()) {
        missing(index, stage, found);
    }
    for (again, first) in index.duplicates() {
        found.push(Violation { at: vec![again, first], rule: Rule::Duplicate { first } });
    }
    for cell in (0..index.num_stages()).flat_map(|stage| index.cells(stage)) {
        let split = cell.get(I).or(cell.get(W));
        if let (Some(whole), Some(other)) = (cell.get(B), split) {
            found.push(Violation { at: vec![whole, other], rule: Rule::WholeAndSplit { other } });
        }
        if let (Some(again), None, None) = (cell.get(R), cell.get(B), cell.get(I)) {
            let (stage, microbatch) = (cell.stage, cell.microbatch);
            let rule = Rule::UselessRecompute { stage, microbatch };
            found.push(Violation { at: vec![again], rule });
        }
    }
}

/// Whether a cell has what it needs of a part.
type IsThere = fn(&Cell) -> bool;

/// The parts that a stage lacks, each with its microbatches.
fn missing(index: &Index, stage: usize, found: &mut Vec<Violation>) {
    let parts: [(Part, IsThere); 4] = [
        (Part::Forward, |cell| cell.get(F).is_some()),
        (Part::Backward, |cell| [B, I, W].iter().any(|&deed| cell.get(deed).is_some())),
        (Part::BackwardInput, |cell| cell.get(I).is_some() || cell.get(W).is_none()),
        (Part::BackwardWeight, |cell| cell.get(W).is_some() || cell.get(I).is_none()),
    ];
    let parts = if index.has_backward { &parts[..] } else { &parts[..1] };
    for &(part, is_there) in parts {
        // A cell that no action names is only missed by the parts that every cell needs.
        let needs_all = matches!(part, Part::Forward | Part::Backward);
        let runs = gaps(index, stage, needs_all, is_there);
        if !runs.is_empty() {
            let &Index { num_microbatches, .. } = index;
            let rule = Rule::Missing { stage: Stage::new(stage), part, runs, num_microbatches };
            found.push(Violation { at: Vec::new(), rule });
        }
    }
}

/// The microbatches that fail a test, as runs; those that no action of the stage names fail it if
/// `needs_all`. Takes time and memory for the actions, not for the microbatches.
fn gaps(index: &Index, stage: usize, needs_all: bool, is_there: IsThere) -> Vec<(usize, usize)> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut add = |first: usize, last: usize| match runs.last_mut() {
        Some((_, end)) if *end + 1 == first => *end = last,
        _ => runs.push((first, last)),
    };
    let mut next = 0;
    for cell in index.cells(stage) {
        let microbatch = cell.microbatch.index();
        if microbatch >= index.num_microbatches {
            break;
        }
        if needs_all && next < microbatch {
            add(next, microbatch - 1);
        }
        if !is_there(&cell) {
            add(microbatch, microbatch);
        }
        next = microbatch + 1;
    }
    if needs_all && next < index.num_microbatches {
        add(next, index.num_microbatches - 1);
    }
    runs
}
