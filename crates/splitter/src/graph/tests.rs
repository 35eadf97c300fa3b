//! What a graph holds, and what it refuses to hold.

use super::*;

fn module(name: &str, role: Role) -> Module {
    let parameters = match role {
        Role::EveryStage => Vec::new(),
        Role::Layer | Role::Boundary => vec![ParameterSpec::new(format!("{name}.weight"), [2, 3])],
    };
    Module {
        name: name.to_owned(),
        parameters,
        submodules: Vec::new(),
        role,
        flops: Cost::per_token(12),
        activation_bytes: Cost::default().into(),
    }
}

fn hidden() -> TensorSpec {
    let dims = vec![Dim::Batch, Dim::Sequence, Dim::Fixed(8)];
    TensorSpec { name: "hidden_states".to_owned(), dims, dtype: ElementType::F32 }
}

/// embed, layers.0, layers.1, rope, head, where rope is for every stage.
fn chain() -> ModuleGraph {
    let modules = [
        module("embed", Role::Boundary),
        module("layers.0", Role::Layer),
        module("layers.1", Role::Layer),
        module("rope", Role::EveryStage),
        module("head", Role::Boundary),
    ];
    ModuleGraph::chain(modules, &[hidden()]).unwrap()
}

fn edges(graph: &ModuleGraph) -> Vec<[&str; 2]> {
    graph.edges().map(|(from, to, _)| [from.name.as_str(), to.name.as_str()]).collect()
}

#[test]
fn a_chain_leads_past_what_is_on_every_stage() {
    let graph = chain();
    assert_eq!(
        edges(&graph),
        [["embed", "layers.0"], ["layers.0", "layers.1"], ["layers.1", "head"]]
    );
    assert!(graph.edges().all(|(_, _, tensors)| tensors == [hidden()]));
    let names: Vec<_> = graph.modules().map(|module| module.name.as_str()).collect();
    assert_eq!(names, ["embed", "layers.0", "layers.1", "rope", "head"]);
    assert_eq!((graph.num_layers(), graph.num_parameters()), (2, 24));
    assert_eq!(graph.module("rope").unwrap().role, Role::EveryStage);
    assert!(graph.module("rop").is_none() && graph.unconnected().is_none());
}

#[test]
fn edges_may_skip_modules() {
    let mut graph = chain();
    graph.add_edge("embed", "head", vec![hidden()]).unwrap();
    assert_eq!(edges(&graph)[..2], [["embed", "layers.0"], ["embed", "head"]]);
}

#[test]
fn a_module_that_nothing_leads_to_is_found() {
    let mut graph = chain();
    graph.add_module(module("tower", Role::Boundary)).unwrap();
    assert_eq!(graph.unconnected().unwrap().name, "tower");
    graph.add_edge("layers.1", "tower", Vec::new()).unwrap();
    assert!(graph.unconnected().is_none());
}

#[test]
fn refused_edges() {
    let mut refuse = {
        let mut graph = chain();
        move |from, to| graph.add_edge(from, to, Vec::new()).unwrap_err().to_string()
    };
    assert_eq!(
        refuse("layer.0", "head"),
        "the graph has no module `layer.0`; did you mean `layers.0`?"
    );
    assert_eq!(refuse("embed", "zzz"), "the graph has no module `zzz`");
    assert_eq!(
        refuse("rope", "head"),
        "module `rope` is on every stage, so that no edge can lead to or from it"
    );
    assert_eq!(
        refuse("head", "embed"),
        "no edge can lead from `head` to `embed`: modules are added in data-flow order"
    );
    assert_eq!(
        refuse("head", "head"),
        "no edge can lead from `head` to `head`: modules are added in data-flow order"
    );
    assert_eq!(
        refuse("embed", "layers.0"),
        "`embed` and `layers.0` are connected already; one edge carries all tensors"
    );
}

fn refused(module: Module) -> String {
    let mut graph = chain();
    let error = graph.add_module(module).unwrap_err();
    // Nothing of it has got in.
    assert_eq!((graph.modules().count(), graph.num_parameters()), (5, 24));
    error.to_string()
}

fn with_parameters(parameters: impl Into<Vec<ParameterSpec>>) -> Module {
    Module { parameters: parameters.into(), ..module("more", Role::Boundary) }
}

fn tied(name: &str, shape: [usize; 2], owner: &str) -> ParameterSpec {
    ParameterSpec { shared_with: Some(owner.to_owned()), ..ParameterSpec::new(name, shape) }
}

#[test]
fn refused_modules() {
    assert_eq!(refused(module("head", Role::Layer)), "module `head` is in the graph already");
    let mut copies = with_parameters([ParameterSpec::new("more.weight", [1])]);
    copies.role = Role::EveryStage;
    assert_eq!(
        refused(copies),
        "module `more` is on every stage and has parameter `more.weight`, whose copies would drift \
         apart; only modules without parameters can be on every stage"
    );
}

#[test]
fn refused_parameters() {
    let duplicate =
        "parameter `a` is in the graph already; name a tied one apart and set its `shared_with`";
    let a = ParameterSpec::new("a", [1]);
    assert_eq!(refused(with_parameters([a.clone(), a.clone()])), duplicate);
    assert_eq!(
        refused(with_parameters([a.clone(), ParameterSpec::new("head.weight", [1])])),
        duplicate.replace("`a`", "`head.weight`")
    );
    for shape in [vec![usize::MAX, 2], vec![usize::MAX]] {
        let text = refused(with_parameters([a.clone(), ParameterSpec::new("b", shape.clone())]));
        let start = format!("with parameter `b` of shape {shape:?} the model has more than ");
        assert!(text.starts_with(&start), "{text}");
    }
    assert_eq!(
        refused(with_parameters([tied("a", [2, 3], "head.wait")])),
        "parameter `a` is shared with `head.wait`, which no module has so far"
    );
    assert_eq!(
        refused(with_parameters([tied("a", [3, 2], "head.weight")])),
        "parameter `a` of shape [3, 2] is shared with `head.weight` of shape [2, 3], these have to be equal"
    );
}

#[test]
fn shared_parameters_count_once() {
    let mut graph = chain();
    let parameters = [tied("a", [2, 3], "head.weight"), tied("b", [2, 3], "a")];
    graph.add_module(with_parameters(parameters)).unwrap();
    assert_eq!(graph.num_parameters(), 24);
    let pairs: Vec<_> = graph
        .shared()
        .map(|[(module, copy), (owner_module, owner)]| {
            [&module.name, &copy.name, &owner_module.name, &owner.name].map(String::as_str)
        })
        .collect();
    // The owner of a copy's copy is the first of them all.
    assert_eq!(pairs, [["more", "a", "head", "head.weight"], ["more", "b", "head", "head.weight"]]);
}

#[test]
fn a_scalar_is_one_number() {
    assert_eq!(ParameterSpec::new("scale", []).num_elements(), Some(1));
    assert_eq!(ParameterSpec::new("none", [0, usize::MAX]).num_elements(), Some(0));
    assert_eq!(ParameterSpec::new("many", [usize::MAX, usize::MAX]).num_elements(), None);
}

#[test]
fn costs_grow_with_samples_tokens_and_pairs() {
    let window = std::num::NonZeroUsize::new(3);
    let cost = Cost { per_sample: 1000, per_token: 10, per_pair: 1, window: None };
    let at = |cost: Cost, batch_size, seq_len| cost.at(BatchShape { batch_size, seq_len });
    assert_eq!(at(cost, 2, 5), 2. * (1000. + 50. + 15.));
    // The pairs of five tokens, each with itself and up to two before: 1 + 2 + 3 + 3 + 3.
    assert_eq!(at(Cost { window, ..cost }, 1, 5), 1000. + 50. + 12.);
    assert_eq!(at(Cost { window, ..cost }, 1, 2), 1000. + 20. + 3.);
    assert_eq!(at(cost, 7, 0), 7000.);
    let most = Cost { per_sample: u64::MAX, per_token: u64::MAX, per_pair: u64::MAX, window };
    assert!(at(most, usize::MAX, usize::MAX).is_finite());
}

#[test]
fn a_tensor_has_a_number_of_bytes() {
    let shape = BatchShape { batch_size: 2, seq_len: 16 };
    assert_eq!(hidden().num_bytes(shape), 2. * 16. * 8. * 4.);
    let ids = TensorSpec { dtype: ElementType::I64, dims: vec![Dim::Batch], ..hidden() };
    assert_eq!(ids.num_bytes(shape), 16.);
}
