//! `autopipe bench`: figures for people and for programs, and what is refused.

use serde_json::{Value, json};

use crate::command::{Desk, Output, examples};

/// A folder with a tiny model's config.
fn desk() -> Desk {
    let config = json!({
        "model_type": "llama", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 4, "num_attention_heads": 2, "max_position_embeddings": 16
    });
    let desk = Desk::new();
    desk.folder("models/llama");
    desk.write("models/llama/config.json", &config.to_string());
    desk
}

const BASE: &str = "bench --model models/llama --batch 4 --seq 8 --steps 2 --warmup 1 --threads 1";

fn measured(desk: &Desk, args: &str) -> String {
    let Output { code, out, err } = desk.run(&format!("{BASE} {args}"));
    assert_eq!(code, 0, "{args}: {err}");
    // Tests are built without optimisation, and that is told.
    assert!(err.is_empty() || err.contains("debug build"), "{args}: {err}");
    out
}

fn json_of(desk: &Desk, args: &str) -> Value {
    serde_json::from_str(&measured(desk, &format!("{args} --json"))).unwrap()
}

#[test]
fn what_programs_read() {
    let desk = desk();
    let figures = json_of(&desk, "--pp 2 --schedule zbv");
    let mut keys: Vec<&str> = figures.as_object().unwrap().keys().map(String::as_str).collect();
    keys.retain(|key| !["cpu_seconds_per_step", "peak_rss_bytes"].contains(key));
    insta::assert_snapshot!(keys.join("\n"));
    let number = |key: &str| figures[key].as_f64().unwrap();
    assert!(number("tokens_per_second") > 0.0 && number("step_seconds") > 0.0);
    for rank in 0..2 {
        let peak = |key: &str| figures[key][rank].as_f64().unwrap();
        let (measured, simulated) = (peak("measured_peak_bytes"), peak("simulated_peak_bytes"));
        assert!((measured - simulated).abs() < 0.2 * measured, "{measured} for {simulated}");
    }
    assert_eq!(figures["step_seconds_all"].as_array().unwrap().len(), 2);
    assert_eq!((&figures["num_stages"], &figures["split"]), (&json!(4), &json!("even")));
    assert_eq!(figures["model"]["weights"], "random");
    if cfg!(target_os = "linux") {
        assert!(number("peak_rss_bytes") > 1e5 && number("cpu_seconds_per_step") > 0.0);
    }
    // The same model by its file, unsplit.
    let file = json_of(&desk, "--pp 1").to_string();
    assert!(file.contains(r#""num_stages":1"#), "{file}");
    let args = BASE.replace("models/llama", "models/llama/config.json");
    let Output { code, out, err } = desk.run(&format!("{args} --pp 1 --json"));
    assert_eq!(code, 0, "{err}");
    let by_file: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(by_file["loss"], json_of(&desk, "--pp 1")["loss"]);
}

#[test]
fn what_people_read() {
    let text = measured(&desk(), "--pp 2 --split even:0,1");
    // Digits of what is measured differ, and so do units.
    let (setting, figures) = text.split_once("\n\n").unwrap();
    insta::assert_snapshot!(setting);
    let names: Vec<&str> =
        figures.lines().map(|line| line.split("  ").next().unwrap_or_default()).collect();
    if cfg!(target_os = "linux") {
        assert_eq!(
            names,
            ["tokens/s", "step", "cpu time", "peak memory", "peak of ranks", "", "bubble"]
        );
    }
    assert!(figures.contains("of the ranks' time measured, "), "{figures}");
}

#[test]
fn what_is_wrong_is_said_with_a_way_out() {
    let desk = desk();
    desk.write("models/wrong.json", r#"{"model_type": "lama"}"#);
    let sizes = "--batch 4 --seq 8 --threads 1";
    for (args, expected) in [
        ("--model nowhere --pp 1 --batch 4 --seq 8", "cannot read `nowhere`"),
        (&format!("--model models/wrong.json --pp 1 {sizes}"), "did you mean `llama`"),
        ("--model models/llama --pp 8 --batch 8 --seq 8", "8 stages need at least 8 layers"),
        (&format!("--model models/llama --pp 2 {sizes} --schedule 1f2b"), "1F1B"),
        (&format!("--model models/llama --pp 2 {sizes} --microbatch 3 --steps 0"), "`steps` is 0"),
        (&format!("--model models/llama --pp 2 {sizes} --microbatch 3"), "microbatches of 3"),
        (&format!("--model models/llama --pp 1 {sizes} --split balanced"), "has no effect"),
        (&format!("--model models/llama --pp 2 {sizes} --split eveh"), "even:FIRST,LAST"),
        (&format!("--model models/llama {sizes}"), "--pp"),
    ] {
        let Output { code, out, err } = desk.run(&format!("bench {args}"));
        assert!(code != 0 && out.is_empty(), "{args}");
        assert!(err.contains(expected), "{args}: {err}");
    }
}

#[test]
fn help_and_its_examples() {
    let desk = desk();
    let help = desk.run("bench --help").out;
    insta::assert_snapshot!(help);
    let examples = examples(&help, "bench");
    assert_eq!(examples.len(), 4, "{help}");
    for example in examples {
        let Output { code, err, .. } = desk.run(&format!("bench {example}"));
        assert_eq!(code, 0, "{example}: {err}");
    }
}
