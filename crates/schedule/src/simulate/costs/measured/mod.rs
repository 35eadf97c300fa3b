//! Costs from a run that was measured.

mod memory;
mod messages;
mod middle;
#[cfg(test)]
mod tests;
mod times;
mod workspace;

use super::{CostKey, Costs, PerStage};
use crate::Timeline;

impl Costs {
    /// What a run has cost, in times and, if its spans have sizes, in memory.
    ///
    /// **Times.** Every computation, collective and optimiser step has its exact time. What the run
    /// did not do, and another schedule may, has its stage's median.
    ///
    /// **Messages.** The latency of an edge between two stages is the least that one of its messages
    /// took, from its send's start to its receive's end. Only messages count whose receive had to
    /// wait, and those first whose receive was posted before the send; an edge without such messages
    /// has none. The latency includes what depends on the size, which one size cannot tell apart, so
    /// that there is no bandwidth. The size of an edge's messages is their median, and where they
    /// differ they say how large each microbatch is beside the others.
    ///
    /// **Memory.** What a stage holds of a microbatch is the median of what its forwards have left,
    /// `held_for_w` and `held_for_r` likewise, and a workspace that of how far the peaks of its
    /// computations were above what was held before and behind them. So what happens once, as a
    /// gradient's buffer that the first backward makes, counts for no microbatch: it is `resident`,
    /// with everything else that a rank held beside its microbatches, which is the median again,
    /// shared out among the rank's stages. Of two values in the middle, the one that the first
    /// microbatch disturbs less is taken. What a message brings and takes away counts with the
    /// computation that uses or made it. What only a rank without sizes could say is 0.
    ///
    /// # Examples
    /// ```
    /// use autopipe_schedule::{Costs, Extent, Kind, generate, lower, simulate, validate};
    ///
    /// let extent = Extent { num_ranks: 4, stages_per_rank: 1, num_microbatches: 8 };
    /// let program = validate(lower(&generate(Kind::OneFOneB, &extent)?))?;
    /// let run = simulate(&program, &Costs::uniform(3.0, 4.0, 2.0, 0.5)?); // as if measured
    /// assert_eq!(simulate(&program, &Costs::measured(&run)), run);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn measured(timeline: &Timeline) -> Self {
        let num_stages = num_stages(timeline);
        let mut given = times::of_stages(timeline, num_stages);
        given.extend(messages::of_edges(timeline, num_stages));
        let costs = Self {
            given,
            actions: times::of_actions(timeline),
            microbatch_sizes: messages::sizes(timeline),
            ..Self::UNIT
        };
        // A timeline has no times and no sizes but finite ones, 0 or more.
        memory::add(costs.worked_out(), timeline, num_stages)
    }
}

fn num_stages(timeline: &Timeline) -> usize {
    let parts = timeline.rows().iter().flatten().flat_map(|span| span.action.computes());
    parts.map(|part| part.stage.index() + 1).max().unwrap_or(0)
}
