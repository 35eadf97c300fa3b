//! What a lowering adds to a plan beyond sends and receives.

use crate::Stage;

/// What to add to a plan. The default is sends and receives alone, as [`lower`](super::lower) does.
///
/// # Examples
/// ```
/// use autopipe_schedule::lower::{Lowering, Sharding, WaitSends};
///
/// let two_resident = Sharding { max_active_stages: 2, ..Sharding::TORCH };
/// let lowering =
///     Lowering { sharding: Some(two_resident), wait_sends: WaitSends::AtMost(4), ..Lowering::TORCH };
/// assert!(lowering.tied.is_empty());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lowering {
    /// Whether parameters are sharded, so that a stage's have to be gathered before it computes.
    pub sharding: Option<Sharding>,
    /// The reduction of each stage's gradients over its replicas.
    pub reduce_grads: ReduceGrads,
    /// Where the sender makes sure that its messages have been taken.
    pub wait_sends: WaitSends,
    /// Where receives stand.
    pub receives: Receives,
    /// The groups of stages that share a parameter: the gradients of each group are summed behind
    /// everything else of the step, in the order of the groups. Each stage of a group gets a
    /// `REDUCE_TIED` with the group's number.
    pub tied: Vec<Vec<Stage>>,
    /// Where the optimiser runs.
    pub optimizer_steps: OptimizerSteps,
}

impl Lowering {
    /// What torch 2.15 does unless told otherwise: up to three stages of a rank gathered, a
    /// reduction with its wait directly behind a stage's last backward, one wait a send.
    pub const TORCH: Self = Self {
        sharding: Some(Sharding::TORCH),
        reduce_grads: ReduceGrads::Immediate,
        wait_sends: WaitSends::WhenTaken,
        receives: Receives::Early,
        tied: Vec::new(),
        optimizer_steps: OptimizerSteps::Never,
    };
}

/// How many stages have their parameters gathered, and when the gathering starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sharding {
    /// How many stages of a rank may be gathered at a time, at least 1. More than the rank has
    /// gathers each stage once.
    pub max_active_stages: usize,
    /// How far ahead the gathering starts.
    pub lookahead: Lookahead,
}

impl Sharding {
    /// torch's defaults: 3 stages, gathered as early as there is room.
    pub const TORCH: Self = Self { max_active_stages: 3, lookahead: Lookahead::Full };
}

/// How many different stages, the current one among them, are gathered ahead of their use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookahead {
    /// As many as may be gathered at a time.
    Full,
    /// `rank + 2` of them, if that many may be gathered at a time: the first rank has no time to
    /// spare when a step begins, each later rank a stage's forward more.
    Auto,
    /// A number for each rank, from 1 to `max_active_stages`.
    PerRank(Vec<usize>),
}

/// Where a stage's gradients are reduced: behind its last backward, if at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReduceGrads {
    /// There are no replicas, or somebody else reduces.
    #[default]
    Never,
    /// The wait follows directly.
    Immediate,
    /// The wait stands before the rank's next reduction, or at the end: computation goes on
    /// meanwhile, and at most one reduction is on its way.
    Deferred,
}

/// Where a rank waits until its sends have been taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitSends {
    /// Nowhere: the transport looks after what it has been given.
    #[default]
    Never,
    /// For activations behind the backward that they come back as, when they are known to have
    /// been taken; for all else at the end.
    WhenTaken,
    /// Earlier where this is needed, so that never more than so many sends of a rank are under way.
    AtMost(usize),
}

/// Where receives stand in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receives {
    /// As early as possible, so that messages travel while the rank computes.
    #[default]
    Early,
    /// Later, for devices on which a receive that waits holds up other work: directly before the
    /// computation that needs it, or before the next send or a receive that cannot wait. The order
    /// of a rank's messages stays the same.
    Late,
    /// As late as torch's `defer_pp_recv` puts them: directly before the computation that needs
    /// them, or before a send to the same rank if that rank's number is higher. This changes the
    /// order of messages, with which two ranks can end up both waiting to send, and where tensors
    /// are not used in the order in which they are sent, each takes another for its own. So
    /// [`validate`](crate::validate()) may refuse the program; [`Late`](Self::Late) is never
    /// refused.
    Deferred,
}

/// Where the optimiser updates the parameters of a stage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OptimizerSteps {
    /// Outside of the program.
    #[default]
    Never,
    /// As soon as the stage's gradients are final, while other stages still compute.
    WhenReady,
    /// At the end of the row, for what needs the gradients of all stages first.
    AtEnd,
}
