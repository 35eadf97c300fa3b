//! Hugging Face's models as graphs, from their `config.json` alone.
//!
//! `fields` collects what is wrong; `families` has a file for each kind of decoder, made of `blocks`,
//! and `nested` those that stand beside encoders, which are in `towers`; `read` names it all, and
//! `graph` makes the modules. A `block` is a tree of parameters with their costs.

mod block;
mod blocks;
mod decoder;
mod error;
mod families;
mod fields;
mod graph;
mod kind;
mod model;
mod names;
mod nested;
mod read;
mod towers;

pub use error::{HfError, HfProblem};
pub use model::{HfModel, HfNesting, hf_model};
pub use names::{HfNames, generate_hf_model_fqn_per_model_part};
