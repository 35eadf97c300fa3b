//! What can be wrong with the files of a checkpoint.

/// One thing that is wrong with a checkpoint. Files are named within its folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointProblem {
    /// A file that cannot be opened or read.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the operating system says.
        reason: String,
    },
    /// A file that does not begin as a safetensors file does.
    #[error("{file} is damaged or no safetensors file: {reason}")]
    Header {
        /// The file.
        file: String,
        /// What is wrong with the header.
        reason: String,
    },
    /// A file that ends too early, or does not end where it should.
    #[error(
        "{file} has {actual} bytes, its header promises {expected}; it may not have been copied whole"
    )]
    Length {
        /// The file.
        file: String,
        /// The length that the header leads to.
        expected: u64,
        /// The length that it has.
        actual: u64,
    },
    /// An index that does not map tensors to files of the folder.
    #[error("{file} cannot be used: {reason}")]
    Index {
        /// The index file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A tensor that is not where the index says.
    #[error("the index has tensor `{tensor}` in {file}, which has no such tensor")]
    NotWhereIndexed {
        /// The tensor.
        tensor: String,
        /// Where it should be.
        file: String,
    },
    /// A tensor that the index does not know.
    #[error("{file} has tensor `{tensor}`, which the index does not have there")]
    NotIndexed {
        /// The tensor.
        tensor: String,
        /// Where it is.
        file: String,
    },
    /// A tensor that two files have.
    #[error("tensor `{tensor}` is in {first} and again in {second}")]
    Twice {
        /// The tensor.
        tensor: String,
        /// A file that has it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A tensor of the model that no file has.
    #[error("tensor `{tensor}` is missing")]
    Missing {
        /// The tensor.
        tensor: String,
    },
    /// A tensor that the model has no place for.
    #[error("{file} has tensor `{tensor}`, which the model does not have")]
    Extra {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
    },
    /// A tensor of another shape than the config gives it.
    #[error("tensor `{tensor}` in {file} has shape {actual:?}, the config needs {expected:?}")]
    Shape {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The shape by the config.
        expected: Vec<usize>,
        /// The shape in the file.
        actual: Vec<usize>,
    },
    /// A tensor with a NaN or an infinity, if that was looked for.
    #[error("tensor `{tensor}` in {file} is {value} at {index:?}, and no training can begin so")]
    NotFinite {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// The first such number.
        value: String,
        /// Its index along each dimension.
        index: Vec<usize>,
    },
    /// A tensor of numbers that weights do not come in.
    #[error("tensor `{tensor}` in {file} is {dtype}; supported are F32, BF16 and F16")]
    Dtype {
        /// The file.
        file: String,
        /// The tensor.
        tensor: String,
        /// Its dtype, as safetensors names it.
        dtype: String,
    },
}
