//! What travels along an edge of the graph: a tensor's shape and element type.

/// One tensor that passes from a module to a later one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// What the tensor is, for people: `hidden_states`.
    pub name: String,
    /// Its dimensions, outermost first.
    pub dims: Vec<Dim>,
    /// The type of its elements, one per edge and the same in every microbatch.
    pub dtype: ElementType,
}

/// The size of one dimension, as far as the model alone decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dim {
    /// Samples in the microbatch.
    Batch,
    /// Tokens per sample.
    Sequence,
    /// A size that the model fixes, such as its width.
    Fixed(usize),
}

/// The type of a tensor's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElementType {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// 16-bit IEEE float.
    F16,
    /// 16-bit brain float.
    Bf16,
    /// 64-bit signed integer.
    I64,
    /// 32-bit unsigned integer.
    U32,
    /// 8-bit unsigned integer.
    U8,
}
