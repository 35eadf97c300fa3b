//! A cut made better by moving the ends of its stages, as long as that helps.

use super::costs::Costs;
use super::search::Cut;

/// How many stages are weighed in all, which takes about half a second.
const MOST_WEIGHED: usize = 1 << 24;

/// What a cut is judged by, the lesser the better: bytes beyond the limits, cost, and the unevenness
/// of the ranks and stages. The latter lets it move where that helps only later, and makes stages
/// alike where it does not matter.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) struct Worth {
    pub(super) excess: f64,
    pub(super) cost: f64,
    ranks: f64,
    stages: f64,
}

impl Worth {
    pub(super) fn of(costs: &Costs<'_>, limits: &[f64], ends: &[usize]) -> Self {
        let (mut times, mut memory) = (vec![0.0; limits.len()], vec![0.0; limits.len()]);
        let (mut start, mut sending, mut stages) = (0, 0.0, 0.0);
        for (stage, &end) in ends.iter().enumerate() {
            let (rank, time) = (costs.rank(stage), costs.time(start, end));
            times[rank] += time;
            memory[rank] += costs.memory(stage, start, end);
            sending += costs.sending(stage, end);
            stages += time * time;
            start = end;
        }
        let excess = memory.iter().zip(limits).map(|(has, limit)| (has - limit).max(0.0));
        Self {
            excess: excess.sum(),
            cost: sending + costs.following * times.iter().copied().fold(0.0, f64::max),
            ranks: times.iter().map(|time| time * time).sum(),
            stages,
        }
    }
}

/// The cut that no move makes better: neither of one end by any power of two, nor of several
/// neighbouring ends by one module.
pub(super) fn improve(costs: &Costs<'_>, limits: &[f64], cut: Cut) -> (Cut, Worth) {
    let mut ends = cut.ends;
    let mut worth = Worth::of(costs, limits, &ends);
    let mut left = MOST_WEIGHED;
    // The last end is that of the model.
    let movable = ends.len() - 1;
    loop {
        let before = worth;
        for (first, last, by) in moves(movable, costs.num_modules()) {
            // What follows a move that helped may help once more.
            while let Some(moved) = shifted(&ends, first, last, by) {
                let Some(rest) = left.checked_sub(moved.len()) else {
                    return (Cut::new(costs, ends), worth);
                };
                left = rest;
                let other = Worth::of(costs, limits, &moved);
                if other < worth {
                    (ends, worth) = (moved, other);
                } else {
                    break;
                }
            }
        }
        if worth == before {
            return (Cut::new(costs, ends), worth);
        }
    }
}

/// Which ends to move, first and last, and by how many modules.
fn moves(movable: usize, num_modules: usize) -> impl Iterator<Item = (usize, usize, isize)> {
    let most = num_modules.checked_ilog2().unwrap_or(0);
    let single = (0..movable).flat_map(move |end| {
        (0..=most).flat_map(move |power| [(end, end, 1 << power), (end, end, -(1 << power))])
    });
    let several = (0..movable)
        .flat_map(move |first| (first + 1..movable).map(move |last| (first, last)))
        .flat_map(|(first, last)| [(first, last, 1), (first, last, -1)]);
    single.chain(several)
}

/// None if a stage would be left without a module.
fn shifted(ends: &[usize], first: usize, last: usize, by: isize) -> Option<Vec<usize>> {
    let before = first.checked_sub(1).map_or(0, |stage| ends[stage]);
    let fits = before < ends[first].checked_add_signed(by)?
        && ends[last].checked_add_signed(by)? < ends[last + 1];
    if !fits {
        return None;
    }
    let mut moved = ends.to_vec();
    for end in &mut moved[first..=last] {
        *end = end.saturating_add_signed(by);
    }
    Some(moved)
}
