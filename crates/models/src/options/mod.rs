//! How a model is to be trained, whatever it is: precision, what stays as it is, what is recomputed.

mod pattern;

#[cfg(test)]
mod tests;

use candle_core::DType;

pub use pattern::Pattern;
pub(crate) use pattern::matches_end;

use crate::Lora;

/// How a model is to be trained. The default is all of it, in float32.
///
/// # Examples
/// ```
/// use autopipe_models::{Options, Recompute};
///
/// let options = Options {
///     freeze: vec!["model.embed_tokens".to_owned(), "model.layers.[0-3]".to_owned()],
///     recompute: Recompute::All,
///     ..Options::default()
/// };
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// What weights are converted to when they are read, and computed in: float32, bfloat16 or
    /// float16. Gradients of the latter two are float32.
    pub dtype: DType,
    /// Parameters that stay as they are: names of parameters or of modules, in which `*`, `?` and
    /// `[..]` stand for what they do in file names (`*` for dots too). A stage in front in which
    /// everything is frozen costs no backward.
    pub freeze: Vec<String>,
    /// Adapters to be trained in place of the model, all of which is then frozen.
    pub lora: Option<Lora>,
    /// Which layers keep only their input between forward and backward.
    pub recompute: Recompute,
    /// Whether a NaN or an infinity among a stage's weights is an error.
    pub check_finite: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dtype: DType::F32,
            freeze: Vec::new(),
            lora: None,
            recompute: Recompute::None,
            check_finite: false,
        }
    }
}

/// Which layers compute their forward again when their backward comes, for less memory in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recompute {
    /// None.
    #[default]
    None,
    /// All: `full`.
    All,
    /// Every so many, beginning with the first: layers `0`, `n`, `2n`, ...; 1 is all of them, 0 none.
    Every(usize),
}

impl Recompute {
    /// Whether the layer of this number, counted over the whole model, is recomputed.
    pub(crate) fn has(self, layer: usize) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Every(every) => every > 0 && layer.is_multiple_of(every),
        }
    }
}
