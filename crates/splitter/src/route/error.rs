//! Why tensors cannot find their way.

/// Something that leaves the way of a tensor open.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The partition is of another graph.
    #[error("module `{module}` is on no stage: the partition is of another model")]
    NotPlaced {
        /// The module.
        module: String,
    },
    /// An edge past a stage that does not say what passes.
    #[error(
        "`{to}` on stage {to_stage} takes what `{from}` on stage {from_stage} makes, and the edge \
         between them names no tensors; a stage between has to know what it hands on, so name them"
    )]
    Unnamed {
        /// The module that makes them.
        from: String,
        /// Its stage.
        from_stage: usize,
        /// The module that takes them.
        to: String,
        /// Its stage.
        to_stage: usize,
    },
    /// Two edges that disagree.
    #[error(
        "two edges of `{from}` carry tensor `{tensor}` with different shapes or element types; \
         give different tensors different names"
    )]
    TwoShapes {
        /// The module that makes it.
        from: String,
        /// The tensor.
        tensor: String,
    },
}
