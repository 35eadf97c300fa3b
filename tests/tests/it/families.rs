//! Every model that transformers has computed comes out the same: in one piece, and however it is
//! split and scheduled.

use anyhow::Result;
use autopipe::schedule::Kind;
use autopipe::{Model, PipelineConfig};

use crate::pipeline::{Outcome, differences, logits, relative_l2, try_pipelined, unsplit};
use crate::reference::Reference;

/// As many as a batch here has sequences.
const NUM_MICROBATCHES: usize = 4;

/// What `differences` finds in any folder fails the test, with the folder's name.
#[track_caller]
fn check(differences: impl Fn(&Reference, &dyn Model) -> Result<Vec<String>>) {
    let references = Reference::all();
    assert!(references.len() >= 28, "there are {} models only", references.len());
    let problems = references.iter().flat_map(|reference| {
        let found = reference.model().and_then(|model| differences(reference, &*model));
        let found = found.unwrap_or_else(|error| vec![format!("{error:#}")]);
        found.into_iter().map(|problem| format!("{}: {problem}", reference.name()))
    });
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// The same for pipelines of every kind of schedule that `is_meant`, each on as many ranks as there
/// can be with a layer for every stage.
#[track_caller]
fn check_pipelines(is_meant: impl Fn(Kind) -> bool) {
    check(|reference, model| {
        let (batch, expected) = (reference.batch(), reference.outcome());
        let whole = unsplit(model, &batch)?;
        let mut problems = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|&kind| is_meant(kind)) {
            let stages_per_rank = if is_single(kind) { 1 } else { 2 };
            for num_ranks in 1..=model.graph().num_layers().min(4) / stages_per_rank {
                let config = PipelineConfig {
                    pp_schedule: Some(kind.name().to_owned()),
                    pp_batch_size: NUM_MICROBATCHES,
                    pp_microbatch_size: 1,
                    ..PipelineConfig::default()
                };
                let found = match try_pipelined(model, &config, None, num_ranks, &batch) {
                    Ok(mut split) => {
                        let apart = tied_apart(model, &mut split);
                        let theirs = differences(&split, &expected, 1e-5, 1e-4);
                        [apart, theirs, differences(&split, &whole, 1e-5, 1e-5)].concat()
                    }
                    Err(error) => vec![format!("{error:#}")],
                };
                let place = format!("{kind} on {num_ranks}");
                problems.extend(found.into_iter().map(|problem| format!("{place}: {problem}")));
            }
        }
        Ok(problems)
    });
}

/// Takes out the gradients of tied copies that have become parameters of their own, each on another
/// stage than its owner, and says which are not their owner's to the bit.
pub(crate) fn tied_apart(model: &dyn Model, outcome: &mut Outcome) -> Vec<String> {
    let mut problems = Vec::new();
    for parameter in model.graph().modules().flat_map(|module| &module.parameters) {
        let Some(owner) = &parameter.shared_with else { continue };
        let Some(copy) = outcome.grads.remove(&parameter.name) else { continue };
        let is_same = outcome.grads.get(owner).is_some_and(|grad| relative_l2(&copy, grad) == 0.0);
        if !is_same {
            problems.push(format!("{} and {owner} have different gradients", parameter.name));
        }
    }
    problems
}

fn is_single(kind: Kind) -> bool {
    kind.stages_per_rank().is_single()
}

#[test]
fn in_one_piece() {
    check(|reference, model| {
        let batch = reference.batch();
        let mut problems = differences(&unsplit(model, &batch)?, &reference.outcome(), 1e-5, 1e-4);
        let difference = relative_l2(&logits(model, &batch)?, &reference.logits());
        if !(0.0..=1e-5).contains(&difference) {
            problems.push(format!("the logits differ by {difference:e}"));
        }
        Ok(problems)
    });
}

#[test]
fn with_one_stage_on_a_rank() {
    check_pipelines(is_single);
}

/// In loops, and in V placement.
#[test]
fn with_two_stages_on_a_rank() {
    check_pipelines(|kind| !is_single(kind));
}
