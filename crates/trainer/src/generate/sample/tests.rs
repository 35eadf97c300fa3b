//! How often each token comes, and which never do.

use super::{Picker, Sampling};

/// How often each of the tokens comes in many draws.
fn shares<const N: usize>(sampling: Sampling, logits: [f32; N]) -> [f64; N] {
    const NUM: usize = 20_000;
    let mut picker = Picker::new(Some(sampling));
    let mut counts = [0.0; N];
    for _ in 0..NUM {
        counts[usize::try_from(picker.pick(&logits).unwrap()).unwrap()] += 1.0 / NUM as f64;
    }
    counts
}

fn is_near<const N: usize>(shares: [f64; N], expected: [f64; N]) {
    for (share, expected) in shares.iter().zip(&expected) {
        // Five deviations of 20,000 draws.
        assert!((share - expected).abs() < 0.018, "{shares:?}");
        assert_eq!(*share == 0.0, *expected == 0.0, "{shares:?}");
    }
}

#[test]
fn the_likeliest_is_the_first_of_the_greatest() {
    let pick = |logits: &[f32]| Picker::new(None).pick(logits).unwrap();
    assert_eq!(pick(&[0.0, 3.0, -1.0, 3.0]), 1);
    assert_eq!(pick(&[f32::NEG_INFINITY, -5.0]), 1);
}

#[test]
fn tokens_come_as_often_as_they_are_likely() {
    let logits = [0.1_f32.ln(), 0.6_f32.ln(), 0.3_f32.ln(), f32::NEG_INFINITY];
    let sampling = |temperature, top_k, top_p| Sampling::new(temperature, top_k, top_p, 3).unwrap();
    is_near(shares(sampling(1.0, None, None), logits), [0.1, 0.6, 0.3, 0.0]);
    // Squared and normalised.
    is_near(
        shares(sampling(0.5, None, None), logits),
        [0.01 / 0.46, 0.36 / 0.46, 0.09 / 0.46, 0.0],
    );
    is_near(shares(sampling(1.0, Some(2), None), logits), [0.0, 2.0 / 3.0, 1.0 / 3.0, 0.0]);
    is_near(shares(sampling(1.0, Some(9), None), logits), [0.1, 0.6, 0.3, 0.0]);
    is_near(shares(sampling(1.0, None, Some(0.85)), logits), [0.0, 2.0 / 3.0, 1.0 / 3.0, 0.0]);
    is_near(shares(sampling(1.0, None, Some(0.5)), logits), [0.0, 1.0, 0.0, 0.0]);
    is_near(shares(sampling(1.0, None, Some(1e-9)), logits), [0.0, 1.0, 0.0, 0.0]);
    // Of the two likeliest, the likeliest alone has more than half.
    is_near(shares(sampling(1.0, Some(2), Some(0.65)), logits), [0.0, 1.0, 0.0, 0.0]);
    is_near(shares(sampling(1e-6, None, None), logits), [0.0, 1.0, 0.0, 0.0]);
    is_near(shares(sampling(1e9, None, None), [1.0, 2.0]), [0.5, 0.5]);
}

#[test]
fn a_seed_draws_the_same() {
    let draw = |seed| {
        let mut picker = Picker::new(Some(Sampling::new(1.0, None, None, seed).unwrap()));
        (0..32).map(|_| picker.pick(&[0.0; 64]).unwrap()).collect::<Vec<u32>>()
    };
    assert_eq!(draw(1), draw(1));
    assert!(draw(1) != draw(2));
}

#[test]
fn what_is_no_number_is_no_order() {
    let sampling = Sampling::new(1.0, None, None, 0).unwrap();
    for (logit, shown) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        for sampling in [None, Some(sampling)] {
            let error = Picker::new(sampling).pick(&[0.0, logit]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("the model's logit of token 1 is {shown}")),
                "{error}"
            );
        }
    }
}

#[test]
fn everything_out_of_range_is_told_at_once() {
    let message = Sampling::new(0.0, Some(0), Some(1.5), 0).unwrap_err().to_string();
    let problems: Vec<&str> =
        message.split("; ").filter(|part| part.contains(" is none")).collect();
    assert!(
        problems.len() == 1 && message.contains("top_k") && message.contains("1.5"),
        "{message}"
    );
    for top_p in [0.0, -1.0, f64::NAN] {
        assert!(Sampling::new(1.0, None, Some(top_p), 0).is_err());
    }
    for temperature in [-1.0, f64::INFINITY, f64::NAN] {
        assert!(Sampling::new(temperature, None, None, 0).is_err());
    }
}
