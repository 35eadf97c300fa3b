//! What can be wrong with a file of tokens.

use std::path::PathBuf;

use safetensors::SafeTensorError;

/// Why a file of tokens cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokensProblem {
    /// A name that does not tell how the tokens are written.
    #[error("`{}` is no file of tokens; their names end in `.bin` or `.safetensors`", path.display())]
    Extension {
        /// The file.
        path: PathBuf,
    },
    /// Raw tokens of which the last is not whole.
    #[error(
        "`{}` has {num_bytes} bytes, which are no whole tokens of {token_bytes}; say how wide they are \
         with `token_dtype`",
        path.display()
    )]
    Odd {
        /// The file.
        path: PathBuf,
        /// Its length.
        num_bytes: u64,
        /// Bytes of a token.
        token_bytes: u64,
    },
    /// Not in the form that its name says.
    #[error("`{}` is no safetensors file: {source}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        source: SafeTensorError,
    },
    /// None of its tensors has the name of tokens.
    #[error(
        "`{}` has no tensor `tokens` or `input_ids`; its tensors are: {}",
        path.display(),
        names.join(", ")
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What it has, in order.
        names: Vec<String>,
    },
    /// Not one row of tokens.
    #[error(
        "the tensor `{name}` of `{}` has the shape {dims:?}; give one dimension, documents one after \
         the other",
        path.display()
    )]
    Shape {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// Its shape.
        dims: Vec<usize>,
    },
    /// Not numbers of tokens.
    #[error(
        "the tensor `{name}` of `{}` is of type {dtype}; tokens are U8, U16, U32, I32 or I64",
        path.display()
    )]
    DType {
        /// The file.
        path: PathBuf,
        /// The tensor.
        name: &'static str,
        /// Its type, as safetensors writes it.
        dtype: String,
    },
}
