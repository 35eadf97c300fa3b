//! A cut made better by moving the ends of its stages, as long as that helps; and from there again
//! from cuts beside it.

use super::costs::Costs;
use super::search::Cut;

/// How many stages are weighed for each module of the model, which takes about 20 milliseconds for a
/// hundred modules, and how many in all.
const MOST_WEIGHED_EACH: usize = 1 << 13;
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

/// The best cut that moves lead to, each of which makes it better: of one end by any power of two, of
/// several neighbouring ends by one module, of two ends by one module each.
pub(super) fn improve(costs: &Costs<'_>, limits: &[f64], cut: Cut) -> (Cut, Worth) {
    explore(costs, limits, cut, |_| true)
}

/// The same, and then again from cuts beside the best one, until it is good enough or the effort is
/// spent.
pub(super) fn explore(
    costs: &Costs<'_>,
    limits: &[f64],
    cut: Cut,
    is_enough: impl Fn(&Worth) -> bool,
) -> (Cut, Worth) {
    let left = costs.num_modules().saturating_mul(MOST_WEIGHED_EACH).min(MOST_WEIGHED);
    let mut search = Search { costs, limits, left };
    let (mut ends, mut worth) = search.descend(cut.ends);
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    while search.left > 0 && ends.len() > 1 && !is_enough(&worth) {
        let beside = random.beside(&ends);
        // A cut that no move changes has to take some effort, too.
        search.left = search.left.saturating_sub(ends.len());
        let (other_ends, other) = search.descend(beside);
        if other < worth {
            (ends, worth) = (other_ends, other);
        }
    }
    (Cut::new(costs, ends), worth)
}

/// What cuts are judged by, and how many stages may still be weighed.
struct Search<'a> {
    costs: &'a Costs<'a>,
    limits: &'a [f64],
    left: usize,
}

impl Search<'_> {
    fn descend(&mut self, mut ends: Vec<usize>) -> (Vec<usize>, Worth) {
        let mut worth = Worth::of(self.costs, self.limits, &ends);
        // The last end is that of the model.
        let movable = ends.len() - 1;
        let mut moved = ends.clone();
        loop {
            let before = worth;
            for shifts in moves(movable, self.costs.num_modules()) {
                // What follows a move that helped may help once more.
                loop {
                    moved.copy_from_slice(&ends);
                    if !shifts.iter().flatten().all(|shift| shift.apply(&mut moved)) {
                        break;
                    }
                    let Some(left) = self.left.checked_sub(moved.len()) else {
                        self.left = 0;
                        return (ends, worth);
                    };
                    self.left = left;
                    let other = Worth::of(self.costs, self.limits, &moved);
                    if other < worth {
                        worth = other;
                        ends.copy_from_slice(&moved);
                    } else {
                        break;
                    }
                }
            }
            if worth == before {
                return (ends, worth);
            }
        }
    }
}

/// Neighbouring ends that move together.
#[derive(Clone, Copy, Debug)]
struct Shift {
    first: usize,
    last: usize,
    by: isize,
}

impl Shift {
    fn of(end: usize, by: isize) -> Self {
        Self { first: end, last: end, by }
    }

    /// False, and nothing is moved, if a stage would be left without a module.
    fn apply(self, ends: &mut [usize]) -> bool {
        let Self { first, last, by } = self;
        let before = first.checked_sub(1).map_or(0, |stage| ends[stage]);
        let begins = ends[first].checked_add_signed(by).is_some_and(|end| before < end);
        let stops = ends[last].checked_add_signed(by).is_some_and(|end| end < ends[last + 1]);
        if begins && stops {
            for end in &mut ends[first..=last] {
                *end = end.saturating_add_signed(by);
            }
        }
        begins && stops
    }
}

/// Each is one shift, or two.
fn moves(movable: usize, num_modules: usize) -> impl Iterator<Item = [Option<Shift>; 2]> {
    let most = num_modules.checked_ilog2().unwrap_or(0);
    let pairs = move || {
        (0..movable).flat_map(move |first| (first + 1..movable).map(move |last| (first, last)))
    };
    let single = (0..movable).flat_map(move |end| {
        (0..=most).flat_map(move |power| [1, -1].map(|sign| Shift::of(end, sign << power)))
    });
    let several = pairs().flat_map(|(first, last)| [1, -1].map(|by| Shift { first, last, by }));
    let two = pairs().flat_map(|(first, last)| {
        [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            .map(|(by, other)| [Some(Shift::of(first, by)), Some(Shift::of(last, other))])
    });
    single.chain(several).map(|shift| [Some(shift), None]).chain(two)
}

/// Xorshift, from the same seed each time.
struct Random(u64);

impl Random {
    /// A cut in which up to four ends are one or two modules from where they were.
    fn beside(&mut self, ends: &[usize]) -> Vec<usize> {
        let mut beside = ends.to_vec();
        for _ in 0..4 {
            let end = self.below(ends.len() - 1);
            let by = [-2, -1, 1, 2][self.below(4)];
            Shift::of(end, by).apply(&mut beside);
        }
        beside
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        // The upper half is the better one, and a u32 fits.
        usize::try_from(self.0 >> 32).unwrap_or(0) % limit
    }
}
