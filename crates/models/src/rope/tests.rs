//! Scalings in both spellings, and what is refused.

use serde_json::{Value, json};

use crate::{Error, Family};

fn config(changes: Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "vocab_size": 256, "hidden_size": 64, "num_attention_heads": 4,
        "num_hidden_layers": 1, "max_position_embeddings": 64,
    });
    if let (Value::Object(config), Value::Object(changes)) = (&mut config, changes) {
        config.extend(changes);
    }
    config
}

/// Frequencies for a sequence of 128, and the config as it is written.
fn read(changes: Value) -> (Vec<f32>, serde_json::Map<String, Value>) {
    let (shape, config) = Family::Llama.describe(&config(changes)).unwrap();
    (shape.ropes[0].embedding(128).unwrap().inv_freq().to_vec(), config)
}

#[track_caller]
fn refused(changes: Value, expected: &[&str]) {
    let Err(Error::Config { problems }) = Family::Llama.describe(&config(changes)) else {
        panic!("the config is not refused")
    };
    let messages: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(messages, expected);
}

#[test]
fn all_spellings_of_the_base_are_one() {
    let cases = [
        json!({"rope_theta": 500_000.0, "rope_scaling": null}),
        json!({"rope_theta": 500_000, "rope_scaling": {"type": "default"}}),
        json!({"rope_parameters": {"rope_theta": 500_000.0, "rope_type": "default"}}),
        json!({"rope_scaling": {"rope_theta": 500_000.0, "rope_type": "default"}}),
        json!({"rope_theta": 500_000.0, "rope_parameters": {"rope_theta": 500_000, "type": "default"}}),
    ];
    for case in cases {
        let (freqs, config) = read(case.clone());
        assert_eq!(freqs[1], 1.0 / 500_000f32.powf(0.125), "{case}");
        assert_eq!(config["rope_theta"], 500_000.0, "{case}");
        assert_eq!(config["rope_parameters"]["rope_theta"], 500_000.0, "{case}");
        assert_eq!(config["rope_parameters"]["rope_type"], "default", "{case}");
        assert_eq!(config["rope_scaling"], Value::Null, "{case}");
    }
    refused(
        json!({"rope_theta": 10_000.0, "rope_parameters": {"rope_theta": 500_000.0}}),
        &[
            "`rope_theta` is 10000.0, but `rope_parameters.rope_theta` is 500000.0; keep one of them",
        ],
    );
}

#[test]
fn scalings_are_the_same_under_both_names() {
    let cases = [
        json!({"rope_type": "linear", "factor": 2.0}),
        json!({"rope_type": "dynamic", "factor": 2.0}),
        json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
               "original_max_position_embeddings": 32}),
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}),
        json!({"rope_type": "longrope", "short_factor": [1, 1, 1, 1, 1, 1, 1, 1],
               "long_factor": [1, 2, 3, 4, 5, 6, 7, 8], "original_max_position_embeddings": 32}),
    ];
    let (plain, _) = read(json!({}));
    for case in cases {
        let (new, written) = read(json!({"rope_parameters": case.clone()}));
        let (old, _) = read(json!({"rope_scaling": case.clone(), "rope_theta": 10_000.0}));
        assert_eq!(new, old, "{case}");
        assert_ne!(new, plain, "{case}");
        let (again, _) = read(Value::Object(written));
        assert_eq!(again, new, "{case}");
    }
}

#[test]
fn a_scaling_needs_its_own_numbers_and_no_others() {
    refused(
        json!({"rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0}}),
        &["`rope_scaling.high_freq_factor` is missing"],
    );
    refused(
        json!({"rope_scaling": {"type": "linear", "factor": 2.0, "beta_fast": 3}}),
        &[
            "`rope_scaling.beta_fast` is 3, which is not implemented; supported is what belongs to its `rope_type`",
        ],
    );
    refused(
        json!({"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": "x"}}),
        &[
            "`rope_parameters.short_factor` has 1 entries, expected 8",
            "`rope_parameters.long_factor` is \"x\", expected a list of numbers above 0",
        ],
    );
    refused(json!({"rope_scaling": 2}), &["`rope_scaling` is 2, expected an object or null"]);
    refused(json!({"rope_theta": "10000"}), &["`rope_theta` is \"10000\", expected a number"]);
    refused(
        json!({"partial_rotary_factor": 1.5}),
        &[
            "`partial_rotary_factor` is 1.5, which is not implemented; supported is 1.0",
            "`partial_rotary_factor` is 1.5, expected above 0 and at most 1",
        ],
    );
    // transformers' Llama turns all of a head, whatever that says.
    refused(
        json!({"rope_parameters": {"partial_rotary_factor": 0.5}}),
        &["`partial_rotary_factor` is 0.5, which is not implemented; supported is 1.0"],
    );
}

#[test]
fn gemma_3_has_two_embeddings_in_both_spellings() {
    let gemma = |changes: Value| {
        let mut config = config(changes);
        config["model_type"] = json!("gemma3_text");
        Family::Gemma3Text.describe(&config).unwrap()
    };
    let (old, _) = gemma(json!({
        "rope_theta": 5e5, "rope_local_base_freq": 2e4, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    }));
    let (new, written) = gemma(json!({"rope_parameters": {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 5e5},
        "sliding_attention": {"rope_type": "default", "rope_theta": 2e4},
    }}));
    assert_eq!(old.ropes, new.ropes);
    assert_eq!(old.ropes[1].theta, 2e4);
    let (again, _) = gemma(Value::Object(written.clone()));
    assert_eq!(again.ropes, new.ropes);
    let mut other = written;
    other["rope_scaling"]["factor"] = json!(4.0);
    let error = Family::Gemma3Text.describe(&Value::Object(other)).unwrap_err().to_string();
    let expected =
        "`rope_parameters.full_attention.factor` is 8.0, but `rope_scaling.factor` is 4.0";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn phi_3_is_written_as_transformers_4_wants_it() {
    let factors = json!([1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]);
    let mut config = config(json!({
        "rope_scaling": {"type": "longrope", "short_factor": factors.clone(), "long_factor": factors},
        "original_max_position_embeddings": 32,
    }));
    config["model_type"] = json!("phi3");
    let (shape, written) = Family::Phi3.describe(&config).unwrap();
    assert_eq!(written["rope_scaling"], config["rope_scaling"]);
    assert_eq!(written["rope_parameters"]["rope_type"], "longrope");
    let (again, _) = Family::Phi3.describe(&Value::Object(written)).unwrap();
    assert_eq!(again.ropes, shape.ropes);
}
