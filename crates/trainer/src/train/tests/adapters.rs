//! Adapters, what is frozen, half precision and recomputation.

use std::fs;
use std::path::Path;

use candle_core::Tensor;

use super::{Desk, ONE_RANK, assert_near};

const LORA: &str = "peft={target_modules: [q_proj, mlp.*], dim: 4, alpha: 8}";

fn bytes(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn adapters_learn_go_on_and_are_merged() {
    let desk = Desk::new();
    let base = bytes(&desk.path("base/model.safetensors"));
    let (losses, summary) = desk.run(&[LORA]);
    assert!(losses[3] < losses[0] - 0.05, "{losses:?}");
    // Of q_proj 4 * (16 + 16), of each of three matrices of the MLP 4 * (16 + 32), in four layers.
    assert!(summary.contains("Training 2,816 of "), "{summary}");
    assert!(summary.contains("Adapters of rank 4 on 16 matrices, times 2, dropout 0"), "{summary}");
    assert!(base == bytes(&desk.path("base/model.safetensors")));
    let saved = desk.tensors("run/checkpoints/step-000004/adapter_model.safetensors");
    assert_eq!(saved.len(), 32);
    assert!(!desk.path("run/checkpoints/step-000004/model.safetensors").exists());

    let go_on = "peft={pretrained: DIR/run/checkpoints/step-000004, merge: true}";
    let (further, _) = desk.run(&[go_on, "checkpoint.checkpoint_dir=DIR/further"]);
    assert!((further[0] - losses[0]).abs() > 0.05, "it has learnt: {further:?}, {losses:?}");
    // Adapters in between, and in the end the model.
    assert!(desk.path("further/checkpoints/step-000002/adapter_config.json").exists());
    let merged = desk.path("further/checkpoints/step-000004");
    assert!(!merged.join("adapter_config.json").exists());
    let whole = format!("model.pretrained_model_name_or_path={}", merged.display());
    let of_merged = desk.losses(&[&whole, "step_scheduler.max_steps=1"]);
    assert!(of_merged[0] < further[0], "{of_merged:?}, {further:?}");
}

#[test]
fn what_is_dropped_does_not_depend_on_the_pipeline() {
    let desk = Desk::new();
    let lora = "peft={match_all_linear: true, dim: 4, alpha: 16, dropout: 0.3}";
    let expected = desk.losses(&[&[lora][..], &ONE_RANK].concat());
    assert_near(&desk.losses(&[lora]), &expected);
    assert_near(&desk.losses(&[lora, "distributed.pipeline.pp_microbatch_size=2"]), &expected);
    let undropped = desk.losses(&[lora, "peft.dropout=0"]);
    assert!((undropped[3] - expected[3]).abs() > 1e-4, "{undropped:?}, {expected:?}");
    let seed = desk.losses(&[lora, "rng.seed=2"]);
    assert!((seed[3] - expected[3]).abs() > 1e-5);
}

#[test]
fn recomputation_changes_no_bit() {
    let desk = Desk::new();
    for set in [&[][..], &["peft={match_all_linear: true, dropout: 0.3}"]] {
        let expected = desk.losses(set);
        for layers in ["true", "2"] {
            let key = format!("distributed.activation_checkpointing={layers}");
            assert_eq!(desk.losses(&[set, &[&key]].concat()), expected, "{layers}");
        }
    }
}

#[test]
fn what_is_frozen_stays_bit_by_bit() {
    let desk = Desk::new();
    let (losses, summary) = desk.run(&["model.freeze=[model.embed_tokens, 'model.layers.[012]']"]);
    assert!(losses[3] < losses[0], "{losses:?}");
    // The last layer, the norm and the head.
    assert!(summary.contains(&format!("Training {} of ", "6,704")), "{summary}");
    let before = desk.tensors("base/model.safetensors");
    let mut num_same = 0;
    for rank in 1..=2 {
        let file = format!("run/checkpoints/step-000004/model-0000{rank}-of-00002.safetensors");
        for (name, after) in desk.tensors(&file) {
            let bits = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            let is_same = bits(&after) == bits(&before[&name]);
            let is_frozen =
                ["model.embed_tokens", "model.layers.0.", "model.layers.1.", "model.layers.2."];
            let is_frozen = is_frozen.iter().any(|start| name.starts_with(start));
            assert_eq!(is_same, is_frozen, "{name}");
            num_same += usize::from(is_same);
        }
    }
    assert_eq!(num_same, 28);
}

#[test]
fn halves_are_trained_as_they_were_saved() {
    let desk = Desk::new();
    let expected = desk.losses(&[]);
    let (losses, summary) = desk.run(&["model.dtype=bf16"]);
    assert!(summary.contains("the model in bf16"), "{summary}");
    for (loss, expected) in losses.iter().zip(&expected) {
        assert!(loss != expected && (loss - expected).abs() < 0.05, "{losses:?}, {expected:?}");
    }
    let checkpoint = desk.path("run/checkpoints/step-000004");
    let whole = format!("model.pretrained_model_name_or_path={}", checkpoint.display());
    let (_, summary) = desk.run(&[&whole, "checkpoint.checkpoint_dir=DIR/further"]);
    assert!(summary.contains("the model in bf16"), "{summary}");
}

#[test]
fn what_the_model_does_not_have_is_told_with_its_key() {
    let desk = Desk::new();
    for (overrides, expected) in [
        (&["peft={target_modules: q_prj}"][..], "peft.target_modules: no matrix of the model"),
        (&["peft={target_modules: 'q[_'}"], "peft.target_modules: `q[_` is no pattern"),
        (
            &["peft={target_modules: q_proj, modules_to_save: lm_hed}"],
            "peft.modules_to_save: no module with parameters is named `lm_hed`",
        ),
        (&["peft={pretrained: DIR/nowhere}"], "peft.pretrained: cannot read "),
        (&["peft={pretrained: DIR/base}"], "peft.pretrained: cannot read "),
        (&["model.freeze=model.layer.0"], "model.freeze: no parameter is named"),
        (&["model.freeze='*'"], "model.freeze: nothing is left to be trained"),
        (
            &["model.dtype=fp64"],
            "model.dtype: float64 can be planned, but nothing is trained in it",
        ),
        (
            &["distributed.mp_policy.param_dtype=bf16", "distributed.mp_policy.output_dtype=fp32"],
            "param_dtype: bfloat16 can be planned, but the model is trained in float32",
        ),
        (&["distributed.mp_policy.reduce_dtype=bf16"], "gradients are added up in float32"),
    ] {
        let problems = desk.refused(overrides);
        assert!(problems.iter().any(|problem| problem.contains(expected)), "{problems:?}");
    }
    let agreeing =
        ["model.dtype=bf16", "distributed.mp_policy={param_dtype: bf16, reduce_dtype: fp32}"];
    assert_eq!(desk.losses(&[&agreeing[..], &["step_scheduler.max_steps=1"]].concat()).len(), 1);
}
