//! Parameters that are one tensor to the model and lie on two stages.

/// A parameter that is the same tensor as another one, on another stage: an output head that is
/// tied to the embedding, say. Each stage has a copy.
///
/// Whoever trains such a partition has to give all copies the same values to begin with, and the sum
/// of all their gradients before each step of the optimiser; otherwise they drift apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TiedParameter {
    /// The parameter that the model declares as shared.
    pub parameter: String,
    /// Its stage.
    pub stage: usize,
    /// The parameter that it is the same tensor as. This one is not shared itself: of several
    /// copies, all name the same owner.
    pub owner: String,
    /// The stage of that.
    pub owner_stage: usize,
    /// How many numbers it has.
    pub num_elements: usize,
    /// Whether training changes it.
    pub is_trained: bool,
}
