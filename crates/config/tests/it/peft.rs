//! Adapters, what is frozen, and which layers are computed again.

use autopipe_config::{ActivationCheckpointing, Adapters, Peft, Problem, Recipe};

use crate::{SMALL, short};

/// The recipe with values from outside, or what is wrong with them, without the lines.
fn with(overrides: &[&str]) -> Result<Recipe, Vec<String>> {
    let errors = |problems: &[Problem]| short(problems);
    Recipe::parse_with(SMALL, "recipe.yaml", overrides).map_err(|found| errors(found.problems()))
}

fn peft(text: &str) -> Result<Peft, Vec<String>> {
    with(&[&format!("peft={text}")]).map(|recipe| recipe.peft.unwrap())
}

fn new(target_modules: &[&str]) -> Peft {
    let target_modules = target_modules.iter().map(|&name| name.to_owned()).collect();
    let (dim, alpha, use_rslora, modules_to_save) = (8, 32.0, false, Vec::new());
    let adapters = Adapters::New { target_modules, dim, alpha, use_rslora, modules_to_save };
    Peft { adapters, dropout: None, merge: false }
}

#[test]
fn a_section_makes_adapters() {
    assert_eq!(peft("{ target_modules: q_proj }"), Ok(new(&["q_proj"])));
    assert_eq!(peft("{ target_modules: ['*.q_proj', k_proj] }"), Ok(new(&["*.q_proj", "k_proj"])));
    let all = new(&["all-linear"]);
    assert_eq!(peft("{ match_all_linear: true }"), Ok(all.clone()));
    assert_eq!(peft("{ target_modules: all-linear, match_all_linear: true }"), Ok(all));
    let folder = "old".to_owned();
    let pretrained =
        Peft { adapters: Adapters::Pretrained { folder }, dropout: Some(0.5), merge: true };
    assert_eq!(peft("{ pretrained: old, dropout: 0.5, merge: true }"), Ok(pretrained));
    assert_eq!(with(&["peft=none"]).unwrap().peft, None);
}

#[test]
fn nothing_is_merged_where_nothing_is_saved() {
    let merged = ["peft={target_modules: q_proj, merge: true}", "checkpoint.enabled=false"];
    let warning = "peft.merge: nothing is saved, so that there is nothing to merge adapters into";
    assert_eq!(short(&with(&merged).unwrap().warnings), [warning]);
    assert_eq!(with(&merged[..1]).unwrap().warnings, []);
}

#[test]
fn nemos_section_is_read() {
    let text = "{ _target_: nemo_automodel.components._peft.lora.PeftConfig, \
                match_all_linear: true, dim: 4, alpha: 8, use_triton: true, use_dora: false, \
                dropout_position: pre, exclude_modules: [], lora_dtype: null }";
    let Peft { adapters: Adapters::New { dim, alpha, .. }, .. } = peft(text).unwrap() else {
        panic!("they are new")
    };
    assert_eq!((dim, alpha), (4, 8.0));
}

#[test]
fn adapters_that_contradict_themselves_are_refused() {
    for (text, problems) in [
        ("{ dim: 4 }", &["peft: nothing says which matrices get an adapter"][..]),
        ("{}", &["peft: nothing says which matrices get an adapter"]),
        ("{ target_modules: [] }", &["peft.target_modules: the list is empty"]),
        (
            "{ target_modules: [q_proj], match_all_linear: true }",
            &["peft.target_modules: all matrices get an adapter already, by `match_all_linear`"],
        ),
        (
            "{ pretrained: old, dim: 8, alpha: 1 }",
            &[
                "peft.dim: the adapters of `pretrained` bring it along",
                "peft.alpha: the adapters of `pretrained` bring it along",
            ],
        ),
        (
            "{ target_modules: q_proj, dim: 0, dropout: 1.0 }",
            &[
                "peft.dim: 0 is too small, the smallest is 1",
                "peft.dropout: 1 is out of range, the number must be at least 0 and less than 1",
            ],
        ),
    ] {
        assert_eq!(peft(text).unwrap_err(), problems, "{text}");
    }
}

#[test]
fn layers_are_computed_again_as_told() {
    let read = |value: &str| {
        let key = format!("distributed.activation_checkpointing={value}");
        with(&[&key]).map(|recipe| recipe.distributed.activation_checkpointing)
    };
    for (value, expected) in [
        ("false", ActivationCheckpointing::None),
        ("none", ActivationCheckpointing::None),
        ("true", ActivationCheckpointing::Full),
        ("full", ActivationCheckpointing::Full),
        ("3", ActivationCheckpointing::Every(3)),
    ] {
        assert_eq!(read(value), Ok(expected), "{value}");
    }
    let key = "distributed.activation_checkpointing";
    assert_eq!(read("0").unwrap_err(), [format!("{key}: 0 is too small, the smallest is 1")]);
    assert_eq!(
        read("some").unwrap_err(),
        [format!("{key}: expected `true`, `false`, `full` or a number, found text")]
    );
}

#[test]
fn one_pattern_is_a_list_of_one() {
    let freeze = |value: &str| with(&[&format!("model.freeze={value}")]).map(|r| r.model.freeze);
    assert_eq!(freeze("'*norm*'"), Ok(vec!["*norm*".to_owned()]));
    assert_eq!(freeze("[a, b]"), Ok(vec!["a".to_owned(), "b".to_owned()]));
    assert_eq!(freeze("1").unwrap_err(), ["model.freeze: expected text, found a number"]);
}
