//! What can go wrong with parameters and layers.

use candle_core::{DType, Shape};

/// An error of this crate. Layers return candle's error type and put one of these inside it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Two parameters of one set have the same name.
    #[error("the parameter `{name}` exists already; names are unique within a set")]
    DuplicateParameter {
        /// The name given twice.
        name: String,
    },
    /// Numbers that cannot be exchanged under those who hold them.
    #[error("the numbers of `{parameter}` cannot be given up or exchanged: {why}")]
    CannotRelease {
        /// The parameter's name.
        parameter: String,
        /// What is in the way, in words.
        why: &'static str,
    },
    /// Slices that are not a parameter together.
    #[error(
        "`{parameter}` has {expected} numbers of {expected_dtype:?}, got slices with {actual} and {actual_dtype:?}"
    )]
    Slices {
        /// The parameter's name.
        parameter: String,
        /// How many numbers it has.
        expected: usize,
        /// The parameter's dtype.
        expected_dtype: DType,
        /// How many numbers the slices have.
        actual: usize,
        /// The dtype of a slice, another one if there is one.
        actual_dtype: DType,
    },
    /// A slice that goes beyond its parameter.
    #[error("`{parameter}` has {num_elements} numbers, and no slice {range:?}")]
    SliceRange {
        /// The parameter's name.
        parameter: String,
        /// The slice that was asked for.
        range: std::ops::Range<usize>,
        /// How many numbers the parameter has.
        num_elements: usize,
    },
    /// A tensor that cannot be cut in this way.
    #[error("a tensor of shape {whole:?} has no dimension {dim} that is blocks of {blocks:?}")]
    CutBlocks {
        /// Its shape.
        whole: Shape,
        /// The dimension to be cut.
        dim: usize,
        /// The sizes of the blocks that it should be.
        blocks: Vec<usize>,
    },
    /// A rank that has no part.
    #[error("a tensor cut among {count} ranks has no part {index}; they are counted from 0")]
    CutIndex {
        /// The rank's number.
        index: usize,
        /// How many ranks there are.
        count: usize,
    },
    /// More or fewer parts than a whole tensor has.
    #[error("a tensor cut among {expected} ranks is not {actual} parts")]
    CutParts {
        /// How many ranks there are.
        expected: usize,
        /// How many parts were given.
        actual: usize,
    },
    /// A tensor that is not of the shape that the cut says.
    #[error("{what} has shape {actual:?}, by the cut it is {expected:?}")]
    CutShape {
        /// Which tensor, in words.
        what: &'static str,
        /// The shape by the cut.
        expected: Shape,
        /// The shape it has.
        actual: Shape,
    },
    /// An embedding among ranks whose weight is not cut as it has to be.
    #[error(
        "an embedding among ranks needs a weight whose rows are cut, one block with a row for each rank \
         at least; `{parameter}` is another"
    )]
    EmbeddingCut {
        /// The parameter's name.
        parameter: String,
    },
    /// A slice of a parameter that no optimiser works on.
    #[error("`{parameter}` is frozen: only what is trained is cut into slices")]
    FrozenSlice {
        /// The parameter's name.
        parameter: String,
    },
    /// A weight does not have the form its layer needs.
    #[error("the {layer} needs a weight of shape {expected}, `{name}` has {actual:?}")]
    WeightShape {
        /// The layer that was built.
        layer: &'static str,
        /// The parameter's name.
        name: String,
        /// The form in words, as `[out, in]`.
        expected: String,
        /// The shape it has.
        actual: Shape,
    },
    /// An input does not fit the layer.
    #[error("the {layer} takes {expected}, got {actual:?}")]
    InputShape {
        /// The layer or function that was called.
        layer: &'static str,
        /// What it takes, in words.
        expected: String,
        /// The shape it got.
        actual: Shape,
    },
    /// An input's numbers are of the wrong type.
    #[error("the {layer} takes {expected}, got {actual:?}")]
    InputDType {
        /// The layer or function that was called.
        layer: &'static str,
        /// What it takes, in words.
        expected: &'static str,
        /// The dtype it got.
        actual: DType,
    },
    /// A gradient does not fit the tensor it belongs to.
    #[error(
        "the gradient of {of} has shape {actual:?} and dtype {actual_dtype:?}, needs {expected:?} and {expected_dtype:?}"
    )]
    GradientMismatch {
        /// The parameter's name or the output's place.
        of: String,
        /// The tensor's shape.
        expected: Shape,
        /// The tensor's dtype.
        expected_dtype: DType,
        /// The gradient's shape.
        actual: Shape,
        /// The gradient's dtype.
        actual_dtype: DType,
    },
    /// A state of an optimiser with other tensors than its rule needs.
    #[error(
        "the optimiser's state of `{parameter}` has {}, needs {}; load one of the same rule and the same kind of master weights",
        listed(.actual), listed(.expected)
    )]
    StateNames {
        /// The parameter's name.
        parameter: String,
        /// The tensors there should be.
        expected: Vec<String>,
        /// The tensors there are.
        actual: Vec<String>,
    },
    /// Two parameters of one name in one optimiser.
    #[error(
        "the optimiser remembers a `{parameter}` of shape {remembered:?} and dtype {remembered_dtype:?}, not {actual:?} and {actual_dtype:?}; an optimiser knows parameters by their names"
    )]
    StateOfAnother {
        /// The parameter's name.
        parameter: String,
        /// The shape it has.
        actual: Shape,
        /// The dtype it has.
        actual_dtype: DType,
        /// The shape of the one that made a step before.
        remembered: Shape,
        /// The dtype of the one that made a step before.
        remembered_dtype: DType,
    },
    /// A tensor in a state of an optimiser that does not fit its parameter.
    #[error(
        "`{tensor}` in the optimiser's state of `{parameter}` has shape {actual:?} and dtype {actual_dtype:?}, needs {expected:?} and {expected_dtype:?}"
    )]
    StateTensor {
        /// The parameter's name.
        parameter: String,
        /// The tensor's name in the state.
        tensor: String,
        /// The parameter's shape.
        expected: Shape,
        /// The dtype that the parameter is updated in.
        expected_dtype: DType,
        /// The tensor's shape.
        actual: Shape,
        /// The tensor's dtype.
        actual_dtype: DType,
    },
    /// There are more outputs than gradients or the reverse.
    #[error("{num_outputs} outputs need as many gradients, got {num_grads}")]
    GradientCount {
        /// How many outputs were given.
        num_outputs: usize,
        /// How many gradients were given.
        num_grads: usize,
    },
    /// A token id that the embedding has no row for.
    #[error("the token id {id} is out of range: the vocabulary has {vocab_size} entries")]
    TokenOutOfRange {
        /// The id.
        id: i64,
        /// How many rows the embedding has.
        vocab_size: usize,
    },
    /// A label that is neither a class nor [`crate::IGNORE_INDEX`].
    #[error(
        "the label {label} is out of range: the logits have {num_classes} classes, and {} marks what to ignore",
        crate::IGNORE_INDEX
    )]
    LabelOutOfRange {
        /// The label.
        label: i64,
        /// How many classes the logits have.
        num_classes: usize,
    },
    /// Offsets of packed documents that are not cumulative lengths.
    #[error("segment offsets begin with 0 and never fall, got {wrong:?}")]
    SegmentOffsets {
        /// Those of each sequence where it is not so.
        wrong: Vec<Vec<usize>>,
    },
    /// A router that cannot choose so many experts.
    #[error("each token needs between 1 and all {num_experts} experts, got {k}")]
    ExpertCount {
        /// How many were to be chosen.
        k: usize,
        /// How many there are.
        num_experts: usize,
    },
    /// Columns that a tensor does not have.
    #[error("a tensor of {width} columns has no columns {columns:?}")]
    Columns {
        /// Those that were asked for.
        columns: std::ops::Range<usize>,
        /// How many there are.
        width: usize,
    },
    /// Tokens that are not a batch of sequences of one length.
    #[error("{num_tokens} tokens are not {batch} sequences of one length")]
    TokensOfBatch {
        /// How many tokens there are.
        num_tokens: usize,
        /// How many sequences there should be.
        batch: usize,
    },
    /// Packed sequences of one batch whose documents do not add up to one length.
    #[error("the sequences of a batch have one length, the segments add up to {lengths:?}")]
    SegmentLengths {
        /// What the documents of each sequence add up to.
        lengths: Vec<usize>,
    },
    /// Matrices larger than a GPU's BLAS counts.
    #[error(
        "a GPU multiplies matrices with at most {} rows and columns, and as many at once, not {a:?} and {b:?}",
        i32::MAX
    )]
    ProductSize {
        /// The shape of the first factor.
        a: Shape,
        /// The shape of the second.
        b: Shape,
    },
    /// A number that a layer or optimiser cannot be built with.
    #[error("{what} must be {expected}, got {actual}")]
    Setting {
        /// The argument's name.
        what: &'static str,
        /// The values it may have, in words.
        expected: &'static str,
        /// The value it had.
        actual: f64,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// `a`, `b`; or that there are none.
fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no tensors".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl From<Error> for candle_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Tensor(error) => error,
            // Not `wrap`: these errors are the caller's to correct, a backtrace would hide the message.
            error => Self::Wrapped(Box::new(error)),
        }
    }
}
