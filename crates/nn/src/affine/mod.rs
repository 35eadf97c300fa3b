//! A number for each column, multiplied or added to every row: what the weight of a normalisation
//! and a bias do.

mod bias;
mod scale;

pub use bias::add_bias;
pub(crate) use bias::{AddBias, bias_grad};
pub(crate) use scale::Scale;
