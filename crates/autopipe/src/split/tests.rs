//! Ways to split as text, and as lists that a plan is made of.

use autopipe_config::PipelineConfig;
use autopipe_splitter::{BatchShape, Cost, Module, ModuleGraph, ParameterSpec, Role, Weights};

use super::{Split, split};
use crate::{ParameterBytes, Shards, Workload, plan};

fn graph(num_layers: usize, head: u64) -> ModuleGraph {
    let module = |name: String, role, flops| Module {
        parameters: vec![ParameterSpec::new(format!("{name}.weight"), [100])],
        name,
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(flops),
        activation_bytes: Cost::per_token(8).into(),
    };
    let first = [module("embed".to_owned(), Role::Boundary, 0)];
    let layers = (0..num_layers).map(|i| module(format!("layers.{i}"), Role::Layer, 10));
    let head = [module("head".to_owned(), Role::Boundary, head)];
    ModuleGraph::chain(first.into_iter().chain(layers).chain(head), &[]).unwrap()
}

fn config() -> PipelineConfig {
    PipelineConfig { pp_batch_size: 8, ..PipelineConfig::default() }
}

fn workload(memory_limit: Option<f64>) -> Workload {
    Workload {
        microbatch: BatchShape { batch_size: 1, seq_len: 1 },
        parameter_bytes: ParameterBytes::adamw(4),
        shards: Shards::NONE,
        speed: None,
        memory_limit,
    }
}

/// How many modules each of two stages has.
fn sizes(graph: &ModuleGraph, way: &str, limit: Option<f64>) -> Result<Vec<usize>, String> {
    let way: Split = way.parse().map_err(|error: super::SplitError| error.to_string())?;
    let lists = split(&config(), None, 2, graph, &way, &workload(limit))
        .map_err(|error| error.to_string())?;
    let plan = plan(&lists, None, 2, graph).map_err(|error| error.to_string())?;
    Ok(plan.partition.stages().iter().map(|stage| stage.modules().len()).collect())
}

#[test]
fn each_way_makes_lists_that_a_plan_takes() {
    let graph = graph(6, 20);
    assert_eq!(sizes(&graph, "even", None), Ok(vec![4, 4]));
    assert_eq!(sizes(&graph, "even:0,2", None), Ok(vec![5, 3]));
    assert_eq!(sizes(&graph, "balanced", None), Ok(vec![5, 3]));
    assert_eq!(sizes(&graph, "Et|t*5L", None), Ok(vec![2, 6]));
    // With room for four parameters of each rank's, and no more.
    let bytes = 16. * 100. * 4. + 2. * 4. * 8.;
    assert_eq!(sizes(&graph, "balanced", Some(bytes)), Ok(vec![4, 4]));
}

#[test]
fn what_does_not_fit_is_refused() {
    let graph = graph(6, 20);
    for (way, expected) in [
        ("evn", "a split is `even`"),
        ("even:1", "has no two weights"),
        ("Ett|tttL", "5"),
        ("Ett|tt|tt|L", "1F1B has 1 stage per rank, not 2"),
        ("Ett|tt|ttL", "2 ranks"),
        ("even:0,x", "has no two weights"),
    ] {
        let error = sizes(&graph, way, None).unwrap_err();
        assert!(error.contains(expected), "{way}: {error}");
    }
    let error = sizes(&graph, "balanced", Some(100.)).unwrap_err();
    assert!(error.contains("memory") || error.contains("room"), "{error}");

    let lists = PipelineConfig { module_fqns_per_model_part: Some(Vec::new()), ..config() };
    let error = split(&lists, None, 2, &graph, &Split::Balanced, &workload(None)).unwrap_err();
    assert!(error.to_string().contains("`balanced` has no effect"), "{error}");
    let counted = PipelineConfig { layers_per_stage: Some(3), ..config() };
    let layout = "Et|t*5L".parse().unwrap();
    let error = split(&counted, None, 2, &graph, &layout, &workload(None)).unwrap_err();
    assert!(error.to_string().contains("`layers_per_stage: 3` has no effect"), "{error}");
}

#[test]
fn text_and_value_are_inverses() {
    for text in ["even", "even:1,1", "balanced", "Ett|ttL"] {
        let split: Split = text.parse().unwrap();
        assert_eq!(split.to_string().parse(), Ok(split.clone()), "{text}");
    }
    assert_eq!(" even:1, 2 ".parse(), Ok(Split::Even(Weights { first: 1, last: 2 })));
}
