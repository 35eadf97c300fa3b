//! What can be wrong with a module or an edge that is to be added to a graph.

use crate::nearest::did_you_mean;

/// A module or an edge that cannot be added to a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two modules of one name.
    #[error("module `{module}` is in the graph already")]
    DuplicateModule {
        /// The name.
        module: String,
    },
    /// Two parameters of one name.
    #[error(
        "parameter `{parameter}` is in the graph already; name a tied one apart and set its \
         `shared_with`"
    )]
    DuplicateParameter {
        /// The name.
        parameter: String,
    },
    /// Copies of a parameter on every stage would drift apart.
    #[error(
        "module `{module}` is on every stage and has parameter `{parameter}`, whose copies would \
         drift apart; only modules without parameters can be on every stage"
    )]
    ParametersOnEveryStage {
        /// The module.
        module: String,
        /// Its first parameter.
        parameter: String,
    },
    /// A shared parameter without the one it is shared with.
    #[error("parameter `{parameter}` is shared with `{owner}`, which no module has so far")]
    UnknownOwner {
        /// The parameter.
        parameter: String,
        /// What it says it is shared with.
        owner: String,
    },
    /// One tensor cannot have two shapes.
    #[error(
        "parameter `{parameter}` of shape {shape:?} is shared with `{owner}` of shape \
         {owner_shape:?}, these have to be equal"
    )]
    SharedShape {
        /// The parameter.
        parameter: String,
        /// Its shape.
        shape: Vec<usize>,
        /// What it is shared with.
        owner: String,
        /// The shape of that.
        owner_shape: Vec<usize>,
    },
    /// More parameters than a machine word counts.
    #[error(
        "with parameter `{parameter}` of shape {shape:?} the model has more than {} numbers",
        usize::MAX
    )]
    TooManyParameters {
        /// The parameter that is too much.
        parameter: String,
        /// Its shape.
        shape: Vec<usize>,
    },
    /// An edge to or from nowhere.
    #[error("the graph has no module `{module}`{}", did_you_mean(.nearest))]
    UnknownModule {
        /// The name.
        module: String,
        /// The module that was probably meant.
        nearest: Option<String>,
    },
    /// An edge of a module with one copy per stage.
    #[error("module `{module}` is on every stage, so that no edge can lead to or from it")]
    EdgeOnEveryStage {
        /// The module.
        module: String,
    },
    /// An edge to the module itself or to an earlier one.
    #[error("no edge can lead from `{from}` to `{to}`: modules are added in data-flow order")]
    AgainstFlow {
        /// Where the edge starts.
        from: String,
        /// Where it ends.
        to: String,
    },
    /// A second edge between the same modules.
    #[error("`{from}` and `{to}` are connected already; one edge carries all tensors")]
    DuplicateEdge {
        /// Where the edge starts.
        from: String,
        /// Where it ends.
        to: String,
    },
}
