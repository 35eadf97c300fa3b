//! Layouts read, refused, printed and made into stages.

use proptest::prelude::*;

use super::*;
use crate::{Cost, Module, ModuleGraph, Partition, Role, split_even, split_explicit};

fn graph(num_layers: usize, predictions: &[&str]) -> ModuleGraph {
    let module = |name: &str, role| Module {
        name: name.to_owned(),
        parameters: Vec::new(),
        submodules: Vec::new(),
        role,
        flops: Cost::default(),
        activation_bytes: Cost::default().into(),
    };
    let mut modules = vec![module("embed", Role::Boundary), module("scale", Role::Boundary)];
    modules.extend((0..num_layers).map(|i| module(&format!("layers.{i}"), Role::Layer)));
    modules.insert(3, module("middle", Role::Boundary));
    modules.push(module("rope", Role::EveryStage));
    modules.extend(predictions.iter().map(|name| module(name, Role::Layer)));
    modules.push(module("norm", Role::Boundary));
    modules.push(module("head", Role::Boundary));
    ModuleGraph::chain(modules, &[]).unwrap()
}

fn split(graph: &ModuleGraph, text: &str) -> Vec<String> {
    let partition = split_layout(graph, &text.parse().unwrap()).unwrap();
    partition.stages().iter().map(|stage| stage.modules().join(" ")).collect()
}

#[test]
fn stages_have_what_their_letters_stand_for() {
    assert_eq!(
        split(&graph(3, &[]), "Et|tt|L"),
        ["embed scale layers.0 middle rope", "layers.1 layers.2 rope", "rope norm head",]
    );
    assert_eq!(
        split(&graph(2, &["model.mtp.0", "mtp_block"]), "E|tt,m|mL"),
        [
            "embed scale rope",
            "layers.0 middle layers.1 rope model.mtp.0",
            "rope mtp_block norm head",
        ]
    );
}

#[test]
fn megatrons_example_is_a_model_of_61_layers() {
    let graph = graph(61, &["mtp"]);
    let layout: Layout = "Et*3|(tt|)*29,m|L".parse().unwrap();
    let partition = split_layout(&graph, &layout).unwrap();
    assert_eq!(partition.num_stages(), 32);
    assert_eq!(partition.stage_of("layers.60"), Some(29));
    assert_eq!(partition.stage_of("mtp"), Some(30));
    assert_eq!(Layout::of(&graph, &partition), Some(layout));
}

#[test]
fn a_partition_is_a_layout_where_it_can_be() {
    let graph = graph(7, &[]);
    let layout = |partition: &Partition| Layout::of(&graph, partition).map(|it| it.to_string());
    assert_eq!(layout(&split_even(&graph, 1).unwrap()).as_deref(), Some("Et*7L"));
    assert_eq!(layout(&split_even(&graph, 7).unwrap()).as_deref(), Some("Et|(t|)*5,tL"));
    let lists = [
        "embed",
        "scale layers.0 middle layers.1 layers.2 layers.3 layers.4",
        "layers.5 layers.6 norm head",
    ];
    let lists = lists.map(|list| list.split(' ').map(ToOwned::to_owned).collect::<Vec<_>>());
    assert_eq!(layout(&split_explicit(&graph, &lists).unwrap()), None);
}

fn unread(text: &str) -> String {
    text.parse::<Layout>().unwrap_err().to_string()
}

#[test]
fn what_is_no_layout() {
    let texts = [
        " ,", "Et*x|L", "Et*0|L", "*3", "E|*3", "(tt|", "tt)", "()*3", "Et*2*3|L", "E€t", "tE|L",
        "L(tm|)*3", "t*-1", "t*", "E\nx",
    ];
    let all: Vec<_> = texts.iter().map(|text| unread(text)).collect();
    insta::assert_snapshot!(all.join("\n"), @r#"
    character 3 of the layout: expected `E`, `t`, `m`, `L`, `|` or `(`
       ,
        ^
    character 4 of the layout: expected a number of at least 1 after `*`
      Et*x|L
         ^
    character 4 of the layout: `*0` repeats nothing, expected a number of at least 1
      Et*0|L
         ^
    character 1 of the layout: `*` repeats a letter or a group, expected `E`, `t`, `m`, `L`, `|` or `(`
      *3
      ^
    character 3 of the layout: `*` repeats a letter or a group, expected `E`, `t`, `m`, `L`, `|` or `(`
      E|*3
        ^
    character 1 of the layout: `(` without `)`
      (tt|
      ^
    character 3 of the layout: `)` without `(`, expected `E`, `t`, `m`, `L`, `|` or `(`
      tt)
        ^
    character 2 of the layout: a group of nothing, expected `E`, `t`, `m`, `L`, `|` or `(`
      ()*3
       ^
    character 5 of the layout: `*` repeats a letter or a group, expected `E`, `t`, `m`, `L`, `|` or `(`
      Et*2*3|L
          ^
    character 2 of the layout: `€` means nothing, expected `E`, `t`, `m`, `L`, `|` or `(`
      E€t
       ^
    character 2 of the layout: stage 0 has `E` after `t`, the order in a stage is E, t, m, L
      tE|L
       ^
    character 3 of the layout: stage 0 has `t` after `L`, the order in a stage is E, t, m, L
      L(tm|)*3
        ^
    character 3 of the layout: expected a number of at least 1 after `*`
      t*-1
        ^
    character 3 of the layout: expected a number of at least 1 after `*`
      t*
        ^
    character 3 of the layout: `x` means nothing, expected `E`, `t`, `m`, `L`, `|` or `(`
      E x
        ^
    "#);
}

#[test]
fn nothing_is_no_layout() {
    assert_eq!(
        "".parse::<Layout>().unwrap_err(),
        LayoutError::new("", 0, "expected `E`, `t`, `m`, `L`, `|` or `(`")
    );
}

#[test]
fn short_texts_of_much_are_refused() {
    let texts =
        ["(t*1000000)*1000000", "t*99999999999999999999999999", "((((((t|)*99)*99)*99)*99)*99)*99"];
    for text in texts {
        assert!(unread(text).contains("more than 100000 letters"), "{}", unread(text));
    }
    assert!(unread(&"(".repeat(1_000_000)).contains("groups are at most 16 deep"));
    assert!(unread(&"|".repeat(1_000_000)).contains("more than 100000 letters"));
    assert!(unread(&format!("{}x", "t".repeat(90_000))).len() < 300);
    assert_eq!("t*50000|t*49999".parse::<Layout>().unwrap().stages().len(), 2);
}

#[test]
fn layouts_that_do_not_fit() {
    let refused =
        |text: &str| split_layout(&graph(3, &[]), &text.parse().unwrap()).unwrap_err().to_string();
    insta::assert_snapshot!(refused("tt|EE|L|m|"), @"
    the layout does not fit the model:
      - `E` is in stage 1, it has to be in the first
      - `L` is in stage 2, it has to be in the last, which is 4
      - stage 4 is empty, and here each stage computes something; leave one `|` out
      - it has 2 `E`, it needs exactly 1, in the first stage
      - it has 2 `t`, the model has 3 layers
      - it has 1 `m`, the model has 0 modules for multi-token prediction (with `mtp` in their names)
    ");
    insta::assert_snapshot!(refused("Ett|L"), @"the layout does not fit the model: it has 2 `t`, the model has 3 layers");
    insta::assert_snapshot!(split_layout(&graph(3, &[]), &Layout::new([])).unwrap_err(), @"
    the layout does not fit the model:
      - it has 0 `E`, it needs exactly 1, in the first stage
      - it has 0 `L`, it needs exactly 1, in the last stage
      - it has 0 `t`, the model has 3 layers
    ");
    // The norm is behind the head of the layers, and the prediction behind that.
    let mtp = graph(1, &["mtp"]);
    insta::assert_snapshot!(split_layout(&mtp, &"Em|tL".parse().unwrap()).unwrap_err(), @"the stages do not make up the model: module `mtp` takes the output of `middle`, and is on stage 0 before it on stage 1");
}

#[test]
fn an_end_without_modules_needs_company() {
    let module = |i| Module {
        name: format!("m.{i}"),
        parameters: Vec::new(),
        submodules: Vec::new(),
        role: Role::Layer,
        flops: Cost::default(),
        activation_bytes: Cost::default().into(),
    };
    let graph = ModuleGraph::chain((0..2).map(module), &[]).unwrap();
    assert_eq!(split(&graph, "Et|tL"), ["m.0", "m.1"]);
    let error = split_layout(&graph, &"E|tt|L".parse().unwrap()).unwrap_err();
    insta::assert_snapshot!(error, @"
    the stages do not make up the model:
      - stage 0 has no module of its own
      - stage 2 has no module of its own
    ");
}

proptest! {
    #[test]
    fn printing_and_reading_are_inverses(
        stages in prop::collection::vec((0..2_usize, 0..5_usize, 0..2_usize, 0..2_usize), 1..12),
        times in 1..5_usize,
    ) {
        let stages: Vec<LayoutStage> = stages
            .into_iter()
            .flat_map(|(embeddings, layers, predictions, losses)| {
                let stage = LayoutStage { embeddings, layers, predictions, losses };
                std::iter::repeat_n(stage, if layers == 2 { times } else { 1 })
            })
            .collect();
        let layout = Layout::new(stages);
        // A text of nothing is no layout.
        prop_assume!(!layout.to_string().is_empty());
        prop_assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout);
    }

    #[test]
    fn any_text_gives_an_answer(text in "[EtmL|(),*0-9 x€]{0,40}") {
        match text.parse::<Layout>() {
            Ok(layout) => prop_assert_eq!(layout.to_string().parse::<Layout>().unwrap(), layout),
            Err(error) => prop_assert!(error.position <= text.chars().count()),
        }
    }
}
