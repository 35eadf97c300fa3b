//! Why bytes are no letter, or a letter cannot be made bytes.

/// Why a letter cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(in super::super) enum WireError {
    #[error("it ends after {has} bytes where {needs} more were to come")]
    TooShort { needs: u64, has: usize },
    #[error("it says that it has {told} bytes and has {got}")]
    Length { told: u64, got: usize },
    #[error("{left} bytes are left over at its end")]
    LeftOver { left: usize },
    #[error("it has the mark {mark:#018x}; are all processes of one version?")]
    Mark { mark: u64 },
    #[error("there is no kind {kind}")]
    Kind { kind: u64 },
    #[error("there is no number type {code}")]
    Dtype { code: u64 },
    #[error("a tensor of shape {dims:?} does not fit into memory")]
    Shape { dims: Vec<usize> },
    #[error("{0} is beyond what this machine can count")]
    Number(u64),
    #[error("a text is not UTF-8")]
    Text,
    #[error("`{0}` is no action")]
    Action(String),
    #[error("there is no room for {bytes} bytes")]
    Room { bytes: u64 },
    #[error("a tensor of {0:?} cannot be sent")]
    Unsendable(candle_core::DType),
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}
