//! `autopipe export`, and adapters from a run to a text.

use std::fs;

use crate::command::{Desk, Output, examples};

const RECIPE: &str = "\
step_scheduler: {global_batch_size: 8, local_batch_size: 8, max_steps: 3}
distributed: {pp_size: 2, activation_checkpointing: full, pipeline: {pp_microbatch_size: 2}}
model: {pretrained_model_name_or_path: models/llama}
peft: {target_modules: all-linear, dim: 4}
dataset: {paths: ['*.txt'], seq_len: 16}
optimizer: {lr: 0.03}
checkpoint: {checkpoint_dir: tuned}
";

/// A desk with a model in `models/llama` and adapters to it in `adapters`.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("text.txt", &"the quick brown fox. ".repeat(100));
    let config = "{model_type: llama, vocab_size: 256, hidden_size: 16, intermediate_size: 32, \
                  num_hidden_layers: 2, num_attention_heads: 2, max_position_embeddings: 32}";
    let whole = RECIPE
        .replace("{pretrained_model_name_or_path: models/llama}", &format!("{{config: {config}}}"))
        .replace("peft: {target_modules: all-linear, dim: 4}\n", "")
        .replace("tuned", "whole");
    desk.folder("models");
    for (recipe, from, to) in [
        (whole.as_str(), "whole/checkpoints/step-000003", "models/llama"),
        (RECIPE, "tuned/checkpoints/step-000003", "adapters"),
    ] {
        desk.write("recipe.yaml", recipe);
        let Output { code, err, .. } = desk.run("train recipe.yaml --threads-per-rank 1");
        assert_eq!(code, 0, "{err}");
        fs::rename(desk.path(from), desk.path(to)).unwrap();
    }
    desk
}

fn run(desk: &Desk, args: &str) -> String {
    let Output { code, out, err } = desk.run(args);
    assert_eq!(code, 0, "{args}: {err}");
    out
}

#[test]
fn merged_adapters_go_on_alike() {
    let desk = desk();
    let help = run(&desk, "export --help");
    insta::assert_snapshot!(help);
    for example in examples(&help, "export") {
        run(&desk, &format!("export {example}"));
    }
    let text = |model: &str| {
        run(
            &desk,
            &format!("generate --model {model} --prompt the --max-new-tokens 12 --threads 1"),
        )
    };
    let adapted = text("models/llama --adapter adapters");
    assert_eq!(text("merged"), adapted);
    assert!(desk.path("half/config.json").is_file());

    let base = "verify --model models/llama --pp 2 --microbatches 2 --threads 1";
    let out = run(&desk, &format!("{base} --adapter adapters --recompute full"));
    assert!(out.contains("training  ") && out.contains("adapters `adapters`"), "{out}");
    assert!(out.contains("all layers computed again"), "{out}");
    let out = run(&desk, &format!("{base} --freeze model.embed_tokens --dtype bf16 --recompute 2"));
    assert!(out.contains("layer in 2 computed again"), "{out}");

    for (args, expected) in [
        ("export --model models/llama --output merged", "choose another folder"),
        ("export --model models/llama --output new --dtype fp64", "nothing is trained in float64"),
        ("export --model models/llama --adapter half --output new", "adapter_config.json"),
        ("generate --model models/llama --adapter half --prompt a", "adapter_config.json"),
    ] {
        let Output { code, err, .. } = desk.run(args);
        assert!(code == 1 && err.contains(expected), "{args}: {err}");
    }
    let usage = desk.run(&format!("{base} --recompute 0"));
    assert!(usage.code == 2 && usage.err.contains("`full` or a number from 1"), "{}", usage.err);
}
