//! Tests of whole recipes: what they read as, and what is said about the mistakes in them.

use crate::{
    ActivationCheckpointing, Adapters, Arrange, Checkpoint, DType, DataFormat, Learn, LossName,
    LrDecayStyle, Metrics, ModelSource, NormType, OnError, OnNonFinite, OptimizerName, Peft,
    PipelineConfig, Problem, Recipe, RecipeErrors, Rounding, TokenDtype, Tokenizer, TooLong,
};

const SMALL: &str = include_str!("testdata/small.yaml");
const FULL: &str = include_str!("testdata/full.yaml");

fn parse(text: &str) -> Result<Recipe, RecipeErrors> {
    Recipe::parse(text, "recipe.yaml")
}

/// The small recipe with one thing changed.
fn small_with(from: &str, to: &str) -> Result<Recipe, RecipeErrors> {
    assert!(SMALL.contains(from), "{from}");
    parse(&SMALL.replace(from, to))
}

/// The messages without the lines they are about.
fn messages(result: Result<Recipe, RecipeErrors>) -> Vec<String> {
    let errors = result.expect_err("the recipe is wrong");
    errors
        .problems()
        .iter()
        .map(|Problem { key, message, .. }| format!("{key}: {message}"))
        .collect()
}

#[test]
fn every_key_is_read() {
    let recipe = parse(FULL).unwrap();
    assert_eq!(recipe.step_scheduler.num_accumulation_steps(4), Ok(1));
    assert_eq!(recipe.step_scheduler.max_steps, 300);
    assert_eq!(recipe.step_scheduler.ckpt_every_steps, Some(100));
    assert_eq!(recipe.rng.seed, 42);
    assert_eq!((recipe.distributed.pp_size, recipe.distributed.dp_size), (2, Some(4)));
    let pipeline = PipelineConfig {
        pp_schedule: Some("interleaved1f1b".into()),
        pp_microbatch_size: 2,
        pp_batch_size: 8,
        layers_per_stage: Some(2),
        round_virtual_stages_to_pp_multiple: Some(Rounding::Up),
        dtype: Some(DType::Float32),
        loss_fn: Some(LossName::MaskedCrossEntropy),
        pp_seq_len: Some(256),
        ..PipelineConfig::default()
    };
    assert_eq!(recipe.distributed.pipeline, Some(pipeline));
    let ModelSource::Scratch { config } = recipe.model.source else { panic!("{:?}", recipe.model) };
    let json = r#"{"architectures":["LlamaForCausalLM"],"hidden_size":64,"rms_norm_eps":0.00001,"tie_word_embeddings":false,"rope_scaling":null}"#;
    assert_eq!(config.to_string(), json);
    assert_eq!(recipe.model.freeze, ["model.embed_tokens", "*.input_layernorm"]);
    assert!(recipe.model.check_weights);
    let every_other = ActivationCheckpointing::Every(2);
    assert_eq!(recipe.distributed.activation_checkpointing, every_other);
    let adapters = Adapters::New {
        target_modules: vec!["q_proj".into(), "layers.1.*".into()],
        dim: 16,
        alpha: 16.0,
        use_rslora: true,
        modules_to_save: vec!["lm_head".into()],
    };
    assert_eq!(recipe.peft, Some(Peft { adapters, dropout: Some(0.1), merge: true }));
    assert_eq!(recipe.dataset.sources[0].paths, ["books/*.txt", "more/**/*.txt"]);
    assert_eq!((recipe.dataset.seq_len, recipe.dataset.tokenizer), (256, Tokenizer::Bytes));
    assert_eq!(recipe.optimizer.name, OptimizerName::AdamW);
    assert_eq!((recipe.optimizer.lr, recipe.optimizer.eps), (3e-4, 1e-9));
    assert_eq!((recipe.optimizer.betas, recipe.optimizer.weight_decay), ([0.9, 0.999], 0.0));
    assert_eq!(recipe.lr_scheduler.lr_decay_style, LrDecayStyle::Cosine);
    assert_eq!((recipe.lr_scheduler.lr_warmup_steps, recipe.lr_scheduler.min_lr), (10, 3e-5));
    assert_eq!(recipe.clip_grad_norm.max_norm, Some(1.0));
    let source = &recipe.dataset.sources[0];
    assert_eq!((source.format, source.weight), (Some(DataFormat::Jsonl), 1.0));
    let columns = [
        &source.text_column,
        &source.prompt_column,
        &source.completion_column,
        &source.messages_column,
    ];
    assert_eq!(columns, ["body", "question", "answer", "talk"]);
    assert_eq!(recipe.dataset.chat_template.as_deref(), Some("chat.jinja"));
    assert_eq!((recipe.dataset.arrange, recipe.dataset.shuffle), (Some(Arrange::Pack), false));
    assert_eq!((recipe.dataset.learn, recipe.dataset.too_long), (Learn::All, TooLong::Skip));
    assert_eq!((recipe.dataset.on_error, recipe.dataset.prefetch), (OnError::Skip, 4));
    let held_out = recipe.validation_dataset.as_ref().unwrap();
    let weights: Vec<f64> = held_out.sources.iter().map(|source| source.weight).collect();
    assert_eq!(weights, [3.0, 1.0]);
    assert_eq!(held_out.sources[0].token_dtype, Some(TokenDtype::Uint32));
    assert_eq!((held_out.seq_len, held_out.max_batches), (128, Some(5)));
    assert_eq!((held_out.learn, held_out.arrange), (Learn::All, Some(Arrange::Pack)));
    assert!(!recipe.optimizer.master_weights);
    let optimizer = &recipe.optimizer;
    let reaction = (optimizer.on_non_finite, optimizer.max_skipped_steps);
    assert_eq!(reaction, (OnNonFinite::LowerLr, 4));
    let groups: Vec<_> =
        optimizer.param_groups.iter().map(|g| (g.weight_decay, g.lr_factor)).collect();
    assert_eq!(groups, [(Some(0.5), 1.0), (None, 0.1)]);
    assert_eq!((recipe.lr_scheduler.init_lr, recipe.lr_scheduler.lr_decay_steps), (1e-6, Some(90)));
    assert_eq!(recipe.clip_grad_norm.norm_type, NormType::Infinity);
    let Checkpoint { keep, save_best, is_async, restore_from, .. } = &recipe.checkpoint;
    assert_eq!((keep, save_best, is_async), (&Some(3), &false, &false));
    assert_eq!(restore_from.as_deref(), Some("LATEST"));
    let metrics = Metrics { tensorboard: false, measure_every_steps: 7, peak_tflops: Some(0.5) };
    assert_eq!(recipe.metrics, metrics);
    assert!(recipe.checkpoint.enabled);
    assert_eq!(recipe.checkpoint.checkpoint_dir, "runs/one/checkpoints");
    assert_eq!(recipe.warnings, []);
}

#[test]
fn everything_but_the_essential_has_a_default() {
    let recipe = parse(SMALL).unwrap();
    assert_eq!(recipe.rng.seed, 1111);
    let pipeline = PipelineConfig {
        pp_batch_size: 4,
        loss_fn: Some(LossName::MaskedCrossEntropy),
        pp_seq_len: Some(32),
        ..PipelineConfig::default()
    };
    assert_eq!(recipe.distributed.pipeline, Some(pipeline));
    assert_eq!(recipe.optimizer.name, OptimizerName::AdamW);
    assert_eq!((recipe.optimizer.betas, recipe.optimizer.eps), ([0.9, 0.95], 1e-8));
    assert_eq!(recipe.optimizer.weight_decay, 0.1);
    assert_eq!(recipe.lr_scheduler.lr_decay_style, LrDecayStyle::Constant);
    assert_eq!((recipe.lr_scheduler.lr_warmup_steps, recipe.lr_scheduler.min_lr), (0, 0.0));
    assert_eq!(recipe.clip_grad_norm.max_norm, None);
    assert_eq!(recipe.loss_fn, LossName::MaskedCrossEntropy);
    assert_eq!(
        (recipe.checkpoint.enabled, recipe.checkpoint.checkpoint_dir.as_str()),
        (true, "checkpoints")
    );
    assert_eq!(recipe.step_scheduler.ckpt_every_steps, None);
    assert_eq!(recipe.distributed.activation_checkpointing, ActivationCheckpointing::None);
    assert_eq!(
        (recipe.peft, recipe.model.freeze, recipe.model.check_weights),
        (None, vec![], false)
    );
}

#[test]
fn json_is_yaml() {
    // Tabs are no indentation in YAML's own blocks, but they are in JSON's.
    let json = r#"{
    "step_scheduler": { "global_batch_size": 8, "local_batch_size": 4, "max_steps": 10 },
    "distributed": { "pp_size": 2, "pipeline": {} },
    "model": { "pretrained_model_name_or_path": "models/tiny" },
    "dataset": { "paths": ["*.txt"], "seq_len": 32 },
    "optimizer": { "lr": 1e-3 }
}"#
    .replace("    ", "\t");
    assert_eq!(parse(&json).unwrap(), parse(SMALL).unwrap());
}

#[test]
fn the_readme_shows_what_is_printed() {
    let readme = include_str!("../../README.md");
    let recipe = readme.split("let text = \"").nth(1).and_then(|rest| rest.split('"').next());
    let errors = parse(&recipe.unwrap().replace("pp_schedule", "pp_shedule")).unwrap_err();
    assert!(readme.contains(&format!("```text\n{errors}\n```")), "{errors}");
}

#[test]
fn five_mistakes_are_five_problems() {
    let text = SMALL
        .replace("max_steps: 10", "max_steps: 1e3")
        .replace("pipeline:", "pipeline: { pp_shedule: gpipe, dtype: bf61 }")
        .replace("seq_len: 32", "seq_len: -32")
        .replace("  lr: 0.001", "  learning_rate: 0.001\n  lr: 0.001");
    let errors = parse(&text).unwrap_err();
    assert_eq!(errors.problems().len(), 5);
    insta::assert_snapshot!(errors);
}

#[test]
fn values_of_the_wrong_type_or_size() {
    let text = "
step_scheduler:
  global_batch_size: 8.5
  local_batch_size: eight
  max_steps: 99999999999999999999
  ckpt_every_steps: 0
rng: { seed: -1 }
distributed:
  pp_size: [2]
  pipeline:
    patch_inner_model: yes
    scale_grads_in_schedule: 1
    module_fqns_per_model_part: [[embed, 3], [], norm]
    round_virtual_stages_to_pp_multiple: Up
    dtype: 16
model: { pretrained_model_name_or_path: '' }
dataset: { paths: books/*.txt, seq_len: true, tokenizer: byte }
optimizer: { lr: .nan, betas: [0.9], eps: 0, weight_decay: -0.1, name: sgd }
lr_scheduler: { min_lr: low }
clip_grad_norm: { max_norm: .inf }
loss_fn: { _target_: torch.nn.CrossEntropyLoss }
checkpoint: on
";
    insta::assert_snapshot!(parse(text).unwrap_err());
}

#[test]
fn sections_that_contradict_each_other() {
    let text = "
step_scheduler:
  global_batch_size: 9
  local_batch_size: 4
  max_steps: 10
distributed:
  pp_size: 2
  dp_size: 2
  tp_size: 4
  pipeline:
    pp_schedule: null
    pp_batch_size: 8
    pp_microbatch_size: 3
    patch_causal_lm_model: false
    round_virtual_stages_to_pp_multiple: down
    pp_seq_len: 32
model:
  pretrained_model_name_or_path: models/tiny
  config: {}
dataset: { paths: ['*.txt'], seq_len: 32 }
optimizer: { lr: 0.001 }
lr_scheduler: { lr_warmup_steps: 10, min_lr: 0.01 }
";
    insta::assert_snapshot!(parse(text).unwrap_err());
}

#[test]
fn a_pipeline_needs_its_section_and_the_section_a_pipeline() {
    assert_eq!(
        messages(small_with("  pipeline:\n", "")),
        ["distributed.pp_size: a pipeline of 2 ranks needs a section `pipeline`"]
    );
    for pp_size in ["pp_size: 1", "pp_size: none", ""] {
        // Nothing is lost where the section says nothing.
        let recipe = small_with("pp_size: 2", pp_size).unwrap();
        assert_eq!((recipe.distributed.pipeline, recipe.warnings), (None, vec![]));
        let text = SMALL.replace("pp_size: 2", pp_size);
        let recipe = parse(&text.replace("pipeline:", "pipeline: {}")).unwrap();
        assert_eq!(recipe.distributed.pipeline, None);
        let [warning] = recipe.warnings.as_slice() else { panic!("{:?}", recipe.warnings) };
        assert_eq!((warning.line, warning.key.as_str()), (7, "distributed.pipeline"));
    }
    // What has no effect is not checked against the rest, but still spelt right.
    let text = SMALL.replace("pp_size: 2", "pp_size: 1");
    let text = text.replace("pipeline:", "pipeline: { pp_batch_size: 99, stages: 1 }");
    assert_eq!(messages(parse(&text)), ["distributed.pipeline.stages: unknown key"]);
}

#[test]
fn in_a_stream_nothing_is_too_long() {
    let with = |arrange: &str| {
        let keys = format!("seq_len: 32\n  too_long: skip\n  arrange: {arrange}");
        small_with("seq_len: 32", &keys)
    };
    let expected = "dataset.too_long: has no effect, a stream goes over the ends of rows";
    assert_eq!(messages(with("stream")), [expected]);
    assert!(with("pad").is_ok());
}

#[test]
fn validation_has_the_columns_of_the_training_data() {
    let recipe = small_with(
        "optimizer:",
        "  prompt_column: question\n  completion_column: answer\n\
         validation_dataset: {paths: [v.jsonl], completion_column: reply}\noptimizer:",
    );
    let source = &recipe.unwrap().validation_dataset.unwrap().sources[0];
    let columns = [&source.text_column, &source.prompt_column, &source.completion_column];
    assert_eq!(columns, ["text", "question", "reply"]);
}

#[test]
fn a_key_in_the_wrong_section_is_told_the_right_one() {
    let text = format!("{SMALL}  dtypes: 1\n  loss_fn: masked_cross_entropy\npp_size: 2\nlr: 1\n");
    let text =
        text.replace("pp_size: 2\n  ", "pp_schedule: 1f1b\n  rng: { seed: 1 }\n  dtype: 1\n  ");
    assert_eq!(
        messages(parse(&text)),
        [
            "distributed.pp_schedule: unknown key; it belongs in `distributed.pipeline`",
            "distributed.rng: unknown key; it belongs at the top, in no section",
            "distributed.dtype: unknown key", // of several sections
            "optimizer.dtypes: unknown key",
            "optimizer.loss_fn: unknown key",
            "pp_size: unknown key; it belongs in `distributed`",
            "lr: unknown key; it belongs in `optimizer`",
        ]
    );
}

#[test]
fn an_empty_recipe_says_what_it_needs() {
    insta::assert_snapshot!(parse("# nothing yet\n").unwrap_err());
}

#[test]
fn a_warning_shows_its_line() {
    let text = SMALL.replace("max_steps: 10", "max_steps: 10\n  ckpt_every_steps: 5");
    let recipe = parse(&format!("{text}checkpoint:\n  enabled: false\n")).unwrap();
    let [warning] = recipe.warnings.as_slice() else { panic!("{:?}", recipe.warnings) };
    insta::assert_snapshot!(warning);
}

#[test]
fn missing_sections_and_keys() {
    assert_eq!(
        messages(parse("model:\ndataset: { seq_len: 8 }\nextra: 3\n")),
        [
            "step_scheduler: missing, and there is no default",
            "model: nothing says which model to train",
            "optimizer.lr: missing, and there is no default",
            "dataset: nothing says what is read",
            "extra: unknown key",
        ]
    );
    for empty in ["", "# nothing\n", "---\n", "null", "{}"] {
        assert_eq!(messages(parse(empty)).len(), 4, "{empty:?}");
    }
    assert_eq!(messages(parse("- a\n- b")), [": expected a section, found a list"]);
}

#[test]
fn a_reported_value_causes_no_further_problem() {
    for (from, to) in [
        ("local_batch_size: 4", "local_batch_size: four"),
        ("max_steps: 10", "max_steps: ten"),
        ("lr: 0.001", "lr: high\nlr_scheduler: { lr_decay_style: linear, min_lr: 1 }"),
        ("pipeline:", "pipeline: { layers_per_stage: 0, round_virtual_stages_to_pp_multiple: up }"),
        ("pipeline:", "pipeline: { pp_microbatch_size: 0, pp_batch_size: 4 }"),
        ("pipeline:", "pipeline: { pp_schedule: 1 }"),
        ("pipeline:", "pipeline: { pp_schedule: null, pp_schedule_csv: 1 }"),
        ("pipeline:", "pipeline: { pp_schedule_csv: table.csv, layers_per_stage: two }"),
        ("pipeline:", "pipeline: { module_fqns_per_model_part: [[a]], layers_per_stage: two }"),
        ("pipeline:", "pipeline: { module_fqns_per_model_part: [] }"),
        ("pp_size: 2", "pp_size: 0"),
        ("dataset:", "dataset: !set"),
    ] {
        let problems = messages(small_with(from, to));
        assert_eq!(problems.len(), 1, "{to}: {problems:?}");
    }
}

#[test]
fn what_cannot_be_read_is_compared_with_nothing() {
    let pipeline = "pipeline: { pp_batch_size: many, pp_seq_len: 31 }";
    assert_eq!(
        messages(small_with("pipeline:", pipeline)),
        [
            "distributed.pipeline.pp_batch_size: expected a whole number, found text",
            "distributed.pipeline.pp_seq_len: 31 differs from `dataset.seq_len` 32",
        ]
    );
}

#[test]
fn a_loss_that_is_written_twice_is_kept() {
    let recipe = small_with("pipeline:", "pipeline: { loss_fn: masked_cross_entropy }").unwrap();
    let pipeline = recipe.distributed.pipeline.unwrap();
    assert_eq!(pipeline.loss_fn, Some(recipe.loss_fn));
}

#[test]
fn a_table_leaves_nothing_to_count() {
    let pipeline = "pipeline: { pp_schedule_csv: table.csv, layers_per_stage: 2, \
                    round_virtual_stages_to_pp_multiple: up }";
    assert_eq!(
        messages(small_with("pipeline:", pipeline)),
        [
            "distributed.pipeline.layers_per_stage: `2` has no effect",
            "distributed.pipeline.round_virtual_stages_to_pp_multiple: `up` has no effect",
        ]
    );
}
