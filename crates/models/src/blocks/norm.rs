//! The norm that a family has.

/// A root-mean-square norm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct NormShape {
    pub(crate) eps: f64,
    /// Whether weights are told by their distance from one, as in Gemma.
    pub(crate) has_unit_offset: bool,
}
