//! The losses that can be named in a recipe.

use crate::choice::choices;

choices! {
    /// A loss known by name.
    pub enum LossName("loss function") {
        /// Cross entropy over the labels that are not -100, summed, divided by how many there are
        /// in the whole batch.
        MaskedCrossEntropy = "masked_cross_entropy",
    }
}
