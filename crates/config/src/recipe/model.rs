//! The section `model`: which model is trained, and from which weights.

use serde_json::{Map, Value};

use crate::{
    DType,
    choice::choices,
    section::{Auto, Fixed, Flag, Kind as _, Name, OneOrMore, Only, Reported, Section, Text},
};

/// Which model is trained, which part of it, and in which type its parameters are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    /// Which model, and from which weights.
    pub source: ModelSource,
    /// The type of the parameters; without it that of the weights as they are saved, or `float32`.
    pub dtype: Option<DType>,
    /// The parameters that are not trained: names of parameters or modules, or patterns.
    pub freeze: Vec<String>,
    /// Whether a NaN or an infinity among the weights is an error.
    pub check_weights: bool,
}

/// Which model is trained, and from which weights.
#[derive(Debug, Clone, PartialEq)]
pub enum ModelSource {
    /// From the weights of a Hugging Face folder.
    Pretrained {
        /// The folder with `config.json` and the safetensors files.
        folder: String,
    },
    /// From random weights.
    Scratch {
        /// What would stand in `config.json`: a JSON object.
        config: Value,
    },
    /// From random weights, with the config of a Hugging Face folder.
    ScratchLike {
        /// The folder with `config.json`.
        folder: String,
        /// The fields that differ from those in `config.json`.
        changes: Map<String, Value>,
    },
}

choices! {
    /// How NeMo makes a model.
    enum Maker("`_target_`") {
        /// With saved weights.
        FromPretrained = "nemo_automodel.NeMoAutoModelForCausalLM.from_pretrained"
            | "nemo_automodel._transformers.NeMoAutoModelForCausalLM.from_pretrained"
            | "nemo_automodel._transformers.auto_model.NeMoAutoModelForCausalLM.from_pretrained"
            | "transformers.AutoModelForCausalLM.from_pretrained",
        /// With random weights.
        FromConfig = "nemo_automodel.NeMoAutoModelForCausalLM.from_config"
            | "nemo_automodel._transformers.NeMoAutoModelForCausalLM.from_config"
            | "nemo_automodel._transformers.auto_model.NeMoAutoModelForCausalLM.from_config"
            | "transformers.AutoModelForCausalLM.from_config",
    }
}

choices! {
    /// Where NeMo takes a config from.
    enum ConfigTarget("`_target_`") {
        /// From a folder.
        AutoConfig = "transformers.AutoConfig.from_pretrained",
        /// From the fields beside it, as the others.
        Llama = "transformers.LlamaConfig",
        Mistral = "transformers.MistralConfig",
        Qwen2 = "transformers.Qwen2Config",
        Qwen3 = "transformers.Qwen3Config",
    }
}

impl ConfigTarget {
    /// What `config.json` says in place of the name of a class.
    fn model_type(self) -> Option<&'static str> {
        match self {
            ConfigTarget::AutoConfig => None,
            ConfigTarget::Llama => Some("llama"),
            ConfigTarget::Mistral => Some("mistral"),
            ConfigTarget::Qwen2 => Some("qwen2"),
            ConfigTarget::Qwen3 => Some("qwen3"),
        }
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "trust_remote_code",
        only: &[Only::Flag(true), Only::Flag(false)],
        reason: "no code from a model's folder is run, whether or not it is trusted",
    },
    Fixed {
        key: "output_hidden_states",
        only: &[Only::Flag(true), Only::Flag(false)],
        reason: "the loss takes what it needs",
    },
    Fixed { key: "force_hf", only: &[Only::Flag(false)], reason: "models are those built in" },
    Fixed {
        key: "use_liger_kernel",
        only: &[Only::Flag(false)],
        reason: "there are no kernels to choose from",
    },
    Fixed {
        key: "attn_implementation",
        only: &[Only::Text("sdpa")],
        reason: "attention is computed in one way",
    },
    Fixed { key: "backend", only: &[], reason: "there are no kernels to choose from" },
];

const FOLDER: &str = "A Hugging Face folder, whose weights are trained further.";
const CONFIG: &str = "What would stand in `config.json`, for random weights; or NeMo's section with \
                      `_target_`, for random weights in the shape of a folder's.";
const DTYPE: &str =
    "The type of the parameters; `auto`, or nothing, for that of the saved weights.";

const FREEZE: &str = "Parameters that are not trained: names of parameters or of modules, in which \
                      `*` stands for anything.";
const CHECK: &str = "Whether a NaN or an infinity among the weights is an error.";

impl Model {
    pub(super) fn read(section: &mut Section<'_>) -> Result<Self, Reported> {
        let maker =
            section.target::<Maker>("How NeMo makes a model: with saved or random weights.");
        let folder = section.field("pretrained_model_name_or_path", FOLDER, Text.optional());
        let config = section.within("config", CONFIG, read_config);
        let dtype = read_dtype(section);
        let freeze = section.field("freeze", FREEZE, OneOrMore(Text).optional());
        let check_weights = section.field("check_weights", CHECK, Flag.or(false));
        let loads =
            section.field("load_base_model", "Whether saved weights are read.", Flag.optional());
        section.fixed(FIXED);
        let config = config.and_then(|config| config);
        let source = choose(section, maker?, folder?, config?)?;
        let is_pretrained = matches!(source, ModelSource::Pretrained { .. });
        if let Some(loads) = loads?
            && loads != is_pretrained
        {
            let what = if is_pretrained { "saved" } else { "random" };
            let message = format!("{loads} contradicts the rest, which asks for {what} weights");
            return Err(section.refuse("load_base_model", message, "leave it out"));
        }
        let freeze = freeze?.unwrap_or_default();
        Ok(Model { source, dtype: dtype?, freeze, check_weights: check_weights? })
    }
}

/// The section `config`, if there is one: the whole of it, or a folder's with changes.
fn read_config(section: &mut Section<'_>) -> Result<Option<ModelSource>, Reported> {
    let is_written = section.is_written();
    let target = section.target::<ConfigTarget>("Where NeMo takes the config from.");
    let folder = section.field(
        "pretrained_model_name_or_path",
        "The Hugging Face folder with the `config.json`, beside `_target_`.",
        Text.optional(),
    );
    let fields = section.rest();
    let (target, folder, mut fields) = (target?, folder?, fields?);
    match (target, folder) {
        (Some(ConfigTarget::AutoConfig), Some(folder)) => {
            fields.remove("trust_remote_code");
            Ok(Some(ModelSource::ScratchLike { folder, changes: fields }))
        }
        (Some(ConfigTarget::AutoConfig), None) => {
            let message = "nothing says whose config";
            let help = "give a folder as `pretrained_model_name_or_path`";
            Err(section.refuse("pretrained_model_name_or_path", message, help))
        }
        (_, Some(_)) => {
            let message = "a folder is only read with `_target_`";
            let help = "write `_target_: transformers.AutoConfig.from_pretrained` beside it";
            Err(section.refuse("pretrained_model_name_or_path", message, help))
        }
        (target, None) => {
            if let Some(model_type) = target.and_then(ConfigTarget::model_type) {
                match fields.get("model_type") {
                    Some(written) if *written != model_type => {
                        let message = format!("contradicts `_target_`, which is {model_type}");
                        return Err(section.refuse("model_type", message, "remove one of the two"));
                    }
                    Some(_) => {}
                    None => drop(fields.insert("model_type".into(), model_type.into())),
                }
            }
            let config = Value::Object(fields);
            Ok(is_written.then_some(ModelSource::Scratch { config }))
        }
    }
}

/// The type under either of its two names.
fn read_dtype(section: &mut Section<'_>) -> Result<Option<DType>, Reported> {
    let old = section.field("torch_dtype", DTYPE, Auto(Name::OF).optional());
    let new = section.field("dtype", "The same as `torch_dtype`.", Auto(Name::OF).optional());
    match (old?, new?) {
        (Some(old), Some(new)) if old != new => {
            let message = "differs from `torch_dtype`, which is the same key";
            Err(section.refuse("dtype", message, "remove one of the two"))
        }
        (old, new) => Ok(old.or(new).flatten()),
    }
}

/// Folder and config exclude each other, and `_target_` has to agree.
fn choose(
    section: &Section<'_>,
    maker: Option<Maker>,
    folder: Option<String>,
    config: Option<ModelSource>,
) -> Result<ModelSource, Reported> {
    match (folder, config, maker) {
        (Some(_), Some(_), _) => {
            let message = "the weights are either read from a folder or random";
            let help = "remove `config` or `pretrained_model_name_or_path`";
            Err(section.refuse("config", message, help))
        }
        (Some(folder), None, Some(Maker::FromConfig)) => {
            Ok(ModelSource::ScratchLike { folder, changes: Map::new() })
        }
        (Some(folder), None, Some(Maker::FromPretrained) | None) => {
            Ok(ModelSource::Pretrained { folder })
        }
        (None, Some(_), Some(Maker::FromPretrained)) => {
            let message = "`from_pretrained` reads weights, and `config` asks for random ones";
            let help = "write `from_config`, or give `pretrained_model_name_or_path` for `config`";
            Err(section.refuse("_target_", message, help))
        }
        (None, Some(source), Some(Maker::FromConfig) | None) => Ok(source),
        (None, None, _) => {
            let message = "nothing says which model to train";
            let help = "give a folder as `pretrained_model_name_or_path`, or the fields of a \
                        `config.json` as `config`";
            Err(section.refuse_whole(message, help))
        }
    }
}
