//! The section `model`: which model is trained, and from which weights.

use serde_json::Value;

use crate::section::{Reported, Section, json_object, text};

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
}

impl ModelSource {
    pub(super) fn read(mut section: Section<'_>) -> Result<Self, Reported> {
        let folder = section.optional("pretrained_model_name_or_path", text);
        let config = section.optional("config", json_object);
        section.finish();
        match (folder?, config?) {
            (Some(folder), None) => Ok(ModelSource::Pretrained { folder }),
            (None, Some(config)) => Ok(ModelSource::Scratch { config }),
            (Some(_), Some(_)) => {
                let message = "the weights are either read from a folder or random";
                let help = "remove `config` or `pretrained_model_name_or_path`";
                Err(section.refuse("config", message, help))
            }
            (None, None) => {
                let message = "nothing says which model to train";
                let help = "give a folder as `pretrained_model_name_or_path`, or the fields of a \
                            `config.json` as `config`";
                Err(section.refuse_whole(message, help))
            }
        }
    }
}
