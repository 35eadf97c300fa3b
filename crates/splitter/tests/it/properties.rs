//! Properties of all splits of all small chains.

use autopipe_splitter::{
    BatchShape, Cost, Error, Layout, Module, ModuleGraph, ParameterSpec, Picture, Problem, Role,
    Weights, split_even, split_even_weighted, split_explicit, split_layout,
};
use proptest::prelude::*;

/// A chain with boundaries anywhere and maybe a module for every stage, of the given roles.
fn chain(roles: &[Role]) -> ModuleGraph {
    let modules = roles.iter().enumerate().map(|(i, &role)| {
        let name = format!("m.{i}");
        let parameters = match role {
            Role::EveryStage => Vec::new(),
            Role::Layer | Role::Boundary => {
                vec![ParameterSpec::new(format!("{name}.weight"), [i + 1])]
            }
        };
        Module {
            name,
            parameters,
            submodules: Vec::new(),
            role,
            flops: Cost::per_token(1),
            activation_bytes: Cost::default().into(),
        }
    });
    ModuleGraph::chain(modules, &[]).unwrap()
}

fn roles() -> impl Strategy<Value = Vec<Role>> {
    let role =
        prop_oneof![4 => Just(Role::Layer), 2 => Just(Role::Boundary), 1 => Just(Role::EveryStage)];
    prop::collection::vec(role, 1..40)
}

/// A chain with at least one layer, and a number of stages that it has layers for.
fn splittable() -> impl Strategy<Value = (Vec<Role>, usize)> {
    roles().prop_filter("no layers", |roles| roles.contains(&Role::Layer)).prop_flat_map(|roles| {
        let num_layers = roles.iter().filter(|role| **role == Role::Layer).count();
        (Just(roles), 1..=num_layers)
    })
}

proptest! {
    #[test]
    fn an_even_split_has_each_module_once_and_in_order((roles, num_stages) in splittable()) {
        let graph = chain(&roles);
        let partition = split_even(&graph, num_stages).unwrap();
        prop_assert_eq!(partition.num_stages(), num_stages);

        let (every, once): (Vec<_>, Vec<_>) =
            graph.modules().partition(|module| module.role == Role::EveryStage);
        let is_once = |name: &&String| graph.module(name).unwrap().role != Role::EveryStage;
        let listed: Vec<_> =
            partition.stages().iter().flat_map(|stage| stage.modules().iter().filter(is_once)).collect();
        let expected: Vec<_> = once.iter().map(|module| &module.name).collect();
        prop_assert_eq!(listed, expected);
        for stage in partition.stages() {
            prop_assert!(every.iter().all(|module| stage.modules().contains(&module.name)));
        }
        let total: usize = partition.stages().iter().map(|stage| stage.num_parameters()).sum();
        prop_assert_eq!(total, graph.num_parameters());
    }

    #[test]
    fn an_even_split_is_even_with_the_larger_stages_first((roles, num_stages) in splittable()) {
        let graph = chain(&roles);
        let partition = split_even(&graph, num_stages).unwrap();
        let is_layer = |name: &&String| graph.module(name).unwrap().role == Role::Layer;
        let sizes: Vec<_> =
            partition.stages().iter().map(|stage| stage.modules().iter().filter(is_layer).count()).collect();
        prop_assert!(sizes.is_sorted_by(|a, b| a >= b));
        prop_assert!(sizes[0] - sizes[num_stages - 1] <= 1, "{:?}", sizes);
    }

    #[test]
    fn the_lists_of_a_split_make_it_again((roles, num_stages) in splittable()) {
        let graph = chain(&roles);
        let partition = split_even(&graph, num_stages).unwrap();
        let lists: Vec<_> = partition.stages().iter().map(|stage| stage.modules().to_vec()).collect();
        prop_assert_eq!(split_explicit(&graph, &lists).unwrap(), partition);
    }

    #[test]
    fn a_spoilt_list_is_refused(
        (roles, num_stages) in splittable(),
        chosen: prop::sample::Index,
        duplicate: bool,
    ) {
        let graph = chain(&roles);
        let partition = split_even(&graph, num_stages).unwrap();
        let mut lists: Vec<_> =
            partition.stages().iter().map(|stage| stage.modules().to_vec()).collect();
        let once: Vec<_> =
            graph.modules().filter(|module| module.role != Role::EveryStage).collect();
        let module = chosen.get(&once).name.clone();
        let stage = partition.stages().iter().position(|stage| stage.modules().contains(&module)).unwrap();
        let problem = if duplicate {
            lists[num_stages - 1].push(module.clone());
            Problem::Duplicate { module, first: stage, second: num_stages - 1 }
        } else {
            lists[stage].retain(|name| *name != module);
            Problem::Missing { module }
        };
        let Err(Error::Split(problems)) = split_explicit(&graph, &lists) else {
            return Err(TestCaseError::fail("accepted"));
        };
        prop_assert!(problems.contains(&problem), "{:?}", problems);
    }

    #[test]
    fn any_lists_give_an_answer(
        roles in roles(),
        lists in prop::collection::vec(prop::collection::vec("m\\.[0-9]{1,2}(\\.x)?", 0..6), 0..5),
    ) {
        let graph = chain(&roles);
        if let Ok(partition) = split_explicit(&graph, &lists) {
            prop_assert_eq!(partition.num_stages(), lists.len());
        }
    }

    #[test]
    fn a_weighted_split_has_each_module_once_and_in_order(
        (roles, num_stages) in splittable(),
        first in 0..9_usize,
        last in 0..9_usize,
    ) {
        let graph = chain(&roles);
        let weights = Weights { first, last };
        let partition = split_even_weighted(&graph, num_stages, &weights).unwrap();
        let stages: Vec<_> = (graph.modules())
            .filter(|module| module.role != Role::EveryStage)
            .map(|module| partition.stage_of(&module.name).unwrap())
            .collect();
        prop_assert!(stages.is_sorted());
        // No stage is left out.
        prop_assert!((0..num_stages).all(|stage| stages.contains(&stage)), "{:?}", stages);
    }

    #[test]
    fn a_layout_makes_its_partition_again((roles, num_stages) in splittable()) {
        let graph = chain(&roles);
        let partition = split_even(&graph, num_stages).unwrap();
        // An even split always has one.
        let layout = Layout::of(&graph, &partition).unwrap();
        let text = layout.to_string();
        let again = split_layout(&graph, &text.parse().unwrap()).unwrap();
        prop_assert_eq!(again, partition, "{}", text);
    }

    #[test]
    fn any_layout_and_picture_give_an_answer(roles in roles(), text in "E?[t|*3m]{0,30}L?") {
        let graph = chain(&roles);
        let Ok(layout) = text.parse() else { return Ok(()) };
        if let Ok(partition) = split_layout(&graph, &layout) {
            let shape = BatchShape { batch_size: 1, seq_len: 1 };
            let picture = Picture { graph: &graph, partition: &partition, shape, ranks: &[] };
            prop_assert!(picture.svg().ends_with("</svg>\n"));
            prop_assert_eq!(picture.dot().chars().rev().nth(1), Some('}'));
            prop_assert_eq!(Layout::of(&graph, &partition), Some(layout));
        }
    }
}
