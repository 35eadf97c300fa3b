//! Stages as Megatron-LM writes them in one line: `Et*3|(tt|)*29,m|L`.

mod error;
mod parse;
mod print;
mod split;
#[cfg(test)]
mod tests;

pub use error::{LayoutError, LayoutProblem};
pub use split::split_layout;

/// Stages in Megatron-LM's notation (`pipeline_model_parallel_layout`): a letter for each thing that
/// a stage has, and `|` between stages.
///
/// | letter | stands for |
/// | --- | --- |
/// | `E` | the embedding: all that comes before the first layer |
/// | `t` | a transformer layer |
/// | `m` | a module for multi-token prediction |
/// | `L` | the loss: all that comes after the last layer, so the last norm and the output head |
///
/// `t*3` is `ttt`, and `(tt|)*2` is `tt|tt|`; groups may stand in groups. Commas and blanks mean
/// nothing. It is read by [`FromStr`](std::str::FromStr) and printed in a short form that is read
/// as the same layout.
///
/// # Examples
/// ```
/// use autopipe_splitter::Layout;
///
/// let layout: Layout = "Et*3|(tt|)*29,m|L".parse()?;
/// assert_eq!(layout.stages().len(), 32);
/// assert_eq!((layout.stages()[0].layers, layout.stages()[7].layers), (3, 2));
/// assert_eq!(layout.to_string(), "Et*3|(tt|)*29,m|L");
/// # Ok::<(), autopipe_splitter::LayoutError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    stages: Vec<LayoutStage>,
}

/// What one stage of a [`Layout`] has, in the order in which it is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LayoutStage {
    /// How many `E`.
    pub embeddings: usize,
    /// How many `t`.
    pub layers: usize,
    /// How many `m`.
    pub predictions: usize,
    /// How many `L`.
    pub losses: usize,
}

impl Layout {
    /// A layout of these stages, whether or not a model has them.
    pub fn new(stages: impl Into<Vec<LayoutStage>>) -> Self {
        Self { stages: stages.into() }
    }

    /// From the first to the last.
    pub fn stages(&self) -> &[LayoutStage] {
        &self.stages
    }
}

impl LayoutStage {
    /// Each letter with how often it stands here.
    fn counts(self) -> [(char, usize); 4] {
        [('E', self.embeddings), ('t', self.layers), ('m', self.predictions), ('L', self.losses)]
    }
}
