//! Recipes of NeMo AutoModel: what is read, what changes nothing, and what is refused.

use autopipe_config::{
    DType, ModelSource, MpPolicy, PipelineConfig, Problem, Recipe, Rounding, Strategy,
};

use crate::{NEMO, SMALL, parse, refusals, short, small_with};

#[test]
fn a_recipe_of_nemos_is_read() {
    let recipe = parse(NEMO).unwrap_or_else(|errors| panic!("{errors}"));
    let ModelSource::ScratchLike { folder, changes } = &recipe.model.source else {
        panic!("{:?}", recipe.model)
    };
    assert_eq!(folder, "models/small-llama");
    assert_eq!(serde_json::to_string(changes).unwrap(), r#"{"num_hidden_layers":8}"#);
    assert_eq!(recipe.model.dtype, Some(DType::BFloat16));
    assert_eq!(recipe.rng.seed, 7);
    assert_eq!((recipe.optimizer.betas, recipe.optimizer.weight_decay), ([0.9, 0.999], 0.0));
    let distributed = &recipe.distributed;
    assert_eq!((distributed.pp_size, distributed.dp_size, distributed.ep_size), (4, None, 1));
    assert_eq!((distributed.strategy, distributed.defer_fsdp_grad_sync), (Strategy::Fsdp2, false));
    let policy = MpPolicy {
        param_dtype: Some(DType::BFloat16),
        reduce_dtype: Some(DType::Float32),
        output_dtype: Some(DType::BFloat16),
    };
    assert_eq!(distributed.mp_policy, Some(policy));
    let pipeline = PipelineConfig {
        pp_schedule: Some("interleaved1f1b".into()),
        pp_microbatch_size: 1,
        pp_batch_size: 8,
        layers_per_stage: Some(1),
        round_virtual_stages_to_pp_multiple: Some(Rounding::Down),
        patch_inner_model: false,
        patch_causal_lm_model: false,
        dtype: Some(DType::BFloat16),
        loss_fn: Some(recipe.loss_fn),
        pp_seq_len: Some(512),
        ..PipelineConfig::default()
    };
    assert_eq!(distributed.pipeline, Some(pipeline));
    let warnings: Vec<String> = recipe.warnings.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(warnings.join("\n\n"));
}

/// Every key that cannot do what it says, with a value that asks for it.
#[test]
fn what_is_not_implemented_is_refused_with_the_reason() {
    let text = "
recipe: BenchmarkingRecipeForNextTokenPrediction
step_scheduler:
  global_batch_size: 8
  local_batch_size: 8
  max_steps: 9
  num_epochs: 2
  val_every_steps: 100
  save_checkpoint_every_epoch: true
  gc_every_steps: 10
rng: { ranked: sometimes }
distributed:
  sequence_parallel: true
  activation_checkpointing: selective
  moe: { reshard_after_forward: false }
  tp_plan: mine
  offload_policy: { pin_memory: true }
  autocast_dtype: bf16
  reshard_after_forward: true
  enable_compile: true
  enable_async_tensor_parallel: true
  mp_policy: { cast_forward_inputs: false }
model:
  pretrained_model_name_or_path: models/tiny
  trust_remote_code: maybe
  force_hf: true
  use_liger_kernel: true
  attn_implementation: flash_attention_2
  backend: { attn: te }
  load_base_model: false
dataset:
  _target_: nemo_automodel.components.datasets.llm.hellaswag.HellaSwag
  paths: [a.txt]
  split: train
  seq_len: 32
packed_sequence: { packed_sequence_size: 4096, split_across_pack: true }
dataloader:
  collate_fn: { pad_seq_len_divisible: 16 }
  shuffle: false
  drop_last: false
  num_workers: 4
  batch_size: 2
optimizer: { lr: 1e-3, amsgrad: true, maximize: true }
lr_scheduler: { init_lr: 1e-5, wd_incr_style: linear }
clip_grad_norm: { norm_type: 1 }
loss_fn:
  _target_: nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy
  fp32_upcast: false
  ignore_index: 0
  reduction: mean
checkpoint:
  model_save_format: torch_save
  save_consolidated: final
  is_async: true
  restore_from: LATEST
validation_dataset: { split: validation }
validation_dataloader: { shuffle: false }
peft: { target_modules: q_proj, dropout_position: post, use_dora: true, lora_dtype: bf16, lora_A_init: xavier, exclude_modules: [lm_head] }
wandb: { project: mine }
mlflow: { run_name: mine }
benchmark: { warmup_steps: 5 }
compile: { enabled: true }
fp8: { enabled: true }
quantization: { load_in_4bit: true }
parallelizer: { activation_checkpointing: true }
autopipeline: { pp_schedule: 1f1b }
";
    insta::assert_snapshot!(parse(text).unwrap_err());
}

#[test]
fn the_same_keys_are_accepted_where_they_say_what_happens_anyway() {
    let fixed = [
        ("step_scheduler.gc_every_steps", "null"),
        ("rng.ranked", "false"),
        ("model.force_hf", "none"),
        ("model.trust_remote_code", "false"),
        ("model.load_base_model", "true"),
        ("lr_scheduler.init_lr", "0.0"),
        ("clip_grad_norm.norm_type", "2.0"),
        (
            "loss_fn",
            "{ _target_: nemo_automodel.components.loss.masked_ce.MaskedCrossEntropy, \
                       fp32_upcast: true, ignore_index: -100, reduction: sum }",
        ),
        ("checkpoint.save_consolidated", "True"),
        ("dataloader.collate_fn", "torch.utils.data.default_collate"),
        ("dataloader.num_workers", "0"),
        ("packed_sequence.packed_sequence_size", "0"),
        (
            "recipe",
            "{ _target_: nemo_automodel.recipes.llm.train_ft.\
                    TrainFinetuneRecipeForNextTokenPrediction }",
        ),
        ("wandb", "null"),
        ("peft", "null"),
        ("distributed.activation_checkpointing", "false"),
        ("compile", "{ backend: inductor, enabled: false }"),
        ("fp8", "{ enabled: false }"),
    ];
    let overrides: Vec<String> =
        fixed.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let recipe = Recipe::parse_with(SMALL, "recipe.yaml", &overrides);
    let recipe = recipe.unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(recipe.warnings, []);
    assert_eq!(recipe, parse(SMALL).unwrap(), "nothing of it makes a difference");
}

#[test]
fn what_is_none_in_a_config_is_null() {
    let config = "config: { rope_scaling: none, layers: [None, nil], a: null }";
    let recipe = small_with("pretrained_model_name_or_path: models/tiny", config).unwrap();
    let ModelSource::Scratch { config } = recipe.model.source else { panic!("{:?}", recipe.model) };
    let json = r#"{"rope_scaling":null,"layers":[null,"nil"],"a":null}"#;
    assert_eq!(config.to_string(), json);
}

#[test]
fn a_target_without_an_equivalent_gets_the_nearest_and_the_choices() {
    let text = "
recipe: { _target_: nemo_automodel.recipes.llm.train_ft.TrainFinetuneRecipe }
step_scheduler: { global_batch_size: 8, local_batch_size: 8, max_steps: 9 }
rng: { _target_: random.Random }
distributed:
  _target_: nemo_automodel.components.distributed.megatron_fsdp.MegatronFSDPManager
  strategy: megatron_fsdp
  mp_policy: { _target_: torch.distributed.fsdp.MixedPrecision }
model:
  _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_config
  config: { _target_: transformers.GPT2Config }
dataset: { paths: [a.txt], seq_len: 8 }
dataloader: { _target_: DataLoader, collate_fn: my.collate }
optimizer: { _target_: torch.optim.SGD, lr: 1 }
loss_fn: { _target_: nemo_automodel.components.loss.kd_loss.KDLoss }
";
    insta::assert_snapshot!(parse(text).unwrap_err());
    let model = "model: { _target_: nemo_automodel.NeMoAutoModelForCausalLM.from_pretrain }\nx:";
    assert_eq!(
        refusals(small_with("model:", model))[0],
        "model._target_: `nemo_automodel.NeMoAutoModelForCausalLM.from_pretrain` has no equivalent \
         here; did you mean `nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained`?"
    );
    let not_text = refusals(small_with("lr: 0.001", "lr: 0.001\n  _target_: 3"));
    assert_eq!(not_text, ["optimizer._target_: expected a name of Python, found a number"]);
}

#[test]
fn a_loss_is_a_name_or_a_section() {
    let targets = [
        "masked_ce.MaskedCrossEntropy",
        "chunked_ce.ChunkedCrossEntropy",
        "linear_ce.FusedLinearCrossEntropy",
        "te_parallel_ce.TEParallelCrossEntropy",
    ];
    let target = |name| format!("{{ _target_: nemo_automodel.components.loss.{name} }}");
    let words = ["masked_cross_entropy", "none", "{}"].map(str::to_owned);
    for loss in words.into_iter().chain(targets.map(target)) {
        let recipe = parse(&format!("{SMALL}loss_fn: {loss}\n"));
        assert_eq!(recipe.map(|recipe| recipe.loss_fn.as_str()), Ok("masked_cross_entropy"));
    }
    let refused = |loss: &str| refusals(parse(&format!("{SMALL}loss_fn: {loss}\n")));
    assert_eq!(refused("{ reduction: sum }"), ["loss_fn._target_: nothing says which loss"]);
    assert_eq!(refused("[a]"), ["loss_fn: expected a loss function, found a list"]);
    assert_eq!(
        refused("masked_cross_entrop"),
        ["loss_fn: unknown loss function; did you mean `masked_cross_entropy`?"]
    );
}

/// The small recipe's model replaced.
fn model(yaml: &str) -> Result<Recipe, autopipe_config::RecipeErrors> {
    small_with("model:\n  pretrained_model_name_or_path: models/tiny", &format!("model: {yaml}"))
}

#[test]
fn a_model_is_a_folder_a_config_or_a_folders_config() {
    let maker = |name: &str| format!("_target_: nemo_automodel.NeMoAutoModelForCausalLM.{name}");
    let (saved, random) = (maker("from_pretrained"), maker("from_config"));
    let auto = "_target_: transformers.AutoConfig.from_pretrained";
    let source = |yaml: &str| model(yaml).map(|recipe| recipe.model.source).unwrap();

    let folder = || String::from("m");
    let path = "pretrained_model_name_or_path: m";
    assert_eq!(
        source(&format!("{{ {saved}, {path} }}")),
        ModelSource::Pretrained { folder: folder() }
    );
    let like = |changes| ModelSource::ScratchLike { folder: folder(), changes };
    for yaml in [
        format!("{{ {random}, {path} }}"),
        format!("{{ {random}, config: {{ {auto}, {path} }} }}"),
        format!("{{ config: {{ {auto}, {path}, trust_remote_code: true }} }}"),
    ] {
        assert_eq!(source(&yaml), like(serde_json::Map::new()), "{yaml}");
    }
    let config = serde_json::json!({ "hidden_size": 8, "model_type": "qwen3" });
    let yaml =
        format!("{{ {random}, config: {{ _target_: transformers.Qwen3Config, hidden_size: 8 }} }}");
    assert_eq!(source(&yaml), ModelSource::Scratch { config });

    let refused = |yaml: String| refusals(model(&yaml));
    assert_eq!(
        refused(format!("{{ {saved}, config: {{ model_type: llama }} }}")),
        ["model._target_: `from_pretrained` reads weights, and `config` asks for random ones"]
    );
    assert_eq!(
        refused(format!("{{ config: {{ {auto} }} }}")),
        ["model.config.pretrained_model_name_or_path: nothing says whose config"]
    );
    assert_eq!(
        refused(format!("{{ config: {{ {path} }} }}")),
        ["model.config.pretrained_model_name_or_path: a folder is only read with `_target_`"]
    );
    assert_eq!(
        refused("{ config: { _target_: transformers.LlamaConfig, model_type: qwen2 } }".into()),
        ["model.config.model_type: contradicts `_target_`, which is llama"]
    );
    assert_eq!(
        refused("{ config: { model_type: llama }, load_base_model: true }".into()),
        ["model.load_base_model: true contradicts the rest, which asks for random weights"]
    );
    assert_eq!(
        refused("{ config: { a: .nan } }".into()),
        ["model.config.a: JSON has no number NaN"]
    );
}

#[test]
fn the_type_of_a_model_has_two_names() {
    let dtype = |yaml: &str| {
        model(&format!("{{ pretrained_model_name_or_path: m, {yaml} }}")).map(|r| r.model.dtype)
    };
    assert_eq!(dtype("torch_dtype: torch.float16"), Ok(Some(DType::Float16)));
    assert_eq!(dtype("dtype: bf16, torch_dtype: bfloat16"), Ok(Some(DType::BFloat16)));
    assert_eq!(dtype("torch_dtype: auto"), Ok(None));
    let two = dtype("dtype: bf16, torch_dtype: fp32").unwrap_err();
    assert_eq!(
        short(two.problems()),
        ["model.dtype: differs from `torch_dtype`, which is the same key"]
    );
    let odd = dtype("dtype: BF16").unwrap_err();
    assert_eq!(short(odd.problems()), ["model.dtype: unknown dtype; did you mean `bf16`?"]);
}

#[test]
fn torchs_optimizers_bring_torchs_defaults() {
    let read = |yaml: &str| {
        small_with("  lr: 0.001", &format!("  lr: 0.001\n  _target_: torch.optim.{yaml}"))
            .map(|recipe| (recipe.optimizer.betas, recipe.optimizer.weight_decay))
    };
    assert_eq!(read("AdamW"), Ok(([0.9, 0.999], 0.01)));
    assert_eq!(read("Adam"), Ok(([0.9, 0.999], 0.0)));
    assert_eq!(read("AdamW\n  betas: [0.8, 0.9]\n  weight_decay: 1"), Ok(([0.8, 0.9], 1.0)));
    let decaying = read("Adam\n  weight_decay: 0.1").unwrap_err();
    assert_eq!(
        short(decaying.problems()),
        ["optimizer._target_: Adam with a weight decay has no equivalent here, only AdamW"]
    );
}

#[test]
fn a_strategy_is_written_in_either_way_and_not_in_both() {
    let target = "_target_: nemo_automodel.components.distributed.ddp.DDPManager";
    let strategy = |yaml: &str| {
        small_with("pp_size: 2", &format!("pp_size: 2\n  {yaml}")).map(|r| r.distributed.strategy)
    };
    assert_eq!(strategy(target), Ok(Strategy::Ddp));
    assert_eq!(strategy("strategy: ddp"), Ok(Strategy::Ddp));
    assert_eq!(strategy("strategy: none"), Ok(Strategy::Fsdp2));
    assert_eq!(strategy(&format!("{target}\n  strategy: ddp")), Ok(Strategy::Ddp));
    let both = strategy(&format!("{target}\n  strategy: fsdp2")).unwrap_err();
    let [Problem { key, message, .. }] = both.problems() else { panic!("{both}") };
    assert_eq!(
        (key.as_str(), message.as_str()),
        ("distributed._target_", "says `ddp`, and `strategy` says `fsdp2`")
    );
}

#[test]
fn a_seed_is_written_in_either_way() {
    let seed = |yaml: &str| parse(&format!("{SMALL}{yaml}")).map(|recipe| recipe.rng.seed);
    assert_eq!(seed("seed: 3"), Ok(3));
    assert_eq!(seed("rng: { seed: 4 }"), Ok(4));
    assert_eq!(seed("rng: {}\nseed: 5"), Ok(5));
    let both = seed("rng: { seed: 4 }\nseed: 5").unwrap_err();
    assert_eq!(short(both.problems()), ["seed: 5 differs from `rng.seed` 4"]);
}
