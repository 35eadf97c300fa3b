//! Every case that was recorded from NeMo AutoModel gives the same result, or is refused as there.

use std::path::Path;

use autopipe_splitter::{
    HfNames, PlacementStyle, RoundTo, ScheduleStyle, calculate_virtual_stages,
    generate_hf_model_fqn_per_model_part, stage_ids_this_rank,
};
use serde_json::{Value, json};

/// The recorded calls of one function, with a `result` or an `error` each.
fn cases(function: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let text = std::fs::read_to_string(folder.join(format!("{function}.json"))).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    serde_json::from_value(json["cases"].take()).unwrap()
}

/// What a call gave: nothing stands for any refusal, also of a number that our types cannot hold.
fn check(case: &Value, ours: Option<Value>) {
    assert_eq!(ours.as_ref(), case.get("result"), "{case}");
    assert_eq!(ours.is_none(), case.get("error").is_some(), "{case}");
}

fn number(value: &Value) -> Option<usize> {
    usize::try_from(value.as_i64().unwrap()).ok()
}

#[test]
fn virtual_stages() {
    let cases = cases("calculate_virtual_stages");
    assert_eq!(cases.len(), 1801);
    for case in &cases {
        check(case, ours(case));
    }

    fn ours(case: &Value) -> Option<Value> {
        let layers_per_stage = match &case["layers_per_stage"] {
            Value::Null => None,
            layers => Some(number(layers)?),
        };
        let single = case["is_single_stage_schedule"].as_bool().unwrap();
        let style = if single { ScheduleStyle::Single } else { ScheduleStyle::Multi };
        let round_to = match case["round_to_pp_multiple"].as_str() {
            Some("up") => Some(RoundTo::Up),
            Some("down") => Some(RoundTo::Down),
            // A wrong word is found there only where it is needed, as a missing one.
            other => {
                assert!(matches!(other, Some("invalid") | None), "{case}");
                None
            }
        };
        let (num_layers, pp_size) = (number(&case["num_layers"])?, number(&case["pp_size"])?);
        let (stages, per_rank) =
            calculate_virtual_stages(num_layers, layers_per_stage, pp_size, style, round_to)
                .ok()?;
        Some(json!([stages, per_rank]))
    }
}

#[test]
fn module_names() {
    let cases = cases("generate_hf_model_fqn_per_model_part");
    assert_eq!(cases.len(), 48);
    for case in &cases {
        check(case, ours(&case["args"]));
    }

    fn ours(args: &Value) -> Option<Value> {
        let flag = |name: &str| args.get(name).is_none_or(|value| value.as_bool().unwrap());
        let text = |name: &str, default: &str| {
            args.get(name).map_or(default, |value| value.as_str().unwrap()).to_owned()
        };
        let names = HfNames {
            prefix: text("fqn_prefix", "model."),
            embeddings: flag("include_embeddings"),
            multimodal_encoders: flag("include_multimodal_encoders"),
            extra: args
                .get("extra_module_fqns")
                .map_or_else(Vec::new, |list| serde_json::from_value(list.clone()).unwrap()),
            lm_head: flag("include_lm_head").then(|| text("lm_head_fqn", "lm_head")),
            rotary_emb: flag("include_rotary_emb"),
        };
        let (num_stages, num_layers) = (number(&args["num_stages"])?, number(&args["num_layers"])?);
        let lists = generate_hf_model_fqn_per_model_part(num_stages, num_layers, &names).ok()?;
        Some(json!(lists))
    }
}

#[test]
fn placements() {
    let mut num_checked = 0;
    for case in &cases("stage_ids_this_rank") {
        let style = match case["style"].as_str().unwrap() {
            "loop" => PlacementStyle::Loop,
            "v" => PlacementStyle::V,
            // An unknown style gives nothing there; here it has no type.
            other => {
                assert_eq!(other, "other");
                continue;
            }
        };
        let [pp_rank, pp_size, num_stages] =
            ["pp_rank", "pp_size", "num_stages"].map(|name| number(&case[name]).unwrap());
        let ours = stage_ids_this_rank(pp_rank, pp_size, num_stages, style).ok();
        check(case, ours.map(|stages| json!(stages)));
        num_checked += 1;
    }
    assert_eq!(num_checked, 274);
}
