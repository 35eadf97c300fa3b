//! Adapters: what PEFT computed with them, from any number of stages and back, and merged.

use autopipe_models::checkpoint::save::Content;
use autopipe_models::{AutoModel, Lora, Options, load_folder, load_folder_with};
use candle_core::DType;

use crate::fixture::{
    assert_same, build, computed, flat, folder, llama, modules, reference, relative_l2,
};
use crate::save::save_content;

const ADAPTERS: [&str; 3] = ["llama_lora", "llama_lora_rs", "llama_lora_head"];

fn with(lora: Lora) -> AutoModel {
    let options = Options { lora: Some(lora), ..Options::default() };
    load_folder_with(&folder("llama"), options).unwrap()
}

fn saved(name: &str) -> AutoModel {
    with(Lora::load(&folder(name)).unwrap())
}

#[test]
fn saved_adapters_give_what_peft_gives() {
    for name in ADAPTERS {
        let got = computed(saved(name).as_model(), "llama");
        assert_same(name, &got, &reference(name), 1e-4);
    }
}

#[test]
fn new_adapters_change_nothing_at_first() {
    let model = with(Lora::new(4, ["all-linear"]));
    let (got, expected) = (computed(model.as_model(), "llama"), reference("llama"));
    assert!((got.loss - expected.loss).abs() < 1e-5 * expected.loss);
    assert_eq!(got.grads.len(), 2 * 4 * 7);
    for (name, grad) in &got.grads {
        let is_zero = flat(grad).iter().all(|x| *x == 0.0);
        assert_eq!(is_zero, name.ends_with("lora_A.weight"), "{name}");
    }
}

#[test]
fn adapters_come_back_from_any_number_of_stages() {
    let dir = tempfile::tempdir().unwrap();
    for name in ADAPTERS {
        let model = saved(name);
        for num_shards in [1, 3] {
            let folder = dir.path().join(format!("{name}-{num_shards}"));
            save_content(&model, Content::Adapter, num_shards, &folder);
            let mut files: Vec<_> = std::fs::read_dir(&folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name())
                .collect();
            files.sort_unstable();
            assert_eq!(files, ["adapter_config.json", "adapter_model.safetensors"]);
            let again = with(Lora::load(&folder).unwrap());
            assert_same(name, &computed(again.as_model(), "llama"), &reference(name), 1e-4);
        }
    }
}

#[test]
fn one_file_of_adapters_is_the_file_that_peft_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let file = "adapter_model.safetensors";
    let written = dir.path().join("adapter");
    save_content(&saved("llama_lora"), Content::Adapter, 2, &written);
    let tensors = |path| candle_core::safetensors::load(path, &candle_core::Device::Cpu).unwrap();
    let (mine, theirs) = (tensors(written.join(file)), tensors(folder("llama_lora").join(file)));
    assert_eq!(mine.len(), theirs.len());
    for (name, tensor) in theirs {
        assert_eq!(flat(&mine[&name]), flat(&tensor), "{name}");
    }
    let config = |folder: &std::path::Path| -> serde_json::Value {
        let text = std::fs::read_to_string(folder.join("adapter_config.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let (mine, theirs) = (config(&written), config(&folder("llama_lora")));
    for key in ["peft_type", "r", "lora_alpha", "lora_dropout", "use_rslora", "bias", "task_type"] {
        assert_eq!(mine[key], theirs[key], "{key}");
    }
    assert_eq!(mine["target_modules"].as_array().unwrap().len(), 4 * 3);
}

#[test]
fn what_is_trained_whole_is_saved_by_its_path() {
    let dir = tempfile::tempdir().unwrap();
    let lora = Lora {
        modules_to_save: vec!["model.nor?".to_owned(), "lm_head".to_owned()],
        ..Lora::new(2, ["q_proj"])
    };
    save_content(&with(lora), Content::Adapter, 2, &dir.path().join("a"));
    let text = std::fs::read_to_string(dir.path().join("a/adapter_config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["modules_to_save"], serde_json::json!(["model.norm", "lm_head"]));
    let again = Lora::load(&dir.path().join("a")).unwrap();
    let mut whole = again.modules_to_save.clone();
    whole.sort_unstable();
    assert_eq!(whole, ["lm_head", "model.norm"]);
    let got = computed(with(again).as_model(), "llama");
    assert!(got.grads.contains_key("model.norm.weight"));
    assert_eq!(got.grads.len(), 2 * 4 + 2);
}

#[test]
fn merged_adapters_are_in_the_matrices() {
    let dir = tempfile::tempdir().unwrap();
    for name in ADAPTERS {
        let written = dir.path().join(name);
        save_content(&saved(name), Content::Model, 2, &written);
        let merged = load_folder(&written).unwrap();
        let got = computed(merged.as_model(), "llama");
        let difference = relative_l2(&got.logits, &reference(name).logits);
        assert!(difference < 1e-5, "{name}: {difference:e}");
    }
}

#[test]
fn the_base_is_frozen_and_shared_and_adapters_of_half_precision_models_are_not_half() {
    let options = Options {
        dtype: DType::BF16,
        lora: Some(Lora::new(4, ["q_proj", "layers.2.mlp.*"])),
        ..Options::default()
    };
    let model = load_folder_with(&folder("llama"), options).unwrap();
    let stage = build(model.as_model(), &modules(model.as_model()));
    for parameter in stage.parameters() {
        let is_adapter = parameter.name().contains(".lora_");
        assert_eq!(parameter.is_trainable(), is_adapter, "{}", parameter.name());
        let dtype = if is_adapter { DType::F32 } else { DType::BF16 };
        assert_eq!(parameter.dtype(), dtype, "{}", parameter.name());
    }
    let got = computed(model.as_model(), "llama");
    let expected = reference("llama").loss;
    assert!((got.loss - expected).abs() < 1e-2 * expected, "{} for {expected}", got.loss);
    assert_eq!(got.grads.len(), 2 * (4 + 3));
}

#[test]
fn without_adapters_there_are_none_to_save() {
    let dir = tempfile::tempdir().unwrap();
    let model = llama();
    let writing = autopipe_models::checkpoint::save::Writing {
        folder: dir.path(),
        model: &model,
        content: Content::Adapter,
        num_shards: 1,
    };
    let stage = build(model.as_model(), &["model.norm".to_owned()]);
    let error = autopipe_models::checkpoint::save::write_shard(&writing, 0, &[stage.parameters()]);
    assert_eq!(
        error.unwrap_err().to_string(),
        "the model has no adapters to save; give `lora` in its options, or save the model"
    );
}
