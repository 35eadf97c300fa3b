//! Writes a checkpoint that transformers can load, by many ranks and without ever harming the last.
//!
//! All files go into a folder beside the final one, which takes its place when everything is on
//! disk. With several ranks on a shared file system:
//!
//! 1. one rank calls [`begin`], the others wait for it,
//! 2. every rank calls [`write_shard`] with the parameters of its stages,
//! 3. when all have, one rank calls [`finish`] and then [`commit`].
//!
//! What is trained with adapters is saved in either of two ways ([`Content`]): the adapters alone, as
//! PEFT loads them, or the model with the adapters merged into its matrices.

mod adapter;
mod finish;
mod merge;
mod shard;
mod swap;

#[cfg(test)]
mod tests;

use std::path::Path;

pub use finish::finish;
pub use shard::{is_read, write_shard};
pub use swap::{begin, commit, partial, sync_folder};

use crate::AutoModel;

/// A checkpoint that is being written, the same on every rank.
#[derive(Clone, Copy, Debug)]
pub struct Writing<'a> {
    /// Where its files go: what [`begin`] or [`partial`] returned.
    pub folder: &'a Path,
    /// What is saved.
    pub model: &'a AutoModel,
    /// Which part of it.
    pub content: Content,
    /// How many ranks write.
    pub num_shards: usize,
}

/// What of a model is saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    /// All of it: a folder as transformers loads it. Adapters are merged into the matrices that they
    /// belong to.
    #[default]
    Model,
    /// What was trained beside the frozen model, as PEFT loads it.
    Adapter,
}
