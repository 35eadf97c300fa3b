//! What counts as a difference.

use candle_core::{Device, Tensor};

use super::{Comparison, Gradients, Missing, Side, compare};

fn gradients(of: &[(&str, Option<&[f32]>)]) -> Gradients {
    let mut gradients = Gradients::default();
    for (name, values) in of {
        gradients.push(name, values.map(|values| Tensor::new(values, &Device::Cpu).unwrap()));
    }
    gradients
}

fn worst(comparison: &Comparison) -> (&str, f64) {
    (comparison.differences[0].parameter.as_str(), comparison.differences[0].rel_diff)
}

#[test]
fn a_difference_is_relative_to_the_unsplit_gradient() {
    let unsplit = gradients(&[("a", Some(&[3.0, 4.0])), ("b", Some(&[12.0]))]);
    let split = gradients(&[("a", Some(&[3.0, 4.5])), ("b", Some(&[12.6]))]);
    let found = compare(&unsplit, &split).unwrap();
    assert_eq!(found.norm_unsplit, 13.0);
    assert_eq!(worst(&found), ("a", 0.1));
    assert!((found.differences[1].rel_diff - 0.05).abs() < 1e-6);
    assert!(found.missing.is_empty());
    let same = compare(&unsplit, &unsplit).unwrap();
    assert_eq!(worst(&same).1, 0.0);
}

#[test]
fn what_is_not_there_is_missing_and_counts_as_zero() {
    let unsplit = gradients(&[("a", Some(&[3.0])), ("b", Some(&[4.0])), ("d", None)]);
    let split = gradients(&[("a", None), ("c", Some(&[10.0])), ("d", None)]);
    let found = compare(&unsplit, &split).unwrap();
    let missing = |parameter: &str, lacks| Missing { parameter: parameter.to_owned(), lacks };
    assert_eq!(
        found.missing,
        [missing("a", Side::Split), missing("b", Side::Split), missing("c", Side::Unsplit)]
    );
    let by_name = |name| {
        found.differences.iter().find(|difference| difference.parameter == name).unwrap().rel_diff
    };
    // `c` is 0 unsplit, and so measured by the norm of all, 5.
    assert_eq!((by_name("a"), by_name("b"), by_name("c"), by_name("d")), (1.0, 1.0, 2.0, 0.0));
}

#[test]
fn rounding_of_a_zero_is_no_difference() {
    let unsplit = gradients(&[("a", Some(&[100.0])), ("zero", Some(&[1e-7])), ("b", Some(&[0.0]))]);
    let split = gradients(&[("a", Some(&[100.0])), ("zero", Some(&[-1e-7])), ("b", Some(&[1.0]))]);
    let found = compare(&unsplit, &split).unwrap();
    assert_eq!(worst(&found), ("b", 0.01));
    assert!(found.differences[1].rel_diff < 1e-8, "{found:?}");
    // Where all are zero there is nothing to measure by.
    let zeros = gradients(&[("b", Some(&[0.0]))]);
    assert_eq!(worst(&compare(&zeros, &zeros).unwrap()).1, 0.0);
    assert_eq!(
        worst(&compare(&zeros, &gradients(&[("b", Some(&[1.0]))])).unwrap()).1,
        f64::INFINITY
    );
}

#[test]
fn nothing_is_worse_than_no_number() {
    let unsplit = gradients(&[("a", Some(&[1.0])), ("b", Some(&[1.0])), ("c", Some(&[1.0]))]);
    let nan =
        gradients(&[("a", Some(&[f32::INFINITY])), ("b", Some(&[-f32::NAN])), ("c", Some(&[1.0]))]);
    for (one, other) in [(&unsplit, &nan), (&nan, &unsplit)] {
        let found = compare(one, other).unwrap();
        let not_numbers = found.differences.iter().filter(|found| !found.rel_diff.is_finite());
        assert!(not_numbers.count() >= 2, "{found:?}");
        assert!(!found.differences[0].rel_diff.is_finite(), "{found:?}");
    }
}

#[test]
fn every_copy_is_compared() {
    let unsplit = gradients(&[("tied", Some(&[1.0]))]);
    let mut split = gradients(&[("tied", Some(&[1.0]))]);
    split.merge(gradients(&[("tied", Some(&[1.5]))]));
    let found = compare(&unsplit, &split).unwrap();
    assert_eq!((worst(&found), found.norm_split), (("tied", 0.5), 1.0));
    split.merge(gradients(&[("tied", None)]));
    assert_eq!(compare(&unsplit, &split).unwrap().missing[0].lacks, Side::Split);
}

#[test]
fn sizes_have_to_agree() {
    let (one, two) = (gradients(&[("a", Some(&[1.0]))]), gradients(&[("a", Some(&[1.0, 0.0]))]));
    assert_eq!(
        compare(&one, &two).unwrap_err().to_string(),
        "the gradient of `a` has 1 numbers unsplit and 2 split"
    );
}

#[test]
fn a_file_has_what_is_there_by_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grads.safetensors");
    gradients(&[("b", Some(&[1.0, 2.0])), ("a", None)]).write(&path).unwrap();
    let read = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
    assert_eq!(read.len(), 1);
    assert_eq!(read["b"].to_vec1::<f32>().unwrap(), [1.0, 2.0]);
    let message = gradients(&[]).write(&path.join("no")).unwrap_err().to_string();
    assert!(message.starts_with("cannot write the gradients to `"), "{message}");
}
