//! What a measured step has taken beyond its prediction, in a few lines.

use autopipe::schedule::{Comparison, Timeline, compare};

/// How many kinds of actions are named.
const NUM_KINDS: usize = 3;

/// Idle time measured and predicted, the kinds of actions that took longest against their prediction,
/// and the rank that computed longest against its own. Both timelines are in seconds.
///
/// ```
/// use autopipe::schedule::{Costs, Extent, Kind, generate, simulate_plan};
/// use autopipe_trainer::trace::summary;
///
/// let extent = Extent { num_ranks: 2, stages_per_rank: 1, num_microbatches: 4 };
/// let plan = generate(Kind::OneFOneB, &extent)?;
/// let measured = simulate_plan(&plan, &"F=1:2,B=2".parse()?); // as if measured
/// assert_eq!(
///     summary(&measured, &simulate_plan(&plan, &"F=1,B=2".parse()?)),
///     "step 19.000 s, predicted 15.000 s
/// bubble 15.8%, predicted 20.0%
/// slowest against their prediction: F 1.50x, B 1.00x
/// rank 1 computed 1.33x as long as predicted, the most of all"
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn summary(timeline: &Timeline, predicted: &Timeline) -> String {
    let comparison = compare(timeline, predicted);
    let mut lines = step_and_bubble(timeline, predicted).to_vec();
    lines.extend(slowest_kinds(&comparison));
    lines.extend(slowest_rank(&comparison));
    lines.join("\n")
}

/// How long the step took, and how much of that even the busiest rank waited.
pub(crate) fn step_and_bubble(timeline: &Timeline, predicted: &Timeline) -> [String; 2] {
    let (step, predicted_step) = (timeline.makespan(), predicted.makespan());
    let [bubble, predicted_bubble] =
        [timeline, predicted].map(|timeline| 100.0 * timeline.bubble_rate().max(0.0));
    [
        format!("step {step:.3} s, predicted {predicted_step:.3} s"),
        format!("bubble {bubble:.1}%, predicted {predicted_bubble:.1}%"),
    ]
}

fn slowest_kinds(comparison: &Comparison) -> Option<String> {
    let mut kinds: Vec<(&str, f64)> = (comparison.ops.iter())
        .filter_map(|op| Some((op.op, factor(op.measured_time, op.simulated_time)?)))
        .collect();
    kinds.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    let named: Vec<String> =
        kinds.iter().take(NUM_KINDS).map(|(name, factor)| format!("{name} {factor:.2}x")).collect();
    (!named.is_empty()).then(|| format!("slowest against their prediction: {}", named.join(", ")))
}

fn slowest_rank(comparison: &Comparison) -> Option<String> {
    let ranks = comparison.ranks.iter().enumerate();
    let factors = ranks
        .filter_map(|(rank, sums)| Some((rank, factor(sums.measured_work, sums.simulated_work)?)));
    // Of several the first.
    let (rank, factor) =
        factors.reduce(|worst, next| if next.1 > worst.1 { next } else { worst })?;
    let is_alone = comparison.ranks.len() == 1;
    let rest = if is_alone { "" } else { ", the most of all" };
    Some(format!("rank {rank} computed {factor:.2}x as long as predicted{rest}"))
}

/// How many times as long; nothing of what takes no time.
fn factor(measured: f64, predicted: f64) -> Option<f64> {
    let factor = measured / predicted;
    factor.is_finite().then_some(factor)
}
