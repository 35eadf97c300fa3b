//! Which candidate is best, and what moving single steps adds to it.

use super::fill::{Filled, Patience, fill};
use super::instance::{Instance, count};
use super::recipe::{Recipe, recipes, rows};
use super::{Search, Sketch};

/// Ways to place W: into any gap, into one that is long enough, and never too many waiting.
fn patiences(instance: &Instance) -> Vec<Patience> {
    let p = instance.num_ranks * instance.num_chunks;
    [(0.0, usize::MAX), (0.0, p), (0.5, p), (1.0, 2 * p), (0.75, p.div_ceil(2)), (0.0, 1)]
        .map(|(least_gap, most_waiting)| Patience { least_gap, most_waiting })
        .to_vec()
}

/// A recipe and a patience that did well on the shorter batch.
struct Trial {
    bubble: f64,
    recipe: usize,
    patience: Patience,
}

/// How many of them are tried on the real batch.
const MOST_FINALISTS: usize = 24;

impl Search {
    /// Makes and times the recipes, and gives the best.
    pub(super) fn best_recipe(&mut self, instance: &Instance) -> (Sketch, Filled) {
        let recipes = recipes(instance);
        let num_short = instance.num_microbatches.min(4 * instance.num_ranks);
        let short = Instance { num_microbatches: num_short, ..instance.clone() };
        let mut best = self
            .timed(instance, &Recipe::OneByOne, patiences(instance)[0])
            .expect("checked: one microbatch fits");
        if num_short == instance.num_microbatches {
            for patience in patiences(instance) {
                for recipe in &recipes {
                    if best.1.cost() <= self.goal || !self.pay(instance) {
                        return best;
                    }
                    keep(&mut best, self.timed(instance, recipe, patience));
                }
            }
            return best;
        }
        for trial in self.trials(&short, &recipes) {
            if best.1.cost() <= self.goal || !self.pay(instance) {
                break;
            }
            keep(&mut best, self.timed(instance, &recipes[trial.recipe], trial.patience));
        }
        best
    }

    /// The recipes that are best on a shorter batch. They may take half of the effort.
    fn trials(&mut self, short: &Instance, recipes: &[Recipe]) -> Vec<Trial> {
        let reserve = self.effort / 2;
        let work = (0..short.num_ranks).map(|rank| short.work(rank)).fold(0.0, f64::max);
        let mut trials = Vec::new();
        for patience in patiences(short) {
            for (index, recipe) in recipes.iter().enumerate() {
                if self.effort <= reserve || !self.pay(short) {
                    break;
                }
                if let Some((_, filled)) = self.timed(short, recipe, patience) {
                    trials.push(Trial { bubble: filled.cost() - work, recipe: index, patience });
                }
            }
        }
        trials.sort_by(|a, b| a.bubble.total_cmp(&b.bubble));
        trials.truncate(MOST_FINALISTS);
        trials
    }

    fn timed(
        &self,
        instance: &Instance,
        recipe: &Recipe,
        patience: Patience,
    ) -> Option<(Sketch, Filled)> {
        let patience = vec![patience; instance.num_ranks];
        let rows = rows(recipe, instance)?;
        let filled = fill(instance, &rows, &patience)?;
        Some((Sketch { rows, patience }, filled))
    }

    /// Moves single steps, at random but always the same, and keeps what costs no more.
    pub(super) fn improve(&mut self, instance: &Instance, mut sketch: Sketch, best: &mut Filled) {
        let mut random = Random(0x9E37_79B9_7F4A_7C15);
        let mut score = score(best);
        while best.cost() > self.goal && self.pay(instance) {
            let rank = random.below(instance.num_ranks);
            let row = &mut sketch.rows[rank];
            let from = random.below(row.len());
            let to = (from + random.below(5)).saturating_sub(2).min(row.len() - 1);
            if row[from] == row[to] {
                continue;
            }
            let step = row.remove(from);
            row.insert(to, step);
            let moved = fill(instance, &sketch.rows, &sketch.patience);
            match moved.map(|filled| (self::score(&filled), filled)) {
                Some((new, filled)) if new <= score => {
                    score = new;
                    *best = filled;
                }
                _ => {
                    let step = sketch.rows[rank].remove(to);
                    sketch.rows[rank].insert(from, step);
                }
            }
        }
    }
}

fn keep(best: &mut (Sketch, Filled), other: Option<(Sketch, Filled)>) {
    if let Some(other) = other
        && score(&other.1) < score(&best.1)
    {
        *best = other;
    }
}

/// What is better: the shorter longest span, and else the shorter spans.
fn score(filled: &Filled) -> (f64, f64) {
    let squares: f64 = filled.spans.iter().map(|span| span * span).sum();
    (filled.cost(), squares / count(filled.spans.len()))
}

/// Numbers without a pattern (xorshift64); the same in every run.
struct Random(u64);

impl Random {
    /// A number from 0 to below the limit, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let limit = u64::try_from(limit).unwrap_or(u64::MAX);
        usize::try_from(self.0 % limit).unwrap_or(0)
    }
}
