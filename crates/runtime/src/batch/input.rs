//! One input of a batch, and how the microbatches come by it.

use candle_core::{Result, Tensor};

/// A value that is not cut: what a stage may be given by keyword beside tensors.
#[derive(Clone, Debug)]
pub enum InputValue {
    /// Nothing, said expressly.
    None,
    /// A truth value.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// A text.
    Text(String),
    /// A tensor.
    Tensor(Tensor),
}

impl InputValue {
    /// What it is, in a word.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Text(_) => "a text",
            Self::Tensor(_) => "a tensor",
        }
    }
}

macro_rules! value_from {
    ($($t:ty => $variant:ident),* $(,)?) => {$(
        impl From<$t> for InputValue {
            fn from(value: $t) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}
value_from!(bool => Bool, i64 => Int, f64 => Float, String => Text, &str => Text, Tensor => Tensor);

/// One input of a batch, and how the microbatches come by it.
///
/// A tensor becomes one by `into()`: its samples then lie along dimension 0.
///
/// # Examples
/// ```
/// use autopipe_runtime::Input;
/// use candle_core::{DType, Device, Tensor};
///
/// let ids = Tensor::zeros((6, 128), DType::U32, &Device::Cpu)?;
/// let positions = Tensor::zeros((3, 6, 128), DType::U32, &Device::Cpu)?; // three for each token
/// let inputs: [Input; 4] = [
///     ids.into(),                  // microbatches share the rows out
///     Input::along(positions, 1),  // and so along dimension 1
///     Input::same(0.5),            // all get this
///     Input::each(vec![]),         // cut already, each of a shape of its own
/// ];
/// # candle_core::Result::Ok(())
/// ```
#[derive(Clone, Debug)]
pub enum Input {
    /// Cut into near-even pieces along a dimension: the first `len % num_microbatches` are one
    /// longer, as `torch.tensor_split` has it.
    Along {
        /// All samples.
        tensor: Tensor,
        /// The dimension along which they lie.
        dim: usize,
    },
    /// Cut already, one tensor for each microbatch; their shapes may differ.
    Each(Vec<Tensor>),
    /// The same for every microbatch.
    Same(InputValue),
}

impl Input {
    /// A tensor whose samples lie along `dim`.
    pub fn along(tensor: Tensor, dim: usize) -> Self {
        Self::Along { tensor, dim }
    }

    /// One tensor for each microbatch.
    pub fn each(tensors: impl Into<Vec<Tensor>>) -> Self {
        Self::Each(tensors.into())
    }

    /// The same for every microbatch.
    pub fn same(value: impl Into<InputValue>) -> Self {
        Self::Same(value.into())
    }

    /// Its tensors: one, one for each microbatch, or none.
    pub fn tensors(&self) -> &[Tensor] {
        match self {
            Self::Along { tensor, .. } | Self::Same(InputValue::Tensor(tensor)) => {
                std::slice::from_ref(tensor)
            }
            Self::Each(tensors) => tensors,
            Self::Same(_) => &[],
        }
    }

    /// What one of `num_microbatches` gets; the batch has been checked.
    pub(crate) fn part(&self, num_microbatches: usize, index: usize) -> Result<InputValue> {
        Ok(match self {
            Self::Along { tensor, dim } => {
                let (start, len) = chunk(tensor.dim(*dim)?, num_microbatches, index);
                InputValue::Tensor(tensor.narrow(*dim, start, len)?.contiguous()?.detach())
            }
            Self::Each(tensors) => match tensors.get(index) {
                Some(tensor) => InputValue::Tensor(tensor.detach()),
                None => {
                    candle_core::bail!("no tensor for microbatch {index} of an input cut already")
                }
            },
            Self::Same(InputValue::Tensor(tensor)) => InputValue::Tensor(tensor.detach()),
            Self::Same(value) => value.clone(),
        })
    }

    /// The same, where only a tensor will do.
    pub(crate) fn tensor_part(&self, num_microbatches: usize, index: usize) -> Result<Tensor> {
        match self.part(num_microbatches, index)? {
            InputValue::Tensor(tensor) => Ok(tensor),
            other => candle_core::bail!("a tensor is needed here, got {}", other.kind()),
        }
    }
}

impl From<Tensor> for Input {
    fn from(tensor: Tensor) -> Self {
        Self::along(tensor, 0)
    }
}

/// Rows of `index` among `num_chunks` near-even chunks of `len`: start and length. The first
/// `len % num_chunks` chunks are one longer, as `torch.tensor_split` has it.
pub(crate) fn chunk(len: usize, num_chunks: usize, index: usize) -> (usize, usize) {
    let (base, longer) = (len / num_chunks, len % num_chunks);
    (index * base + index.min(longer), base + usize::from(index < longer))
}
