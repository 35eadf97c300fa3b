//! What can be wrong with a mesh, or with a question put to one.

use crate::{Axis, MAX_RANKS};

/// An error of this crate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The sizes describe no mesh; holds everything that is wrong with them, at least one problem.
    #[error("{}", joined(.0))]
    Impossible(Vec<Problem>),
    /// The mesh has no axis of this name, flattened or not.
    #[error("the mesh has no axis `{axis}`, its axes are {}", listed(.axes))]
    UnknownAxis {
        /// The name asked for.
        axis: Axis,
        /// The names there are, the flattened ones last.
        axes: Vec<Axis>,
    },
    /// The mesh has no axis of the name that the pipeline's is said to have.
    #[error("the mesh has no pipeline axis `{axis}`; name one of its axes {}", listed(.axes))]
    NoPipelineAxis {
        /// The name asked for.
        axis: Axis,
        /// The axes of the mesh.
        axes: Vec<Axis>,
    },
    /// Two of the axes asked for run along the same direction.
    #[error("`{first}` and `{second}` share an axis of the mesh; a sub-mesh takes each one once")]
    SharedAxis {
        /// The one named first.
        first: Axis,
        /// The one that runs along a direction of the first again.
        second: Axis,
    },
    /// The rank is not a member of the mesh.
    #[error("rank {rank} is not one of the {world_size} ranks of the mesh {mesh}")]
    UnknownRank {
        /// The rank asked for.
        rank: usize,
        /// How many ranks the mesh has.
        world_size: usize,
        /// The axes and sizes of the mesh, as text.
        mesh: String,
    },
    /// A coordinate has the wrong number of components.
    #[error("a coordinate of the mesh {mesh} has {expected} components, this one has {got}")]
    CoordinateLength {
        /// How many components were given.
        got: usize,
        /// How many axes the mesh has.
        expected: usize,
        /// The axes and sizes of the mesh, as text.
        mesh: String,
    },
    /// A component of a coordinate lies beyond its axis.
    #[error("coordinate {index} on axis `{axis}` is too large, the last one is {}", .size.saturating_sub(1))]
    CoordinateRange {
        /// The axis of the component.
        axis: Axis,
        /// The component given.
        index: usize,
        /// The size of the axis, at least 1.
        size: usize,
    },
}

/// One reason why sizes describe no mesh.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// There is no axis at all.
    #[error("a mesh needs at least one axis")]
    NoAxis,
    /// There is no rank to place.
    #[error("the world has 0 ranks, a mesh needs at least 1")]
    EmptyWorld,
    /// An axis has an empty name, or blanks only.
    #[error("axis number {position} has no name")]
    EmptyName {
        /// Where it stands, counted from 0.
        position: usize,
    },
    /// An axis has size 0.
    #[error("axis `{axis}` has size 0, the smallest is 1")]
    ZeroSize {
        /// The axis.
        axis: Axis,
    },
    /// Several axes have one name.
    #[error("axis `{axis}` is given more than once")]
    DuplicateAxis {
        /// The name.
        axis: Axis,
    },
    /// A name is both an axis and a flattened view of others.
    #[error(
        "axis `{axis}` stands for {} already, which the mesh has too; rename it",
        product(.axis.flattens())
    )]
    FlattenedAxis {
        /// The name.
        axis: Axis,
    },
    /// The product of the sizes is beyond [`MAX_RANKS`].
    #[error("{sizes} is more than the {MAX_RANKS} ranks a mesh can have")]
    TooManyRanks {
        /// The sizes, as a product.
        sizes: String,
    },
    /// The data-parallel size cannot be inferred.
    #[error("{world_size} ranks cannot be shared out over pp {pp} x cp {cp} x tp {tp} evenly")]
    Indivisible {
        /// Ranks in the world.
        world_size: usize,
        /// Pipeline-parallel size.
        pp: usize,
        /// Context-parallel size.
        cp: usize,
        /// Tensor-parallel size.
        tp: usize,
    },
    /// All sizes are given and do not multiply to the number of ranks.
    #[error(
        "pp {pp} x dp {dp} x cp {cp} x tp {tp} does not make {world_size} ranks; \
         leave dp out to have it inferred"
    )]
    WorldSize {
        /// Ranks in the world.
        world_size: usize,
        /// Pipeline-parallel size.
        pp: usize,
        /// Data-parallel size.
        dp: usize,
        /// Context-parallel size.
        cp: usize,
        /// Tensor-parallel size.
        tp: usize,
    },
    /// The replicas do not divide the data-parallel ranks.
    #[error("dp {dp} is not a multiple of dp_replicate {dp_replicate}")]
    Replicas {
        /// Data-parallel size.
        dp: usize,
        /// Replicated data-parallel size.
        dp_replicate: usize,
    },
    /// The expert-parallel size does not divide the ranks of a stage.
    #[error(
        "ep {ep} does not divide the {num_ranks} ranks of each pipeline stage; \
         take a divisor of {num_ranks}"
    )]
    Experts {
        /// Expert-parallel size.
        ep: usize,
        /// Ranks of each stage: all that are not told apart by the pipeline axis.
        num_ranks: usize,
    },
    /// A list of ranks is longer or shorter than the mesh.
    #[error("the mesh {mesh} takes {expected} ranks, the list has {got}")]
    RankCount {
        /// How many ranks were given.
        got: usize,
        /// How many the mesh has.
        expected: usize,
        /// The axes and sizes of the mesh, as text.
        mesh: String,
    },
    /// A list of ranks has some of them more than once.
    #[error("a mesh has each rank once, and the list repeats {}", counted(.ranks))]
    RepeatedRanks {
        /// Those that occur more than once, in order.
        ranks: Vec<usize>,
    },
}

fn joined(problems: &[Problem]) -> String {
    problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("; ")
}

fn listed(axes: &[Axis]) -> String {
    axes.iter().map(|axis| format!("`{axis}`")).collect::<Vec<_>>().join(", ")
}

fn product(axes: &[Axis]) -> String {
    axes.iter().map(Axis::as_str).collect::<Vec<_>>().join(" x ")
}

/// Some of the ranks by number, the others by how many they are.
fn counted(ranks: &[usize]) -> String {
    const NAMED: usize = 8;
    let named: Vec<String> = ranks.iter().take(NAMED).map(usize::to_string).collect();
    match ranks.len().saturating_sub(NAMED) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
