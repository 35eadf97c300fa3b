//! The crate seen from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod golden; // numbers and names equal those of NeMo AutoModel
mod hf; // graphs of Hugging Face models equal what transformers has
mod properties; // what holds for every split
