//! Every order is a bijection, and orders look shuffled.

use super::*;

fn order(len: u64, seed: u64, epoch: u64) -> Vec<u64> {
    let permutation = Permutation::new(len, seed, epoch);
    (0..len).map(|index| permutation.at(index)).collect()
}

#[test]
fn everything_comes_exactly_once() {
    for len in (1..=200).chain([255, 256, 257, 1023, 1024, 1025, 4096, 5000]) {
        for epoch in 0..3 {
            let mut order = order(len, 7, epoch);
            order.sort_unstable();
            assert_eq!(order, (0..len).collect::<Vec<_>>(), "length {len}, epoch {epoch}");
        }
    }
}

#[test]
fn lengths_at_the_end_of_the_range_stay_within() {
    for len in [u64::from(u32::MAX) + 2, (1 << 63) + 1, u64::MAX] {
        let permutation = Permutation::new(len, 1, 0);
        let mut results: Vec<_> =
            (0..500).chain(len - 500..len).map(|index| permutation.at(index)).collect();
        assert!(results.iter().all(|&result| result < len));
        results.sort_unstable();
        results.dedup();
        assert_eq!(results.len(), 1000, "length {len}");
    }
}

#[test]
fn seed_and_epoch_each_change_the_order() {
    let first = order(100, 1, 0);
    assert_eq!(first, order(100, 1, 0));
    assert_ne!(first, order(100, 2, 0));
    assert_ne!(first, order(100, 1, 1));
    assert_ne!(order(100, 1, 2), order(100, 2, 1), "seed and epoch are not interchangeable");
}

/// The order is part of what a seed means: a resumed run depends on it across versions.
#[test]
fn the_order_of_a_seed_stays() {
    assert_eq!(order(10, 1111, 0), [1, 0, 8, 4, 2, 3, 6, 5, 9, 7]);
    assert_eq!(order(10, 1111, 1), [3, 4, 7, 0, 9, 2, 1, 6, 5, 8]);
}

/// Chi-squared over all pairs (place, thing) of a short order, over many seeds. With 6 * 6 cells
/// and 25 degrees of freedom, 60 is exceeded by chance once in ten thousand times.
#[test]
fn no_place_prefers_a_thing() {
    let (len, num_seeds) = (6, 6000);
    let mut counts = [[0_u32; 6]; 6];
    for seed in 0..num_seeds {
        for (place, thing) in order(len, seed, 0).into_iter().enumerate() {
            counts[place][usize::try_from(thing).unwrap()] += 1;
        }
    }
    let expected = num_seeds as f64 / len as f64;
    let chi_squared: f64 = counts
        .as_flattened()
        .iter()
        .map(|&count| (f64::from(count) - expected).powi(2) / expected)
        .sum();
    assert!(chi_squared < 60.0, "{chi_squared}: {counts:?}");
}

/// Neighbours of the corpus are neighbours in the order as often as chance has it: about once in
/// an order, twice with both directions.
#[test]
fn neighbours_are_taken_apart() {
    let order = order(10_000, 3, 0);
    let neighbours = order.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
    assert!(neighbours < 12, "{neighbours}");
}
