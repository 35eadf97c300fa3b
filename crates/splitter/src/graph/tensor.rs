//! What travels along an edge of the graph: a tensor's shape and element type.

use super::BatchShape;

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

impl TensorSpec {
    /// How many bytes it has for one microbatch. It is a float, so that nothing overflows.
    #[expect(clippy::cast_precision_loss, reason = "a size is no different at the 16th digit")]
    pub fn num_bytes(&self, shape: BatchShape) -> f64 {
        let size = |dim: &Dim| match *dim {
            Dim::Batch => shape.batch_size as f64,
            Dim::Sequence => shape.seq_len as f64,
            Dim::Fixed(size) => size as f64,
        };
        self.dims.iter().map(size).product::<f64>() * self.dtype.size_in_bytes() as f64
    }
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

impl ElementType {
    /// How many bytes one element has.
    pub fn size_in_bytes(self) -> usize {
        match self {
            Self::F64 | Self::I64 => 8,
            Self::F32 | Self::U32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }
}
