//! Even and explicit splits of one small decoder, and everything that can be wrong with the latter.

use super::*;
use crate::{
    Cost, Error, Module, ModuleGraph, ParameterSpec, Partition, Problem, Role, StageModules,
    TiedParameter,
};

fn module(name: &str, role: Role) -> Module {
    let parameters = match role {
        Role::EveryStage => Vec::new(),
        Role::Layer | Role::Boundary => {
            vec![ParameterSpec::new(format!("{name}.weight"), [10, 10])]
        }
    };
    Module {
        name: name.to_owned(),
        parameters,
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(200),
        activation_bytes: Cost::default().into(),
    }
}

fn decoder(num_layers: usize) -> Vec<Module> {
    let mut modules = vec![module("model.embed_tokens", Role::Boundary)];
    modules.extend((0..num_layers).map(|i| module(&format!("model.layers.{i}"), Role::Layer)));
    modules.push(module("model.norm", Role::Boundary));
    modules.push(module("model.rotary_emb", Role::EveryStage));
    modules.push(module("lm_head", Role::Boundary));
    modules
}

fn graph(num_layers: usize) -> ModuleGraph {
    ModuleGraph::chain(decoder(num_layers), &[]).unwrap()
}

fn modules(partition: &Partition) -> Vec<String> {
    partition.stages().iter().map(|stage| stage.modules().join(" ")).collect()
}

#[test]
fn the_first_stages_get_what_is_left_over() {
    let partition = split_even(&graph(7), 3).unwrap();
    assert_eq!(
        modules(&partition),
        [
            "model.embed_tokens model.layers.0 model.layers.1 model.layers.2 model.rotary_emb",
            "model.layers.3 model.layers.4 model.rotary_emb",
            "model.layers.5 model.layers.6 model.norm model.rotary_emb lm_head",
        ]
    );
}

#[test]
fn a_boundary_between_layers_stays_with_the_layer_before() {
    let mut middle = decoder(4);
    middle.insert(3, module("model.middle_norm", Role::Boundary));
    let graph = ModuleGraph::chain(middle, &[]).unwrap();
    let partition = split_even(&graph, 2).unwrap();
    assert_eq!(partition.stage_of("model.layers.1"), Some(0));
    assert_eq!(partition.stage_of("model.middle_norm"), Some(0));
    assert_eq!(partition.stage_of("model.layers.2"), Some(1));
}

#[test]
fn sizes_that_do_not_fit() {
    let refused =
        |graph: &ModuleGraph, num_stages| split_even(graph, num_stages).unwrap_err().to_string();
    assert_eq!(refused(&graph(4), 0), "0 stages hold no model, a pipeline needs at least 1");
    assert_eq!(refused(&graph(7), 8), "8 stages need at least 8 layers, the model has 7");
    assert_eq!(refused(&ModuleGraph::new(), 1), "1 stage needs at least 1 layer, the model has 0");
}

#[test]
fn an_unconnected_module_is_refused() {
    let mut graph = graph(2);
    graph.add_module(module("tower", Role::Boundary)).unwrap();
    let expected = Error::Unconnected { module: "tower".to_owned() };
    assert_eq!(split_even(&graph, 1).unwrap_err(), expected);
    assert_eq!(split_explicit(&graph, &lists(&["model.norm"])).unwrap_err(), expected);
}

#[test]
fn shared_parameters_may_be_on_several_stages() {
    let mut tied = decoder(3);
    let owner = || Some("model.embed_tokens.weight".to_owned());
    tied[6].parameters[0].shared_with = owner();
    // A copy of a copy, beside it, and one beside the owner.
    tied[4].parameters[0].shared_with = Some("model.layers.0.weight".to_owned());
    tied[1].parameters[0].shared_with = owner();
    let graph = ModuleGraph::chain(tied, &[]).unwrap();

    let whole = split_even(&graph, 1).unwrap();
    assert_eq!((whole.tied(), whole.stages()[0].num_parameters()), (&[][..], 300));
    let apart = split_even(&graph, 3).unwrap();
    let copy = |parameter: &str| TiedParameter {
        parameter: parameter.to_owned(),
        stage: 2,
        owner: "model.embed_tokens.weight".to_owned(),
        owner_stage: 0,
        num_elements: 100,
        is_trained: true,
    };
    assert_eq!(apart.tied(), [copy("model.norm.weight"), copy("lm_head.weight")]);
    let held: Vec<_> = apart.stages().iter().map(StageModules::num_parameters).collect();
    // The last stage has layer 2 and one copy.
    assert_eq!(held, [100, 100, 200]);
    assert_eq!((apart.num_parameters(), graph.num_parameters()), (300, 300));
}

#[test]
fn a_stage_knows_how_much_of_it_is_trained() {
    let trained = |trainable: &dyn Fn(&str) -> bool| {
        let mut modules = decoder(3);
        modules[6].parameters[0].shared_with = Some("model.embed_tokens.weight".to_owned());
        for parameter in modules.iter_mut().flat_map(|module| &mut module.parameters) {
            parameter.trainable = trainable(&parameter.name);
        }
        let partition = split_even(&ModuleGraph::chain(modules, &[]).unwrap(), 3).unwrap();
        let numbers: Vec<_> = partition.stages().iter().map(StageModules::num_trainable).collect();
        (numbers, partition.trained_from())
    };
    assert_eq!(trained(&|_| true), (vec![200, 100, 300], Some(0)));
    let layers =
        trained(&|name| name.ends_with("layers.1.weight") || name.ends_with("norm.weight"));
    assert_eq!(layers, (vec![0, 100, 100], Some(1)));
    let shared = trained(&|name| name.contains("embed") || name.contains("head"));
    assert_eq!(shared, (vec![100, 0, 100], Some(0)), "a copy is trained where it lies");
    assert_eq!(trained(&|_| false), (vec![0, 0, 0], None));
}

#[test]
fn ten_thousand_layers_are_split() {
    let graph = graph(10_000);
    for num_stages in [1, 64, 10_000] {
        let even = split_even(&graph, num_stages).unwrap();
        let lists: Vec<_> = even.stages().iter().map(|stage| stage.modules().to_vec()).collect();
        assert_eq!(split_explicit(&graph, &lists).unwrap(), even);
        assert_eq!(even.stage_of("model.layers.9999"), Some(num_stages - 1));
        assert_eq!(
            graph.modules().filter_map(|m| even.stage_of(&m.name)).max(),
            Some(num_stages - 1)
        );
    }
    assert_eq!(
        split_even(&graph, usize::MAX).unwrap_err(),
        Error::TooFewLayers { num_stages: usize::MAX, num_needed: usize::MAX, num_layers: 10_000 }
    );
}

/// A list per text, of the names in it.
fn lists(texts: &[&str]) -> Vec<Vec<String>> {
    texts.iter().map(|text| text.split_whitespace().map(ToOwned::to_owned).collect()).collect()
}

#[test]
fn a_list_is_a_set() {
    let partition = split_explicit(
        &graph(4),
        &lists(&[
            "model.embed_tokens model.rotary_emb model.layers.0",
            "lm_head model.layers.3 model.layers.2 model.layers.1 model.norm",
        ]),
    );
    assert_eq!(
        modules(&partition.unwrap()),
        [
            "model.embed_tokens model.layers.0 model.rotary_emb",
            "model.layers.1 model.layers.2 model.layers.3 model.norm model.rotary_emb lm_head",
        ]
    );
}

#[test]
fn the_lists_of_an_even_split_make_it_again() {
    for num_stages in 1..=5 {
        let even = split_even(&graph(5), num_stages).unwrap();
        let lists: Vec<_> = even.stages().iter().map(|stage| stage.modules().to_vec()).collect();
        assert_eq!(split_explicit(&graph(5), &lists).unwrap(), even);
    }
}

#[test]
fn no_lists_are_no_stages() {
    assert_eq!(split_explicit(&graph(2), &[]).unwrap_err(), Error::NoStages);
}

fn refused(texts: &[&str]) -> String {
    split_explicit(&graph(3), &lists(texts)).unwrap_err().to_string()
}

#[test]
fn one_problem_is_told_in_one_line() {
    assert_eq!(
        refused(&["model.embed_tokens model.layers.0", "model.layers.2 model.norm lm_head"]),
        "the stages do not make up the model: module `model.layers.1` is on no stage"
    );
}

#[test]
fn all_problems_come_at_once() {
    insta::assert_snapshot!(
        refused(&[
            "model.embed_token model.layers.1 model.layers.1",
            "model.layers.0.mlp model.layers.0 model.layers.1",
            "model.rotary_emb",
            "model.norm zzz",
            "",
        ]),
        @"
    the stages do not make up the model:
      - stage 0: the model has no module `model.embed_token`; did you mean `model.embed_tokens`?
      - module `model.layers.1` is on stage 0 and again on stage 0, it can be on one only
      - stage 1: `model.layers.0.mlp` is a part of `model.layers.0`, which can only be listed as a whole
      - module `model.layers.1` is on stage 0 and again on stage 1, it can be on one only
      - stage 2 has no module of its own
      - stage 3: the model has no module `zzz`
      - stage 4 has no module of its own
      - module `model.embed_tokens` is on no stage
      - module `model.layers.2` is on no stage
      - module `lm_head` is on no stage
      - module `model.layers.1` takes the output of `model.layers.0`, and is on stage 0 before it on stage 1
    "
    );
}

#[test]
fn a_name_that_several_modules_begin_with() {
    assert_eq!(
        refused(&["model.embed_tokens model.layers model.norm lm_head"]),
        "the stages do not make up the model:
  - stage 0: `model.layers` is no module, the names of modules such as `model.layers.0` begin with it; list these
  - module `model.layers.0` is on no stage
  - module `model.layers.1` is on no stage
  - module `model.layers.2` is on no stage"
    );
    let text = refused(&["model model.layer"]);
    assert!(
        text.contains("`model` is no module, the names of modules such as `model.embed_tokens`")
    );
    // A part of a word is no prefix.
    assert!(text.contains("the model has no module `model.layer`; did you mean"), "{text}");
}

#[test]
fn lists_of_many_wrong_names_are_refused() {
    let graph = graph(10_000);
    let wrong = |name: &str| (0..10_000).map(|i| format!("{name}.{i}")).collect::<Vec<_>>();
    let lists = [wrong("model.layer"), wrong("model.layers.7.mlp"), vec!["x".repeat(1_000_000)]];
    let Err(Error::Split(problems)) = split_explicit(&graph, &lists) else { panic!("accepted") };
    // The names, and the modules that are missing for them.
    assert_eq!(problems.len(), 20_001 + 10_003);
    let nearest = Some("model.layers.0".to_owned());
    let module = "model.layer.0".to_owned();
    assert_eq!(problems[0], Problem::UnknownModule { stage: 0, module, nearest });
}

#[test]
fn data_does_not_flow_backwards() {
    assert_eq!(
        refused(&[
            "model.layers.1 model.layers.2 model.norm lm_head",
            "model.embed_tokens model.layers.0"
        ]),
        "the stages do not make up the model: module `model.layers.1` takes the output of \
         `model.layers.0`, and is on stage 0 before it on stage 1"
    );
}

#[test]
fn an_edge_past_other_modules_counts_too() {
    let mut graph = ModuleGraph::new();
    for name in ["a", "b", "c"] {
        graph.add_module(module(name, Role::Layer)).unwrap();
    }
    graph.add_edge("a", "c", Vec::new()).unwrap();
    graph.add_edge("b", "c", Vec::new()).unwrap();
    // Nothing leads from a to b: they may be in either order.
    assert!(split_explicit(&graph, &lists(&["b", "a", "c"])).is_ok());
    let error = split_explicit(&graph, &lists(&["b", "c", "a"])).unwrap_err().to_string();
    assert!(
        error
            .contains("module `c` takes the output of `a`, and is on stage 1 before it on stage 2"),
        "{error}"
    );
}

/// How many layers each stage gets.
fn layers(num_layers: usize, num_stages: usize, first: usize, last: usize) -> Vec<usize> {
    let graph = graph(num_layers);
    let partition = split_even_weighted(&graph, num_stages, &Weights { first, last }).unwrap();
    assert_eq!(partition.stage_of("model.embed_tokens"), Some(0));
    assert_eq!(partition.stage_of("lm_head"), Some(num_stages - 1));
    let is_layer = |name: &&String| graph.module(name).unwrap().role == Role::Layer;
    partition.stages().iter().map(|stage| stage.modules().iter().filter(is_layer).count()).collect()
}

#[test]
fn the_ends_of_the_model_count_for_layers() {
    // 12 layers and an end of one on each side are 14: four, four, three and three.
    assert_eq!(layers(12, 4, 1, 1), [3, 4, 3, 2]);
    assert_eq!(layers(12, 4, 0, 3), [4, 4, 4, 0]);
    assert_eq!(layers(12, 4, 100, 1), [0, 5, 4, 3]);
    assert_eq!(layers(2, 4, 1, 1), [0, 1, 1, 0]);
    assert_eq!(layers(5, 1, 7, 9), [5]);
    assert_eq!(layers(5, 2, usize::MAX, usize::MAX), [3, 2]);
    assert_eq!(layers(5, 3, usize::MAX, usize::MAX - 1), [0, 5, 0]);
}

#[test]
fn without_weights_the_split_is_the_even_one() {
    for num_layers in 0..9 {
        for num_stages in 0..11 {
            let graph = graph(num_layers);
            let weighted = split_even_weighted(&graph, num_stages, &Weights::default());
            assert_eq!(weighted, split_even(&graph, num_stages));
        }
    }
}

#[test]
fn an_end_without_a_weight_needs_a_layer() {
    let error = split_even_weighted(&graph(2), 4, &Weights { first: 1, last: 0 }).unwrap_err();
    assert_eq!(error.to_string(), "4 stages need at least 3 layers, the model has 2");
    let error = split_even_weighted(&graph(0), 2, &Weights { first: 1, last: 1 }).unwrap_err();
    assert_eq!(error, Error::TooFewLayers { num_stages: 2, num_needed: 1, num_layers: 0 });
}

#[test]
fn no_other_counts_are_more_even() {
    fn all(left: usize, num_stages: usize) -> Vec<Vec<usize>> {
        if num_stages == 1 {
            return vec![vec![left]];
        }
        let with = |first| {
            all(left - first, num_stages - 1).into_iter().map(move |mut rest| {
                rest.insert(0, first);
                rest
            })
        };
        (0..=left).flat_map(with).collect()
    }
    for (num_layers, num_stages) in [(3, 2), (6, 3), (7, 4), (9, 4), (5, 5)] {
        for (first, last) in [(0, 1), (1, 1), (2, 1), (1, 3), (4, 0), (9, 2)] {
            let unevenness = |layers: &Vec<usize>| {
                let mut weights = layers.clone();
                weights[0] += first;
                weights[num_stages - 1] += last;
                weights.iter().map(|weight| weight * weight).sum::<usize>()
            };
            // An end that counts can be alone, any other stage has a layer.
            let is_split = |layers: &Vec<usize>| {
                (0..num_stages).all(|stage| {
                    let is_alone = stage == 0 && first > 0 || stage == num_stages - 1 && last > 0;
                    layers[stage] > 0 || is_alone
                })
            };
            let least =
                all(num_layers, num_stages).iter().filter(|l| is_split(l)).map(unevenness).min();
            let ours = layers(num_layers, num_stages, first, last);
            assert_eq!(
                Some(unevenness(&ours)),
                least,
                "{num_layers} {num_stages} {first} {last} {ours:?}"
            );
        }
    }
}
