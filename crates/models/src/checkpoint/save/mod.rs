//! Writes a checkpoint that transformers can load, by many ranks and without ever harming the last.
//!
//! All files go into a folder beside the final one, which takes its place when everything is on
//! disk. With several ranks on a shared file system:
//!
//! 1. one rank calls [`begin`], the others wait for it,
//! 2. every rank calls [`write_shard`] with the parameters of its stages,
//! 3. when all have, one rank calls [`write_index_and_config`] and then [`commit`].

mod index;
mod shard;
mod swap;

#[cfg(test)]
mod tests;

pub use index::write_index_and_config;
pub use shard::write_shard;
pub use swap::{begin, commit, partial};
