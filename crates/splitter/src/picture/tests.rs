//! Pictures as text: of a decoder with skips and a tied head, with hostile names, and of large ones.

use super::*;
use crate::{
    Cost, Dim, ElementType, Module, ModuleGraph, ParameterSpec, Role, TensorSpec, split_even,
    split_explicit,
};

fn module(name: &str, role: Role, parameter: Option<[usize; 2]>) -> Module {
    let size = parameter.map_or(0, |[rows, columns]| (rows * columns) as u64);
    let new = |shape| ParameterSpec::new(format!("{name}.weight"), shape);
    Module {
        name: name.to_owned(),
        parameters: parameter.map(new).into_iter().collect(),
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(2 * size),
        activation_bytes: Cost::per_token(512).into(),
    }
}

fn tensor(name: &str) -> TensorSpec {
    let dims = vec![Dim::Batch, Dim::Sequence, Dim::Fixed(64)];
    TensorSpec { name: name.to_owned(), dims, dtype: ElementType::Bf16 }
}

/// A decoder of 12 layers whose head is tied to the embedding; two layers feed far later ones.
fn decoder() -> ModuleGraph {
    let layer = |i| module(&format!("model.layers.{i}"), Role::Layer, Some([64, 64]));
    let mut modules = vec![module("model.embed_tokens", Role::Boundary, Some([512, 64]))];
    modules.extend((0..12).map(layer));
    modules.push(module("model.norm", Role::Boundary, Some([1, 64])));
    modules.push(module("model.rotary_emb", Role::EveryStage, None));
    let mut head = module("lm_head", Role::Boundary, Some([512, 64]));
    head.parameters[0].shared_with = Some("model.embed_tokens.weight".to_owned());
    modules.push(head);
    let mut graph = ModuleGraph::chain(modules, &[tensor("hidden_states")]).unwrap();
    let ids = TensorSpec {
        dims: vec![Dim::Batch, Dim::Sequence],
        dtype: ElementType::I64,
        ..tensor("input_ids")
    };
    graph
        .add_edge("model.embed_tokens", "model.layers.11", vec![ids, tensor("embeddings")])
        .unwrap();
    graph.add_edge("model.layers.4", "model.layers.10", vec![tensor("hidden_states")]).unwrap();
    graph.add_edge("model.layers.1", "model.layers.6", vec![tensor("skip")]).unwrap();
    graph
}

const SHAPE: BatchShape = BatchShape { batch_size: 2, seq_len: 1024 };

#[test]
fn a_decoder_with_skips() {
    let graph = decoder();
    let partition = split_even(&graph, 4).unwrap();
    let picture =
        Picture { graph: &graph, partition: &partition, shape: SHAPE, ranks: &[0, 1, 1, 0] };
    insta::assert_snapshot!("decoder.dot", picture.dot());
    insta::assert_snapshot!("decoder.svg", picture.svg());
}

#[test]
fn names_are_escaped() {
    let evil = "a\"]; evil [<script>&lt;\\N'\n\u{1}\u{ffff}";
    let graph = ModuleGraph::chain(
        [module(evil, Role::Layer, None), module("b", Role::Layer, None)],
        &[tensor(evil)],
    )
    .unwrap();
    let partition = split_even(&graph, 2).unwrap();
    let picture = Picture { graph: &graph, partition: &partition, shape: SHAPE, ranks: &[] };
    let svg = picture.svg();
    assert!(svg.contains("a&quot;]; evil [&lt;script&gt;&amp;lt;\\N'   "), "{svg}");
    assert!(!svg.contains("<script>") && !svg.contains('\u{1}'));
    let dot = picture.dot();
    assert!(dot.contains("a\\\"]; evil [<script>&amp;lt;\\\\N'  "), "{dot}");
    assert!(!dot.contains("rank"));
}

#[test]
fn large_pictures_are_bounded() {
    let layer = |i| module(&format!("m{i}.{}", "x".repeat(100)), Role::Layer, None);
    let mut graph = ModuleGraph::chain((0..10_000).map(layer), &[tensor("x")]).unwrap();
    for i in 0..5_000 {
        let name = |i: usize| format!("m{i}.{}", "x".repeat(100));
        graph.add_edge(&name(i), &name(i + 700), vec![tensor("skip")]).unwrap();
    }
    for num_stages in [3, 300, 10_000] {
        let partition = split_even(&graph, num_stages).unwrap();
        let ranks: Vec<usize> = (0..num_stages).collect();
        let picture = Picture { graph: &graph, partition: &partition, shape: SHAPE, ranks: &ranks };
        let (svg, dot) = (picture.svg(), picture.dot());
        assert!(svg.len() < 1_000_000 && dot.len() < 300_000, "{} {}", svg.len(), dot.len());
        assert_eq!(svg.contains("more stages"), num_stages > MOST_STAGES);
    }
    let partition = split_even(&graph, 1).unwrap();
    let one = Picture { graph: &graph, partition: &partition, shape: SHAPE, ranks: &[usize::MAX] };
    assert!(one.svg().contains("and 9991 more"));
}

#[test]
fn stages_that_nothing_passes_between() {
    // Both towers feed the last stage only.
    let mut graph = ModuleGraph::new();
    for name in ["left", "right", "join"] {
        graph.add_module(module(name, Role::Layer, Some([2, 2]))).unwrap();
    }
    graph.add_edge("left", "join", vec![tensor("a")]).unwrap();
    graph.add_edge("right", "join", vec![tensor("b")]).unwrap();
    let lists = ["left", "right", "join"].map(|name| vec![name.to_owned()]);
    let partition = split_explicit(&graph, &lists).unwrap();
    let picture = Picture { graph: &graph, partition: &partition, shape: SHAPE, ranks: &[] };
    let arrows = |text: &str, class: &str| text.matches(class).count();
    assert_eq!(arrows(&picture.svg(), "class=\"arrow\""), 1);
    assert_eq!(arrows(&picture.svg(), "class=\"skip\""), 1);
    assert!(picture.dot().contains("s0 -> s2") && !picture.dot().contains("s0 -> s1"));
}
