//! Shares tend to the weights, and any row can be asked for.

use super::*;

#[test]
fn the_share_of_rows_tends_to_the_weights() {
    let mut mix = Mix::new(&[3.0, 1.0, 4.0], 7).unwrap();
    let mut counts = [0; 3];
    for row in 0..8000 {
        counts[mix.source_of(row)] += 1;
    }
    for (count, expected) in counts.into_iter().zip([3000_i32, 1000, 4000]) {
        // Five standard deviations, of at most the square root of 2000.
        assert!((count - expected).abs() < 225, "{counts:?}");
    }
}

#[test]
fn a_rows_source_depends_on_nothing_but_seed_and_number() {
    let sources = |seed, rows: Vec<u64>| -> Vec<usize> {
        let mut mix = Mix::new(&[1.0, 1.0], seed).unwrap();
        rows.into_iter().map(|row| mix.source_of(row)).collect()
    };
    let mut backwards = sources(1, (0..64).rev().collect());
    backwards.reverse();
    assert_eq!(backwards, sources(1, (0..64).collect()));
    assert_ne!(backwards, sources(2, (0..64).collect()));
    assert_eq!(sources(1, vec![u64::MAX]).len(), 1);
}

/// A resumed run depends on the draw across versions.
#[test]
fn the_draw_of_a_seed_stays() {
    let mut mix = Mix::new(&[1.0, 1.0, 1.0], 1111).unwrap();
    let drawn: Vec<usize> = (0..16).map(|row| mix.source_of(row)).collect();
    assert_eq!(drawn, [2, 0, 2, 2, 0, 2, 1, 2, 0, 2, 1, 1, 1, 2, 1, 1]);
}

#[test]
fn weights_that_are_none() {
    let refused = |weights: &[f64]| Mix::new(weights, 0).unwrap_err().to_string();
    assert_eq!(
        refused(&[1.0, 0.0]),
        "the weight 0 of source 2 is none; give a number above 0, 1 is usual"
    );
    assert!(refused(&[-1.0]).starts_with("the weight -1 of source 1"));
    assert!(refused(&[f64::NAN]).starts_with("the weight NaN"));
    assert!(refused(&[f64::INFINITY]).starts_with("the weight inf"));
    assert!(refused(&[f64::MAX, f64::MAX]).contains("too large to be added"));
    assert_eq!(refused(&[]), "no source of data is given; name at least one");
}
