//! The name of one direction of a mesh, and which names stand for several directions at once.

#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt};

/// The name of a mesh axis.
///
/// A training run uses the constants; any other name will do in a mesh of one's own.
///
/// ```
/// use autopipe_mesh::Axis;
///
/// assert_eq!(Axis::from("pp"), Axis::PP);
/// assert_eq!(Axis::from(String::from("rows")).as_str(), "rows");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Axis(Cow<'static, str>);

impl Axis {
    /// Pipeline parallelism: neighbours along this axis hold different stages.
    pub const PP: Axis = Axis::named("pp");
    /// Replicated data parallelism: each holds a whole copy of its stage.
    pub const DP_REPLICATE: Axis = Axis::named("dp_replicate");
    /// Sharded data parallelism: each holds a share of its stage's parameters.
    pub const DP_SHARD: Axis = Axis::named("dp_shard");
    /// Context parallelism: each has a part of every sequence.
    pub const CP: Axis = Axis::named("cp");
    /// Tensor parallelism: each has a part of every layer.
    pub const TP: Axis = Axis::named("tp");
    /// Expert parallelism: each holds some experts of its stage. An axis of expert meshes.
    pub const EP: Axis = Axis::named("ep");
    /// The ranks that share the parameters of the same experts. An axis of expert meshes.
    pub const EP_SHARD: Axis = Axis::named("ep_shard");
    /// Flattened: `dp_replicate` x `dp_shard`, the ranks that read different data.
    pub const DP: Axis = Axis::named("dp");
    /// Flattened: `dp_shard` x `cp`, the ranks that share one copy of the parameters.
    pub const DP_SHARD_CP: Axis = Axis::named("dp_shard_cp");
    /// Flattened: `dp_replicate` x `dp_shard` x `cp`, the ranks whose losses add up.
    pub const DP_CP: Axis = Axis::named("dp_cp");

    const fn named(name: &'static str) -> Self {
        Axis(Cow::Borrowed(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The axes that a flattened axis runs over, slowest first; nothing for any other name.
    pub(crate) fn flattens(&self) -> &'static [Axis] {
        const DP: &[Axis] = &[Axis::DP_REPLICATE, Axis::DP_SHARD];
        const DP_SHARD_CP: &[Axis] = &[Axis::DP_SHARD, Axis::CP];
        const DP_CP: &[Axis] = &[Axis::DP_REPLICATE, Axis::DP_SHARD, Axis::CP];
        match self.as_str() {
            "dp" => DP,
            "dp_shard_cp" => DP_SHARD_CP,
            "dp_cp" => DP_CP,
            _ => &[],
        }
    }
}

impl From<&'static str> for Axis {
    fn from(name: &'static str) -> Self {
        Axis(Cow::Borrowed(name))
    }
}

impl From<String> for Axis {
    fn from(name: String) -> Self {
        Axis(Cow::Owned(name))
    }
}

impl fmt::Display for Axis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
