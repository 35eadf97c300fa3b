//! Models in which a decoder of text stands beside an encoder of images or sound.

use super::block::Bias;
use super::decoder::Decoder;
use super::families::{self, ReadDecoder};
use super::fields::{Fields, MAX_FACTOR, shown};
use super::towers::{
    Encoder, Projection, Tower, chosen_encoder, concat_projector, gemma3_projector,
    idefics3_vision, linear_projector, merging_projector, qwen2_5_vl_visual, qwen2_audio_encoder,
    qwen2_vl_visual, two_layer_projector,
};

/// A kind of model with more than text.
pub(super) struct Nested {
    pub(super) text: Text,
    /// How its modules are called.
    pub(super) modules: Places,
    /// How they are called in checkpoints.
    pub(super) checkpoint: Places,
    /// What stands before the text, in data-flow order; `Decoder` is that of the text.
    pub(super) towers: fn(&Fields<'_>, &Decoder) -> Vec<Tower>,
}

/// Which decoder the text has.
pub(super) enum Text {
    /// That of `text_config.model_type`, or this one.
    Chosen(&'static str),
    /// Always this one.
    Fixed(ReadDecoder),
    /// Always this one; in older configs its fields stand beside the others.
    Flat(ReadDecoder),
}

/// Where modules stand.
#[derive(Clone, Copy)]
pub(super) struct Places {
    /// What comes before the name of a tower.
    pub(super) towers: &'static str,
    /// What comes before `layers.0`.
    pub(super) text: &'static str,
    pub(super) lm_head: &'static str,
}

/// All modules in one, the head beside it.
const INNER: Places =
    Places { towers: "model.", text: "model.language_model.", lm_head: "lm_head" };

/// A whole model of text, with its head, among the others.
const OUTER: Places =
    Places { towers: "", text: "language_model.model.", lm_head: "language_model.lm_head" };

/// A model of text, and the others beside it.
const BESIDE: Places = Places { towers: "", text: "model.", lm_head: "lm_head" };

/// As `INNER`, by other names.
const IDEFICS: Places = Places { text: "model.text_model.", ..INNER };

/// All kinds. A further one is an entry here, and a file in `towers` if its encoder is a new one.
pub(super) const NESTED: [(&str, Nested); 7] = [
    ("gemma3", Nested::new(Text::Fixed(families::gemma3_text), gemma3)),
    ("idefics3", Nested::new(Text::Chosen("llama"), idefics3).called(IDEFICS, IDEFICS)),
    ("llava", Nested::new(Text::Chosen("llama"), llava)),
    ("mistral3", Nested::new(Text::Chosen("mistral"), mistral3)),
    ("qwen2_5_vl", Nested::new(QWEN, qwen2_5_vl).called(INNER, BESIDE)),
    ("qwen2_audio", Nested::new(Text::Chosen("qwen2"), qwen2_audio)),
    ("qwen2_vl", Nested::new(QWEN, qwen2_vl).called(INNER, BESIDE)),
];

const QWEN: Text = Text::Flat(families::qwen2_vl_text);

impl Nested {
    /// One with the names that most have.
    const fn new(text: Text, towers: fn(&Fields<'_>, &Decoder) -> Vec<Tower>) -> Self {
        Self { text, modules: INNER, checkpoint: OUTER, towers }
    }

    const fn called(self, modules: Places, checkpoint: Places) -> Self {
        Self { modules, checkpoint, ..self }
    }
}

fn llava(fields: &Fields<'_>, text: &Decoder) -> Vec<Tower> {
    let Some(vision) =
        encoder(fields, "vision_config", |fields| chosen_encoder(fields, "clip_vision_model"))
    else {
        return Vec::new();
    };
    let projection = projection(&vision, text);
    let bias = fields.flag("multimodal_projector_bias", true).into();
    let projector = two_layer_projector(projection, num_feature_layers(fields), bias);
    vec![vision.named("vision_tower"), projector]
}

fn mistral3(fields: &Fields<'_>, text: &Decoder) -> Vec<Tower> {
    let Some(vision) = encoder(fields, "vision_config", |fields| chosen_encoder(fields, "pixtral"))
    else {
        return Vec::new();
    };
    let projection = projection(&vision, text);
    let side = fields.range("spatial_merge_size", 1, MAX_FACTOR).unwrap_or(2);
    let bias = Bias::from(fields.flag("multimodal_projector_bias", false));
    let projector = merging_projector(projection, num_feature_layers(fields), side, bias);
    vec![vision.named("vision_tower"), projector]
}

fn gemma3(fields: &Fields<'_>, text: &Decoder) -> Vec<Tower> {
    let Some(vision) =
        encoder(fields, "vision_config", |fields| chosen_encoder(fields, "siglip_vision_model"))
    else {
        return Vec::new();
    };
    let num_tokens = fields.size("mm_tokens_per_image", 256);
    let projector = gemma3_projector(projection(&vision, text), num_tokens);
    vec![vision.named("vision_tower"), projector]
}

fn idefics3(fields: &Fields<'_>, text: &Decoder) -> Vec<Tower> {
    let Some(vision) = encoder(fields, "vision_config", idefics3_vision) else {
        return Vec::new();
    };
    let side = fields.range("scale_factor", 1, MAX_FACTOR).unwrap_or(2);
    let projection = Projection { name: "connector", ..projection(&vision, text) };
    vec![vision.named("vision_model"), concat_projector(projection, side)]
}

fn qwen2_audio(fields: &Fields<'_>, text: &Decoder) -> Vec<Tower> {
    let Some(audio) = encoder(fields, "audio_config", qwen2_audio_encoder) else {
        return Vec::new();
    };
    let projector = linear_projector(projection(&audio, text));
    vec![audio.named("audio_tower"), projector]
}

fn qwen2_vl(fields: &Fields<'_>, _: &Decoder) -> Vec<Tower> {
    let visual = encoder(fields, "vision_config", qwen2_vl_visual);
    visual.map(|visual| visual.named("visual")).into_iter().collect()
}

fn qwen2_5_vl(fields: &Fields<'_>, _: &Decoder) -> Vec<Tower> {
    let visual = encoder(fields, "vision_config", qwen2_5_vl_visual);
    visual.map(|visual| visual.named("visual")).into_iter().collect()
}

fn projection(encoder: &Encoder, text: &Decoder) -> Projection {
    let (from, to) = (encoder.out, text.sizes.hidden_size);
    Projection { name: "multi_modal_projector", from, to }
}

/// Reads an encoder from the object of fields under `key`, which has to be there.
fn encoder(
    fields: &Fields<'_>,
    key: &'static str,
    read: impl FnOnce(&Fields<'_>) -> Encoder,
) -> Option<Encoder> {
    let inner = fields.required_object(key, "an object of the encoder's fields")?;
    let encoder = read(&inner);
    fields.absorb(inner);
    Some(encoder)
}

/// Of how many layers of the encoder the features are taken, side by side.
fn num_feature_layers(fields: &Fields<'_>) -> usize {
    let key = "vision_feature_layer";
    match fields.get(key) {
        Some(value) if value.is_array() => {
            let expected = "the number of a layer, or a list of such numbers";
            let layers = fields.list(key, expected, serde_json::Value::as_i64);
            layers.map_or(1, |layers| layers.len().clamp(1, MAX_FACTOR))
        }
        Some(value) if !value.is_i64() => {
            let expected = "the number of a layer, or a list of such numbers";
            fields.refuse_shown(key, shown(value), expected.to_owned());
            1
        }
        Some(_) | None => 1,
    }
}
