//! A cost that no schedule can go below.

use super::instance::{Instance, count};

/// The lower bound of the longest span.
///
/// A rank's span is its work and the time it waits. Three arguments bound them from below; the
/// bound is the best of them over all ranks. `K` is the number of activations a rank may hold, `T`
/// the way of a microbatch from the rank onwards and back.
///
/// *Start.* The first I of a rank needs its microbatch to have gone the whole way `T` to the end of
/// the pipeline and back, which starts with a forward on this rank. All that the rank can do in
/// this time is at most `K` forwards, since only an I gives room. It waits for `T - K F`. This is
/// the bound of arXiv 2401.10241, appendix B.
///
/// *End*, with one stage a rank. After the last forward of the rank its microbatch goes on and comes
/// back in `R = T - F`. All that the rank can do meanwhile belongs to the other microbatches it
/// keeps something of: `n - 1` of them before their I, `d` between I and W, with
/// `n M_B + d M_W <= limit`. It waits for `R - max((n - 1) (I + W) + d W)`. If an I precedes the
/// last forward, this wait is apart from the one at the start, and they add up.
///
/// *Room.* A microbatch takes `M_B` for the time `T` and `M_W` for the time of a W, at least. A rank
/// has its limit for the time of its span, and `m` microbatches must fit into this area.
pub(super) fn lower_bound(instance: &Instance) -> f64 {
    let ways = Ways::new(instance);
    (0..instance.num_ranks)
        .map(|rank| {
            let idle = if instance.num_chunks == 1 {
                idle_of_one(instance, &ways, rank)
            } else {
                idle_of_two(instance, &ways, rank)
            };
            (instance.work(rank) + idle).max(room(instance, &ways, rank))
        })
        .fold(0.0, f64::max)
}

/// The ways to the end of the pipeline and back.
struct Ways {
    /// By stage, from the end of its forward to the start of the same microbatch's I.
    returns: Vec<f64>,
    /// By stage, from the end of its forward to the end of the last stage's.
    forwards: Vec<f64>,
    /// By stage, from the start of the last stage's I to the start of its own.
    inputs: Vec<f64>,
}

impl Ways {
    fn new(instance: &Instance) -> Self {
        let mut ways = Self { returns: Vec::new(), forwards: Vec::new(), inputs: Vec::new() };
        let (mut forwards, mut inputs) = (0.0, 0.0);
        for stage in (0..instance.num_stages()).rev() {
            ways.forwards.push(forwards);
            ways.inputs.push(inputs);
            ways.returns.push(forwards + inputs);
            if let Some(previous) = stage.checked_sub(1) {
                forwards += instance.forward(stage) + instance.hop(previous);
                inputs += instance.input(stage) + instance.hop(previous);
            }
        }
        for list in [&mut ways.returns, &mut ways.forwards, &mut ways.inputs] {
            list.reverse();
        }
        ways
    }
}

fn idle_of_one(instance: &Instance, ways: &Ways, rank: usize) -> f64 {
    let m = instance.num_microbatches;
    let [forward, _, input, ..] = instance.durations[rank];
    let returns = ways.returns[rank];
    let capacity = instance.capacity(rank);
    let at_start = |num: usize| (forward + returns - count(num) * forward).max(0.0);
    // Either an I precedes the last forward, or no I does and all are held at once.
    let mut least = f64::INFINITY;
    if m > 1 {
        least = at_start(capacity.min(m - 1)) + (returns - most_at_end(instance, rank)).max(0.0);
    }
    if capacity >= m {
        let weight = instance.durations[rank][4];
        let others = returns - count(m - 1) * (input + weight);
        least = least.min(at_start(m).max(others));
    }
    least.max(0.0)
}

/// The most that a rank can do between its last forward and the I of the same microbatch.
fn most_at_end(instance: &Instance, rank: usize) -> f64 {
    let [_, _, input, _, weight, _] = instance.durations[rank];
    let m = instance.num_microbatches;
    (1..=instance.capacity(rank).min(m))
        .map(|held| {
            let others =
                u64::try_from(held).unwrap_or(u64::MAX).saturating_mul(instance.activation);
            let room = instance.limits[rank].saturating_sub(others);
            let waiting = room
                .checked_div(instance.weight_input)
                .map_or(m - held, |fit| usize::try_from(fit).unwrap_or(m).min(m - held));
            count(held - 1) * (input + weight) + count(waiting) * weight
        })
        .fold(0.0, f64::max)
}

fn idle_of_two(instance: &Instance, ways: &Ways, rank: usize) -> f64 {
    let (there, back) = (instance.stage(rank, 0), instance.stage(rank, 1));
    // The first I of the rank is one of its later stage: the earlier stage's needs it.
    let way = instance.forward(there) + ways.forwards[there] + ways.inputs[back];
    let longest = instance.forward(there).max(instance.forward(back));
    (way - count(instance.capacity(rank)) * longest).max(0.0)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a relative error of 1e-16 is far below the bound's"
)]
fn room(instance: &Instance, ways: &Ways, rank: usize) -> f64 {
    let limit = instance.limits[rank] as f64;
    if limit <= 0.0 {
        return 0.0;
    }
    let area: f64 = (0..instance.num_chunks)
        .map(|chunk| {
            let stage = instance.stage(rank, chunk);
            let kept = instance.forward(stage) + ways.returns[stage] + instance.input(stage);
            let weight = instance.durations[rank][4 + chunk];
            kept * instance.activation as f64 + weight * instance.weight_input as f64
        })
        .sum();
    count(instance.num_microbatches) * area / limit
}
