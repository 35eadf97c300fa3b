//! Ways of tensors: along a chain, past stages, to several takers.

use super::{RouteError, Routes, Sent, routes};
use crate::{
    Cost, Dim, ElementType, Module, ModuleGraph, Role, TensorSpec, split_even, split_explicit,
};

fn tensor(name: &str) -> TensorSpec {
    TensorSpec { name: name.to_owned(), dims: vec![Dim::Batch], dtype: ElementType::F32 }
}

/// Modules `a`, `b`, ... as layers, and edges with the tensors named.
fn graph(num_modules: u8, edges: &[(&str, &str, &[&str])]) -> ModuleGraph {
    let mut graph = ModuleGraph::new();
    for i in 0..num_modules {
        graph
            .add_module(Module {
                name: char::from(b'a' + i).to_string(),
                parameters: Vec::new(),
                submodules: Vec::new(),
                role: Role::Layer,
                flops: Cost::default(),
                activation_bytes: Cost::default().into(),
            })
            .unwrap();
    }
    for (from, to, names) in edges {
        let tensors = names.iter().map(|name| tensor(name)).collect();
        graph.add_edge(from, to, tensors).unwrap();
    }
    graph
}

fn ways(graph: &ModuleGraph) -> Routes {
    routes(graph, &split_even(graph, graph.num_layers()).unwrap()).unwrap()
}

/// `from.tensor -> takers` at each boundary.
fn boundaries(routes: &Routes) -> Vec<Vec<String>> {
    let text = |tensor: &super::RoutedTensor| {
        format!("{}.{} -> {}", tensor.from, tensor.tensor.name, tensor.to.join(" "))
    };
    routes.boundaries().iter().map(|boundary| boundary.iter().map(text).collect()).collect()
}

#[test]
fn a_chain_is_plain() {
    let routes = ways(&graph(3, &[("a", "b", &["x"]), ("b", "c", &["x"])]));
    assert!(routes.is_plain());
    assert_eq!(boundaries(&routes), [["a.x -> b"], ["b.x -> c"]]);
    let [first, middle, last] = routes.stages() else { panic!("three stages") };
    assert_eq!((&first.used[..], &first.sent[..]), (&[][..], &[Sent::Made(0)][..]));
    assert_eq!((&middle.used[..], &middle.sent[..]), (&[0][..], &[Sent::Made(0)][..]));
    assert_eq!((&last.used[..], &last.sent[..]), (&[0][..], &[][..]));
}

#[test]
fn what_skips_a_stage_is_handed_on() {
    let routes = ways(&graph(3, &[("a", "b", &["x"]), ("a", "c", &["skip"]), ("b", "c", &["y"])]));
    assert!(!routes.is_plain());
    assert_eq!(
        boundaries(&routes),
        [vec!["a.x -> b", "a.skip -> c"], vec!["a.skip -> c", "b.y -> c"]]
    );
    assert_eq!(routes.stages()[1].used, [0]);
    assert_eq!(routes.stages()[1].sent, [Sent::Passed(1), Sent::Made(0)]);
    assert_eq!(routes.stages()[2].used, [0, 1]);
}

#[test]
fn what_several_stages_take_travels_once() {
    let edges: [(&str, &str, &[&str]); 4] =
        [("a", "b", &["x"]), ("a", "c", &["x"]), ("a", "d", &["x"]), ("c", "d", &["z"])];
    let routes = ways(&graph(4, &edges));
    assert_eq!(
        boundaries(&routes),
        [vec!["a.x -> b c d"], vec!["a.x -> c d"], vec!["a.x -> d", "c.z -> d"]]
    );
    assert_eq!(routes.stages()[1].used, [0], "b uses it");
    assert_eq!(routes.stages()[1].sent, [Sent::Passed(0)], "and hands it on");
}

#[test]
fn within_a_stage_nothing_travels() {
    let graph = graph(3, &[("a", "b", &["x"]), ("a", "c", &["x"]), ("b", "c", &["y"])]);
    let lists = [vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]];
    let routes = routes(&graph, &split_explicit(&graph, &lists).unwrap()).unwrap();
    assert_eq!(boundaries(&routes), [["a.x -> c", "b.y -> c"]]);
    assert!(routes.is_plain());
}

#[test]
fn tensors_may_be_left_open_between_neighbours_only() {
    let neighbours = ways(&graph(2, &[("a", "b", &[])]));
    assert!(neighbours.is_plain() && neighbours.boundaries()[0].is_empty());
    let skip = graph(3, &[("a", "b", &["x"]), ("a", "c", &[]), ("b", "c", &["y"])]);
    let error = routes(&skip, &split_even(&skip, 3).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`c` on stage 2 takes what `a` on stage 0 makes, and the edge between them names no \
         tensors; a stage between has to know what it hands on, so name them"
    );
}

#[test]
fn one_name_is_one_tensor() {
    let mut two = graph(3, &[("a", "b", &["x"]), ("b", "c", &["y"])]);
    let wide = TensorSpec { dtype: ElementType::F64, ..tensor("x") };
    two.add_edge("a", "c", vec![wide]).unwrap();
    let error = routes(&two, &split_even(&two, 3).unwrap()).unwrap_err();
    assert_eq!(error, RouteError::TwoShapes { from: "a".to_owned(), tensor: "x".to_owned() });
}

#[test]
fn an_edge_that_names_a_tensor_twice_carries_it_once() {
    let twice = ways(&graph(3, &[("a", "b", &["x", "x"]), ("a", "c", &["x"])]));
    assert_eq!(boundaries(&twice), [["a.x -> b c"], ["a.x -> c"]]);
}

#[test]
fn many_tensors_past_many_stages_are_found_without_looking_at_all_of_them_on_each() {
    // Ten thousand stages, each of which makes and takes a tensor.
    let module = |i: usize| Module {
        name: format!("m.{i}"),
        parameters: Vec::new(),
        submodules: Vec::new(),
        role: Role::Layer,
        flops: Cost::default(),
        activation_bytes: Cost::default().into(),
    };
    let graph = ModuleGraph::chain((0..10_000).map(module), &[tensor("x")]).unwrap();
    let routes = ways(&graph);
    assert!(routes.is_plain());
    assert!(routes.boundaries().iter().all(|boundary| boundary.len() == 1));
}

#[test]
fn a_partition_of_another_model_is_refused() {
    let small = graph(2, &[("a", "b", &["x"])]);
    let large = graph(3, &[("a", "b", &["x"]), ("b", "c", &["x"])]);
    let partition = split_even(&small, 2).unwrap();
    let error = routes(&large, &partition).unwrap_err();
    assert_eq!(error, RouteError::NotPlaced { module: "c".to_owned() });
}

#[test]
fn what_another_model_sends_back_is_not_sent() {
    let there = graph(2, &[("a", "b", &["x"])]);
    let mut back = ModuleGraph::new();
    for name in ["b", "a"] {
        back.add_module(there.module(name).unwrap().clone()).unwrap();
    }
    back.add_edge("b", "a", vec![tensor("y")]).unwrap();
    let routes = routes(&back, &split_even(&there, 2).unwrap()).unwrap();
    assert_eq!(boundaries(&routes), [Vec::<String>::new()]);
}
