//! The candidates: short descriptions of schedules of any length.

use super::block::{self, Block};
use super::instance::{Instance, Step};
use super::list::{self, Taste};

/// How to make rows of F and I.
#[derive(Clone, Debug)]
pub(super) enum Recipe {
    /// One microbatch after the other; always possible.
    OneByOne,
    /// As 1F1B: so many forwards first, by rank, and then one I and one F in turn.
    WarmUp(Vec<usize>),
    /// A microbatch's steps in a V, repeated.
    Block(Block),
    /// What a clock with preferences gives.
    List(Taste),
}

/// Rows of F and I for the instance; none if the recipe leads nowhere.
pub(super) fn rows(recipe: &Recipe, instance: &Instance) -> Option<Vec<Vec<Step>>> {
    match recipe {
        Recipe::OneByOne => {
            let one: &[Step] = match instance.num_chunks {
                1 => &[Step::F0, Step::I0],
                _ => &[Step::F0, Step::F1, Step::I1, Step::I0],
            };
            Some(vec![one.repeat(instance.num_microbatches); instance.num_ranks])
        }
        Recipe::WarmUp(forwards) => {
            Some(forwards.iter().map(|&num| one_f_one_b(num, instance.num_microbatches)).collect())
        }
        Recipe::Block(block) => Some(block::repeat(block, instance)),
        Recipe::List(taste) => list::list(instance, taste),
    }
}

fn one_f_one_b(forwards: usize, num_microbatches: usize) -> Vec<Step> {
    let forwards = forwards.min(num_microbatches);
    let mut row = vec![Step::F0; forwards];
    row.extend([Step::I0, Step::F0].repeat(num_microbatches - forwards));
    row.extend(std::iter::repeat_n(Step::I0, forwards));
    row
}

/// All candidates but the one that is always possible, the likelier ones first.
pub(super) fn recipes(instance: &Instance) -> Vec<Recipe> {
    let mut recipes = Vec::new();
    if instance.num_chunks == 1 {
        recipes.extend(warm_ups(instance).into_iter().map(Recipe::WarmUp));
    } else {
        recipes.extend(block::blocks(instance).into_iter().map(Recipe::Block));
    }
    recipes.extend(tastes(instance).into_iter().map(Recipe::List));
    recipes
}

/// Numbers of first forwards that grow by a constant slope from the last rank to the first: 1 is
/// 1F1B, 2 fills the wait for the first I.
fn warm_ups(instance: &Instance) -> Vec<Vec<usize>> {
    let mut warm_ups = Vec::new();
    for sixteenths in
        [16_usize, 32, 33, 34, 35, 36, 38, 40, 44, 48, 15, 17, 18, 20, 22, 24, 26, 28, 30]
    {
        let mut forwards = by_distance(instance, sixteenths, 1);
        let mut most = usize::MAX;
        for (rank, num) in forwards.iter_mut().enumerate() {
            // More than the former rank's would wait for a forward that waits for this rank.
            *num = (*num).min(instance.capacity(rank)).min(most).max(1);
            most = *num;
        }
        if !warm_ups.contains(&forwards) {
            warm_ups.push(forwards);
        }
    }
    warm_ups
}

/// By rank, `add` and a number for each rank that follows, rounded.
fn by_distance(instance: &Instance, sixteenths: usize, add: usize) -> Vec<usize> {
    let p = instance.num_ranks;
    (0..p).map(|rank| add + (sixteenths * (p - 1 - rank) + 8) / 16).collect()
}

/// Preferences for list scheduling.
fn tastes(instance: &Instance) -> Vec<Taste> {
    use Step::{F0, F1, I0, I1};
    let orders: &[[Step; 4]] = if instance.num_chunks == 1 {
        &[[I0, F0, I1, F1], [F0, I0, F1, I1]]
    } else {
        &[
            [F0, F1, I0, I1],
            [F1, F0, I0, I1],
            [I0, I1, F1, F0],
            [F1, I1, F0, I0],
            [I1, F1, F0, I0],
            [I1, F0, F1, I0],
            [F0, F1, I1, I0],
            [F1, I0, F0, I1],
            [I1, I0, F1, F0],
            [I0, I1, F0, F1],
            [F1, I0, I1, F0],
            [F1, I1, I0, F0],
        ]
    };
    let mut tastes = Vec::new();
    for sixteenths in [32, 8, 12, 16, 24, 36, 20, 28, 40] {
        for add in [1, 2] {
            for &order in orders {
                for least_gap in [0.0, 1.0] {
                    let most_in_flight = by_distance(instance, sixteenths, add);
                    tastes.push(Taste { order, most_in_flight, least_gap });
                }
            }
        }
    }
    tastes
}
