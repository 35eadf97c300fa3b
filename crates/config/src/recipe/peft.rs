//! The section `peft`: low-rank adapters that are trained in place of the model.

use crate::{
    choice::choices,
    section::{
        Fixed, Flag, Fraction, Kind as _, OneOrMore, Only, Positive, Reported, Section, Size, Text,
    },
};

/// Low-rank adapters, which are trained while the model stays as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Peft {
    /// What the adapters are in the beginning.
    pub adapters: Adapters,
    /// The part of an adapter's input that is dropped in training; without it that of the saved
    /// adapters, or 0.
    pub dropout: Option<f64>,
    /// Whether the last checkpoint is the whole model with the adapters merged into it, and not the
    /// adapters.
    pub merge: bool,
}

/// What adapters are in the beginning.
#[derive(Debug, Clone, PartialEq)]
pub enum Adapters {
    /// New ones, which change nothing at first.
    New {
        /// The matrices that have one: names, ends of names, or patterns; at least one.
        target_modules: Vec<String>,
        /// The width between an adapter's two matrices.
        dim: usize,
        /// What an adapter's result is multiplied by, times `dim`.
        alpha: f64,
        /// Whether that is times the root of `dim` instead.
        use_rslora: bool,
        /// Modules that are trained whole beside the adapters.
        modules_to_save: Vec<String>,
    },
    /// Those in a folder, which says itself where they belong.
    Pretrained {
        /// The folder with `adapter_config.json` and `adapter_model.safetensors`.
        folder: String,
    },
}

choices! {
    /// How NeMo names adapters.
    enum PeftTarget("`_target_`") {
        /// Of low rank.
        Lora = "nemo_automodel.components._peft.lora.PeftConfig",
    }
}

const FIXED: &[Fixed] = &[
    Fixed {
        key: "dropout_position",
        only: &[Only::Text("pre")],
        reason: "what is dropped is of an adapter's input, before its first matrix",
    },
    Fixed {
        key: "use_dora",
        only: &[Only::Flag(false)],
        reason: "an adapter is added to its matrix, whose length is not learnt apart",
    },
    Fixed {
        key: "use_triton",
        only: &[Only::Flag(true), Only::Flag(false)],
        reason: "there are no kernels to choose from, and the result is the same",
    },
    Fixed {
        key: "lora_dtype",
        only: &[],
        reason: "adapters are float32, whatever the type of the model",
    },
    Fixed {
        key: "lora_A_init",
        only: &[],
        reason: "an adapter's first matrix is evenly distributed at first, as in PEFT",
    },
    Fixed {
        key: "exclude_modules",
        only: &[Only::NoItems],
        reason: "matrices get an adapter by `target_modules` alone",
    },
];

/// What `target_modules` says for all of them.
const ALL: &str = "all-linear";

const TARGETS: &str = "The matrices that get an adapter: names or ends of names, in which `*` \
                       stands for anything, or `all-linear` for all but the head.";
const WHOLE: &str = "Modules that are trained whole beside the adapters and saved with them: names \
                     or ends of names.";
const PRETRAINED: &str = "A folder of adapters to go on from, in place of new ones.";
const MERGE: &str = "Whether the last checkpoint is the whole model with the adapters merged into \
                     it, in place of the adapters.";

/// What only new adapters are told: saved ones bring it along.
const OF_NEW_ONES: [&str; 6] =
    ["target_modules", "match_all_linear", "dim", "alpha", "use_rslora", "modules_to_save"];

impl Peft {
    /// Nothing if there is no section.
    pub(super) fn read(section: &mut Section<'_>) -> Result<Option<Self>, Reported> {
        section.describe("Low-rank adapters, which are trained while the model stays as it is.");
        let target = section.target::<PeftTarget>("How NeMo names adapters.");
        let targets = section.field("target_modules", TARGETS, OneOrMore(Text).optional());
        let all = section.field(
            "match_all_linear",
            "The same as `target_modules: all-linear`.",
            Flag.or(false),
        );
        let dim_doc = "The width between an adapter's two matrices.";
        let dim = section.field("dim", dim_doc, Size.or(8_usize));
        let alpha_doc = "What an adapter's result is multiplied by, times `dim`.";
        let alpha = section.field("alpha", alpha_doc, Positive.or(32.0));
        let dropout_doc = "The part of an adapter's input that is dropped in training; without it \
                           that of the adapters of `pretrained`, or 0.";
        let dropout = section.field("dropout", dropout_doc, Fraction.optional());
        let rslora_doc = "Whether `alpha` is divided by the root of `dim`, not by `dim`.";
        let use_rslora = section.field("use_rslora", rslora_doc, Flag.or(false));
        let whole = section.field("modules_to_save", WHOLE, OneOrMore(Text).optional());
        let folder = section.field("pretrained", PRETRAINED, Text.optional());
        let merge = section.field("merge", MERGE, Flag.or(false));
        section.fixed(FIXED);
        if !section.is_written() {
            return Ok(None);
        }
        target?;
        let adapters = match folder? {
            Some(folder) => pretrained(section, folder)?,
            None => Adapters::New {
                target_modules: chosen(section, targets?, all?)?,
                dim: dim?,
                alpha: alpha?,
                use_rslora: use_rslora?,
                modules_to_save: whole?.unwrap_or_default(),
            },
        };
        Ok(Some(Peft { adapters, dropout: dropout?, merge: merge? }))
    }
}

fn pretrained(section: &Section<'_>, folder: String) -> Result<Adapters, Reported> {
    let mut adapters = Ok(Adapters::Pretrained { folder });
    for key in OF_NEW_ONES.iter().filter(|key| section.is_set(key)) {
        let message = "the adapters of `pretrained` bring it along";
        let help = "leave it out, or leave `pretrained` out for new adapters";
        adapters = Err(section.refuse(key, message, help));
    }
    adapters
}

/// The matrices, named in either of two ways.
fn chosen(
    section: &Section<'_>,
    targets: Option<Vec<String>>,
    all: bool,
) -> Result<Vec<String>, Reported> {
    match (targets, all) {
        (Some(targets), true) if targets != [ALL] => {
            let message = "all matrices get an adapter already, by `match_all_linear`";
            Err(section.refuse("target_modules", message, "remove one of the two"))
        }
        (Some(targets), _) => Ok(targets),
        (None, true) => Ok(vec![ALL.to_owned()]),
        (None, false) => {
            let message = "nothing says which matrices get an adapter";
            let help = "give their names as `target_modules`, such as [q_proj, v_proj], or \
                        `all-linear`";
            Err(section.refuse_whole(message, help))
        }
    }
}
