//! How a number of stages becomes a multiple of the number of ranks.

use crate::choice::choices;

choices! {
    /// What to do with a number of stages that the pipeline ranks cannot share evenly.
    pub enum Rounding("rounding") {
        /// Take the next multiple: more and smaller stages.
        Up = "up",
        /// Take the multiple before: fewer and larger stages.
        Down = "down",
    }
}
