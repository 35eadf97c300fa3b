//! Adapters on disk, as PEFT writes and loads them.

use std::collections::BTreeSet;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};

use super::Lora;
use crate::config::{ConfigProblem, Fields, Min};
use crate::decoder::Planned;
use crate::{AdapterWeights, Checkpoint, Error, json};

/// What PEFT calls the two files of an adapter.
pub(crate) const ADAPTER_CONFIG: &str = "adapter_config.json";
pub(crate) const ADAPTER_FILE: &str = "adapter_model.safetensors";

/// What stands before a parameter's name: PEFT's model, and the one that it wraps.
const PREFIX: &str = "base_model.model.";

/// Fields of PEFT's that make something else of the adapters, or put them elsewhere.
const VARIANTS: [&str; 13] = [
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "fan_in_fan_out",
    "layer_replication",
    "target_parameters",
    "trainable_token_indices",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "velora_config",
];

/// A folder with adapters, its header found to be whole.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// What the config says besides what is computed with, to be written back.
    pub(crate) extra: Map<String, Value>,
    checkpoint: Checkpoint,
}

/// What an adapter's file calls a parameter of the model.
pub(crate) fn saved_name(name: &str) -> String {
    format!("{PREFIX}{name}")
}

impl Lora {
    /// The adapters in a folder that PEFT or this crate has written.
    ///
    /// # Errors
    /// If a file cannot be read, or the config asks for what is not implemented, all at once.
    pub fn load(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(ADAPTER_CONFIG);
        let mut fields = Fields::new(&json::read(&path)?);
        let is_empty = |value: &Value| match value {
            Value::Object(map) => map.is_empty(),
            Value::Array(list) => list.is_empty(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
        };
        let is_false = |value: &Value| value.as_bool() == Some(false);
        fields.refuse_unless("peft_type", |value| value == "LORA", "\"LORA\"");
        fields.refuse_unless("bias", |value| value == "none", "\"none\"");
        for table in ["rank_pattern", "alpha_pattern"] {
            fields.refuse_unless(table, is_empty, "one rank and one alpha for all");
        }
        for variant in VARIANTS {
            fields.refuse_unless(variant, |value| is_empty(value) || is_false(value), "null");
        }
        // The others change the base as they load, which is not what these adapters are added to.
        let is_plain = |value: &Value| match value {
            Value::Bool(_) => true,
            _ => ["gaussian", "eva", "orthogonal"].iter().any(|name| value == name),
        };
        let supported = "true, false, or an initialisation that leaves the base as it is";
        fields.refuse_unless("init_lora_weights", is_plain, supported);
        // The tensors say more exactly which modules these are.
        for list in [
            "target_modules",
            "modules_to_save",
            "layers_to_transform",
            "layers_pattern",
            "exclude_modules",
        ] {
            fields.take(list);
            fields.unset(list);
        }
        let rank = fields.size("r", 8);
        let alpha = fields.number("lora_alpha", 8.0, Min::Zero);
        let dropout = fields.number("lora_dropout", 0.0, Min::Zero);
        let use_rslora = fields.flag("use_rslora", false);
        let (extra, mut problems) = fields.finish();
        // Each release of PEFT has new fields, some of which look like slips of older ones.
        problems.retain(|problem| !matches!(problem, ConfigProblem::Misspelt { .. }));
        if !problems.is_empty() {
            return Err(Error::AdapterConfig { path, problems });
        }
        let checkpoint = Checkpoint::open_file(folder, ADAPTER_FILE)?;
        let end = format!(".{}", super::LORA_A);
        let path =
            |name: &str| Some(name.strip_prefix(PREFIX)?.strip_suffix(end.as_str())?.to_owned());
        let targets: Vec<String> = checkpoint.names().filter_map(path).collect();
        // What is neither matrix of an adapter was trained whole.
        let is_of_adapter =
            |name: &str| [super::LORA_A, super::LORA_B].iter().any(|end| name.ends_with(end));
        let module = |name: &str| Some(name.strip_prefix(PREFIX)?.rsplit_once('.')?.0.to_owned());
        let mut whole: Vec<String> =
            checkpoint.names().filter(|name| !is_of_adapter(name)).filter_map(module).collect();
        whole.dedup();
        let lora = Self {
            rank,
            alpha,
            dropout,
            targets,
            use_rslora,
            modules_to_save: whole,
            weights: AdapterWeights::Saved(Box::new(Adapter { extra, checkpoint })),
        };
        lora.check()?;
        Ok(lora)
    }

    /// The content of an `adapter_config.json` that PEFT loads, for adapters on these modules.
    ///
    /// Both lists are whole paths: PEFT has another idea of what the end of a name is, and of
    /// patterns.
    pub(crate) fn config_json(
        &self,
        modules: &BTreeSet<String>,
        whole: &[String],
        base: Option<&str>,
    ) -> Value {
        let mut map = match &self.weights {
            AdapterWeights::Saved(adapter) => adapter.extra.clone(),
            AdapterWeights::Random { .. } => Map::new(),
        };
        let whole = (!whole.is_empty()).then_some(whole);
        let fields = [
            ("peft_type", json!("LORA")),
            ("task_type", json!("CAUSAL_LM")),
            ("r", json!(self.rank)),
            ("lora_alpha", number(self.alpha)),
            ("lora_dropout", json!(self.dropout)),
            ("use_rslora", json!(self.use_rslora)),
            ("target_modules", json!(modules)),
            ("modules_to_save", json!(whole)),
            ("bias", json!("none")),
            ("fan_in_fan_out", json!(false)),
            ("inference_mode", json!(true)),
            ("init_lora_weights", json!(true)),
        ];
        map.extend(fields.map(|(key, value)| (key.to_owned(), value)));
        if let Some(base) = base {
            map.insert("base_model_name_or_path".to_owned(), json!(base));
        }
        map.sort_keys();
        Value::Object(map)
    }
}

/// PEFT reads `8` where others would write `8.0`.
fn number(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
    if value.fract() == 0.0 && value.abs() < 1e15 { json!(value as i64) } else { json!(value) }
}

impl Adapter {
    /// Whether the folder has exactly the parameters of these adapters.
    pub(crate) fn check(&self, planned: &[Planned]) -> Result<(), Error> {
        let own: Vec<(String, &[usize])> = planned
            .iter()
            .filter(|p| p.is_in_adapter)
            .map(|p| (saved_name(&p.declared.name), p.declared.shape.as_slice()))
            .collect();
        self.checkpoint.check(own.iter().map(|(name, shape)| (name.as_str(), *shape)), &[])
    }

    pub(crate) fn read(
        &self,
        name: &str,
        dtype: DType,
        device: &Device,
        is_checked: bool,
    ) -> Result<Tensor, Error> {
        self.checkpoint.read_checked(&saved_name(name), dtype, device, is_checked)
    }
}
