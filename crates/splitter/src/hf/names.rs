//! The module lists of an even split by the names that Hugging Face's decoders use, without a graph.

use crate::Error;
use crate::split::layer_stages;

/// The names under which a vision or audio encoder may stand beside a decoder.
const MULTIMODAL_ENCODERS: [&str; 15] = [
    "vision_tower",
    "visual",
    "vision_model",
    "image_encoder",
    "vision_encoder",
    "embed_vision",
    "audio_tower",
    "audio_encoder",
    "audio_model",
    "mm_projector",
    "multi_modal_projector",
    "multimodal_projector",
    "vision_projector",
    "vit_large_projector",
    "audio_projector",
];

/// Which modules a decoder has beside its layers and its last norm, and where their names begin.
///
/// The default is a text decoder: all but the multimodal encoders, under `model.`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HfNames {
    /// What comes before `layers.0`; with its dot.
    pub prefix: String,
    /// Whether there is `embed_tokens`.
    pub embeddings: bool,
    /// Whether to list every name that a multimodal encoder may have. Not all of them will exist,
    /// so such lists are no input for [`split_explicit`](crate::split_explicit).
    pub multimodal_encoders: bool,
    /// Further modules of the first stage, by their full names.
    pub extra: Vec<String>,
    /// The full name of the output head, if there is one.
    pub lm_head: Option<String>,
    /// Whether there is `rotary_emb`, which is on every stage.
    pub rotary_emb: bool,
}

impl Default for HfNames {
    fn default() -> Self {
        Self {
            prefix: "model.".to_owned(),
            embeddings: true,
            multimodal_encoders: false,
            extra: Vec::new(),
            lm_head: Some("lm_head".to_owned()),
            rotary_emb: true,
        }
    }
}

/// Per stage the names of its modules, as `module_fqns_per_model_part` takes them: the layers split
/// as by [`split_even`](crate::split_even), what comes before them on the first stage, norm and
/// head on the last.
///
/// A start for lists that are then edited by hand.
///
/// ```
/// use autopipe_splitter::{HfNames, generate_hf_model_fqn_per_model_part};
///
/// let lists = generate_hf_model_fqn_per_model_part(2, 3, &HfNames::default())?;
/// assert_eq!(lists[0], ["model.embed_tokens", "model.layers.0", "model.layers.1", "model.rotary_emb"]);
/// assert_eq!(lists[1], ["model.layers.2", "model.norm", "lm_head", "model.rotary_emb"]);
/// # Ok::<(), autopipe_splitter::Error>(())
/// ```
///
/// # Errors
/// If there is no stage, there are fewer layers than stages, or more than a million layers.
pub fn generate_hf_model_fqn_per_model_part(
    num_stages: usize,
    num_layers: usize,
    names: &HfNames,
) -> Result<Vec<Vec<String>>, Error> {
    let stage_of_layer = layer_stages(num_layers, num_stages)?;
    let prefixed = |name: &str| format!("{}{name}", names.prefix);
    let mut lists = vec![Vec::new(); num_stages];
    if names.embeddings {
        lists[0].push(prefixed("embed_tokens"));
    }
    if names.multimodal_encoders {
        lists[0].extend(MULTIMODAL_ENCODERS.map(prefixed));
    }
    lists[0].extend(names.extra.iter().cloned());
    for layer in 0..num_layers {
        lists[stage_of_layer(layer)].push(prefixed(&format!("layers.{layer}")));
    }
    let last = &mut lists[num_stages - 1];
    last.push(prefixed("norm"));
    last.extend(names.lm_head.clone());
    if names.rotary_emb {
        for list in &mut lists {
            list.push(prefixed("rotary_emb"));
        }
    }
    Ok(lists)
}
