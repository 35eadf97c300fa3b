//! A node of the graph: one module with what it costs to hold and to run.

use super::{Cost, Kept};

/// What a module is to a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// One of the repeated blocks. An even split counts these and nothing else.
    Layer,
    /// Stands before, after or between the layers (embedding, last norm, output head). An even
    /// split keeps it with its neighbour.
    Boundary,
    /// Holds no parameters and is copied to every stage (rotary tables). It has no edges: each copy
    /// serves its own stage.
    EveryStage,
}

/// One module that is never cut: a whole one goes to a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// Fully qualified, as in the checkpoint: `model.layers.0`.
    pub name: String,
    /// All parameters inside, in registration order.
    pub parameters: Vec<ParameterSpec>,
    /// The modules inside, by their dotted names relative to this one (`self_attn.q_proj`), in
    /// registration order. For listings only; a split does not look at them.
    pub submodules: Vec<String>,
    /// What the module is to a split.
    pub role: Role,
    /// Floating-point operations of the forward pass.
    pub flops: Cost,
    /// Bytes that the forward pass keeps for the backward pass: a [`Cost`] is of what every rank has
    /// all of.
    pub activation_bytes: Kept,
}

impl Module {
    /// How many numbers the parameters hold that are not shared with earlier ones. Exact for every
    /// module of a graph, which takes no module that has more than a `usize` counts.
    pub fn num_parameters(&self) -> usize {
        self.count(|_| true)
    }

    /// How many of them training changes.
    pub fn num_trainable(&self) -> usize {
        self.count(|parameter| parameter.trainable)
    }

    fn count(&self, of: impl Fn(&ParameterSpec) -> bool) -> usize {
        self.parameters
            .iter()
            .filter(|parameter| parameter.shared_with.is_none() && of(parameter))
            .map(|parameter| parameter.num_elements().unwrap_or(usize::MAX))
            .fold(0, usize::saturating_add)
    }
}

/// A parameter by name and shape, without its values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterSpec {
    /// Fully qualified, as in the checkpoint: `model.layers.0.mlp.up_proj.weight`.
    pub name: String,
    /// Sizes of its dimensions, outermost first; empty for a scalar.
    pub shape: Vec<usize>,
    /// Whether training changes it.
    pub trainable: bool,
    /// The name of an earlier parameter that this one is the same tensor as (tied weights).
    pub shared_with: Option<String>,
}

impl ParameterSpec {
    /// A trainable parameter of its own.
    pub fn new(name: impl Into<String>, shape: impl Into<Vec<usize>>) -> Self {
        Self { name: name.into(), shape: shape.into(), trainable: true, shared_with: None }
    }

    /// How many numbers it holds; none if a `usize` cannot count them.
    pub fn num_elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |product, &size| product.checked_mul(size))
    }
}
