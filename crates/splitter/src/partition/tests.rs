//! What a partition answers, and its table.

use crate::{BatchShape, Cost, Module, ModuleGraph, ParameterSpec, Partition, Role, split_even};

fn partition(num_layers: usize, num_stages: usize) -> Partition {
    let module = |name: &str, role, sizes: &[usize]| Module {
        name: name.to_owned(),
        parameters: sizes
            .iter()
            .map(|&size| ParameterSpec::new(format!("{name}.{size}"), [size, 8]))
            .collect(),
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(sizes.iter().map(|&size| 16 * size as u64).sum()),
        activation_bytes: Cost::default().into(),
    };
    let mut modules = vec![module("model.embed_tokens", Role::Boundary, &[256])];
    modules.extend(
        (0..num_layers).map(|i| module(&format!("model.layers.{i}"), Role::Layer, &[8, 32])),
    );
    modules.push(module("model.norm", Role::Boundary, &[1]));
    modules.push(module("model.rotary_emb", Role::EveryStage, &[]));
    modules.push(module("lm_head", Role::Boundary, &[256]));
    split_even(&ModuleGraph::chain(modules, &[]).unwrap(), num_stages).unwrap()
}

#[test]
fn modules_on_several_stages_have_no_stage() {
    let two = partition(4, 2);
    assert_eq!(two.num_stages(), 2);
    assert_eq!(two.stage_of("model.embed_tokens"), Some(0));
    assert_eq!(two.stage_of("lm_head"), Some(1));
    assert_eq!(two.stage_of("model.rotary_emb"), None);
    assert_eq!(two.stage_of("model"), None);
    assert_eq!(partition(4, 1).stage_of("model.rotary_emb"), Some(0));
}

#[test]
fn the_table_draws_runs_together() {
    insta::assert_snapshot!(partition(12, 3), @"
    stage  parameters  flops/token  modules
        0        3328         6656  model.embed_tokens, model.layers.0-3, model.rotary_emb
        1        1280         2560  model.layers.4-7, model.rotary_emb
        2        3336         6672  model.layers.8-11, model.norm, model.rotary_emb, lm_head
    ");
}

#[test]
fn a_stage_of_one_layer() {
    insta::assert_snapshot!(partition(1, 1), @"
    stage  parameters  flops/token  modules
        0        4424         8848  model.embed_tokens, model.layers.0, model.norm, model.rotary_emb, lm_head
    ");
}

#[test]
fn a_stage_sums_what_its_modules_take() {
    let stages = partition(4, 2);
    let shape = BatchShape { batch_size: 3, seq_len: 10 };
    let flops: Vec<f64> = stages.stages().iter().map(|stage| stage.flops(shape)).collect();
    assert_eq!(flops, [30. * 5376., 30. * 5392.]);
    assert_eq!(stages.stages()[0].flops_per_token(), 5376);
    assert_eq!(stages.stages()[0].activation_bytes(shape), 0.);
}

#[test]
fn the_table_of_a_batch() {
    let shape = BatchShape { batch_size: 2, seq_len: 1024 };
    insta::assert_snapshot!(partition(12, 3).table(shape), @"
    stage  parameters   flops  activation bytes  modules
        0        3328  13.6 M                 0  model.embed_tokens, model.layers.0-3, model.rotary_emb
        1        1280  5.24 M                 0  model.layers.4-7, model.rotary_emb
        2        3336  13.7 M                 0  model.layers.8-11, model.norm, model.rotary_emb, lm_head
    ");
}
