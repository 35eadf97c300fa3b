//! Data, optimisers, evaluation and rates: which keys belong together.

use autopipe_config::{OptimizerName, WsdDecayStyle};

use crate::{SMALL, parse, refusals};

fn with(text: &str) -> Result<autopipe_config::Recipe, autopipe_config::RecipeErrors> {
    parse(&format!("{SMALL}\n{text}"))
}

/// The small recipe with a section in place of its own.
fn set(over: &str) -> Result<autopipe_config::Recipe, autopipe_config::RecipeErrors> {
    autopipe_config::Recipe::parse_with(SMALL, "recipe.yaml", &[over])
}

#[test]
fn every_optimiser_has_its_own_constants_and_defaults() {
    let optimizer = |text: &str| set(&format!("optimizer={text}")).unwrap().optimizer;
    let lion = optimizer("{name: lion, lr: 1e-4}");
    assert_eq!((lion.betas, lion.weight_decay), ([0.9, 0.99], 0.1));
    let sgd = optimizer("{name: sgd, lr: 1e-4, momentum: 0.9, nesterov: true}");
    assert_eq!((sgd.name, sgd.weight_decay, sgd.nesterov), (OptimizerName::Sgd, 0.0, true));
    let torch = optimizer("{_target_: torch.optim.SGD, lr: 1e-4}");
    assert_eq!((torch.name, torch.weight_decay), (OptimizerName::Sgd, 0.0));
    let wrong = |text: &str| refusals(set(&format!("optimizer={text}")));
    assert_eq!(
        wrong("{name: sgd, lr: 1e-4, eps: 1e-8}"),
        ["optimizer.eps: sgd has no such constant"]
    );
    assert_eq!(
        wrong("{lr: 1e-4, momentum: 0.5}"),
        ["optimizer.momentum: adamw has no such constant"]
    );
    assert_eq!(
        wrong("{name: sgd, lr: 1e-4, nesterov: true}"),
        ["optimizer.nesterov: needs a momentum, and no dampening"]
    );
    assert_eq!(
        wrong("{lr: 1e-4, max_skipped_steps: 3}"),
        ["optimizer.max_skipped_steps: has no effect, the first number that is none ends the run"]
    );
    assert_eq!(wrong("{name: adamw}"), ["optimizer.lr: missing, and there is no default"]);
    assert_eq!(
        wrong("{lr: 1e-4, param_groups: {params: [a]}}"),
        ["optimizer.param_groups: expected a list of sections, found a section"]
    );
    assert_eq!(
        wrong("{lr: 1e-4, param_groups: [{lr_factor: -1}, {params: [a], more: 1}]}"),
        [
            "optimizer.param_groups[0].params: missing, and there is no default",
            "optimizer.param_groups[0].lr_factor: -1 is out of range, the number must be 0 or greater",
            "optimizer.param_groups[1].more: unknown key",
        ]
    );
}

#[test]
fn sources_are_named_once() {
    let wrong = |text: &str| refusals(set(&format!("dataset={text}")));
    assert_eq!(wrong("{seq_len: 4}"), ["dataset: nothing says what is read"]);
    assert_eq!(
        wrong("{seq_len: 4, paths: [a], sources: [{paths: [b]}]}"),
        ["dataset.paths: stands beside `sources`, each of which has its own"]
    );
    assert_eq!(
        wrong("{seq_len: 4, format: text, sources: [{paths: [b]}]}"),
        ["dataset.format: stands beside `sources`, each of which has its own"]
    );
    assert_eq!(wrong("{seq_len: 4, sources: []}"), ["dataset.sources: the list is empty"]);
    assert_eq!(
        wrong("{seq_len: 4, paths: [a], weight: 2}"),
        ["dataset.weight: unknown key; it belongs in `dataset.sources[]`"]
    );
}

#[test]
fn an_evaluation_needs_data() {
    let steps = |more: &str| {
        set(&format!("step_scheduler={{global_batch_size: 8, local_batch_size: 4, {more}}}"))
    };
    assert_eq!(
        refusals(steps("max_steps: 0")),
        ["step_scheduler.max_steps: there is nothing to do"]
    );
    assert_eq!(
        refusals(steps("max_steps: 4, val_every_steps: 2")),
        ["step_scheduler.val_every_steps: there is nothing to evaluate on"]
    );
    let recipe = with("validation_dataset: {paths: [b.txt]}").unwrap();
    let held_out = recipe.validation_dataset.unwrap();
    assert_eq!((held_out.seq_len, held_out.shuffle), (recipe.dataset.seq_len, false));
    assert_eq!(
        refusals(with("validation_dataset: {paths: [b.txt], shuffle: true}")),
        ["validation_dataset.shuffle: unknown key; it belongs in `dataset`"]
    );
}

#[test]
fn a_rate_that_stays_and_then_falls() {
    let lr = |text: &str| with(&format!("lr_scheduler: {text}"));
    let recipe = lr("{lr_decay_style: WSD, wsd_decay_steps: 2, lr_wsd_decay_style: minus_sqrt}");
    let lr_scheduler = recipe.unwrap().lr_scheduler;
    assert_eq!(lr_scheduler.lr_wsd_decay_style, WsdDecayStyle::MinusSqrt);
    assert_eq!(
        refusals(lr("{lr_decay_style: cosine, wsd_decay_steps: 2}")),
        ["lr_scheduler.wsd_decay_steps: has no effect, the decay style is cosine"]
    );
    assert_eq!(
        refusals(lr("{lr_decay_steps: 2}")),
        ["lr_scheduler.lr_decay_steps: has no effect, a constant learning rate never decays"]
    );
    assert_eq!(
        refusals(lr("{init_lr: 1e-6}")),
        ["lr_scheduler.init_lr: 0.000001 has no effect without a warm-up"]
    );
}

#[test]
fn a_norm_is_2_or_the_largest() {
    let clip = |norm: &str| with(&format!("clip_grad_norm: {{norm_type: {norm}}}"));
    for norm in ["2", "2.0", "inf", ".inf", "'2'"] {
        clip(norm).unwrap_or_else(|errors| panic!("{errors}"));
    }
    assert_eq!(
        refusals(clip("1")),
        ["clip_grad_norm.norm_type: expected `2` or `inf`, found a number"]
    );
}
