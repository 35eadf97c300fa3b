//! Encoders of images and sound, which stand before the layers of a decoder.
//!
//! What they cost is a matter of the sample, not of its text: one image of the size that the config
//! gives, or one clip of the length that the encoder takes.

mod audio;
mod clip;
mod image;
mod pixtral;
mod projector;
mod qwen;
mod siglip;
mod vit;

use super::block::Block;
use super::fields::{Fields, shown};

pub(super) use audio::qwen2_audio_encoder;
pub(super) use projector::{Projection, concat_projector, gemma3_projector, linear_projector};
pub(super) use projector::{merging_projector, two_layer_projector};
pub(super) use qwen::{qwen2_5_vl_visual, qwen2_vl_visual};
pub(super) use siglip::idefics3_vision;

/// A module that something else than text goes through before the text does.
#[derive(Clone, Debug)]
pub(super) struct Tower {
    pub(super) name: &'static str,
    pub(super) block: Block,
    /// How many patches or frames of a sample go through.
    pub(super) num_tokens: usize,
    /// How many come out, and how wide they are.
    pub(super) out: Features,
}

/// What comes out of a tower for a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    pub(super) num_tokens: usize,
    pub(super) width: usize,
}

/// Reads an encoder under its own name from the fields of its config.
pub(super) type ReadEncoder = fn(&Fields<'_>) -> Encoder;

/// An encoder without a name.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    pub(super) block: Block,
    pub(super) num_tokens: usize,
    pub(super) out: Features,
}

impl Encoder {
    pub(super) fn named(self, name: &'static str) -> Tower {
        Tower { name, block: self.block, num_tokens: self.num_tokens, out: self.out }
    }
}

/// The encoders that a config may choose from, by their `model_type`.
const CHOICE: [(&str, ReadEncoder); 3] = [
    ("clip_vision_model", clip::clip),
    ("pixtral", pixtral::pixtral),
    ("siglip_vision_model", siglip::siglip),
];

/// Reads the encoder that `model_type` names, `default` if it names none.
pub(super) fn chosen_encoder(fields: &Fields<'_>, default: &str) -> Encoder {
    let given = fields.text("model_type").unwrap_or(default);
    let known = CHOICE.iter().find(|(name, _)| *name == given);
    let read = match known {
        Some((_, read)) => *read,
        None => {
            let value = shown(&given.into());
            let names = CHOICE.map(|(name, _)| format!("\"{name}\"")).join(", ");
            fields.refuse_shown("model_type", value, format!("one of {names}"));
            clip::clip
        }
    };
    read(fields)
}
