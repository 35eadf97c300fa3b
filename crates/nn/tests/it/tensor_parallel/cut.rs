//! Parts of tensors, taken and joined.

use autopipe_nn::{Cut, Parameters};
use candle_core::{DType, Tensor};

use super::{numbers, random};

#[test]
fn parts_are_taken_and_joined_along_any_dimension() {
    let whole = random(&[6, 7, 3], "whole", DType::F32);
    for (dim, blocks) in [(0, &[6][..]), (0, &[4, 1, 1]), (1, &[5, 2]), (2, &[3]), (2, &[0, 3])] {
        for count in [1, 2, 3, 5] {
            let cuts: Vec<Cut> = (0..count)
                .map(|i| Cut::new(whole.shape().clone(), dim, blocks.to_vec(), i, count).unwrap())
                .collect();
            let parts: Vec<Tensor> = cuts.iter().map(|cut| cut.take(&whole).unwrap()).collect();
            for (cut, part) in cuts.iter().zip(&parts) {
                assert_eq!((part.shape(), cut.whole_shape()), (&cut.shape(), whole.shape()));
                assert!(part.is_contiguous());
                assert_eq!(part.storage_and_layout().1.start_offset(), 0);
                assert_eq!(cuts[0].of_index(cut.index()).unwrap(), *cut);
            }
            let joined = cuts[count - 1].join(&parts).unwrap();
            assert_eq!(numbers(&joined), numbers(&whole), "{dim} {blocks:?} {count}");
            // The first ranks have what is left over.
            let widths: Vec<usize> = cuts.iter().map(|cut| cut.shape().dims()[dim]).collect();
            assert!(widths.is_sorted_by(|a, b| a >= b), "{widths:?}");
        }
    }
}

#[test]
fn what_is_no_cut_is_refused() {
    let whole = random(&[6, 7], "whole", DType::F32);
    let cut = |dim, blocks: &[usize], index, count| {
        Cut::new(whole.shape().clone(), dim, blocks.to_vec(), index, count)
    };
    let message = |result: Result<Cut, autopipe_nn::Error>| result.unwrap_err().to_string();
    for (dim, blocks) in [(2, &[6][..]), (0, &[5]), (0, &[usize::MAX, 7]), (2, &[]), (0, &[])] {
        assert_eq!(
            message(cut(dim, blocks, 0, 1)),
            format!("a tensor of shape [6, 7] has no dimension {dim} that is blocks of {blocks:?}")
        );
    }
    for (index, count) in [(0, 0), (2, 2)] {
        let expected = format!(
            "a tensor cut among {count} ranks has no part {index}; they are counted from 0"
        );
        assert_eq!(message(cut(0, &[6], index, count)), expected);
    }
    let first = cut(1, &[7], 0, 2).unwrap();
    assert!(first.of_index(2).is_err());
    let other = whole.t().unwrap();
    assert_eq!(
        first.take(&other).unwrap_err().to_string(),
        "the whole tensor has shape [7, 6], by the cut it is [6, 7]"
    );
    let part = first.take(&whole).unwrap();
    assert_eq!(
        first.join(std::slice::from_ref(&part)).unwrap_err().to_string(),
        "a tensor cut among 2 ranks is not 1 parts"
    );
    assert_eq!(
        first.join(&[part.clone(), part]).unwrap_err().to_string(),
        "a part has shape [6, 4], by the cut it is [6, 3]"
    );
    assert_eq!(
        Parameters::new().add_cut("w", whole.clone(), true, first).unwrap_err().to_string(),
        "a parameter's value has shape [6, 7], by the cut it is [6, 4]"
    );
}

#[test]
fn slices_of_parts_are_put_together_in_two_steps() {
    let whole = random(&[5, 3], "whole", DType::F32);
    let parts: Vec<Tensor> = (0..2)
        .map(|index| {
            let cut = Cut::new(whole.shape().clone(), 0, vec![5], index, 2).unwrap();
            let mut set = Parameters::new();
            let part = cut.take(&whole).unwrap();
            let len = part.elem_count();
            let of_all = set.add_cut("w", part, true, cut.clone()).unwrap();
            let half = |range| set.slices(|_| Some(std::ops::Range::clone(&range))).unwrap();
            let slices = [half(0..4), half(4..len)];
            let flat: Vec<Tensor> = slices
                .iter()
                .map(|slices| {
                    let slice = slices.get("w").unwrap();
                    assert_eq!((slice.cut(), slice.whole_shape()), (Some(&cut), of_all.shape()));
                    slice.value().clone()
                })
                .collect();
            Tensor::cat(&flat, 0).unwrap().reshape(of_all.shape()).unwrap()
        })
        .collect();
    let cut = Cut::new(whole.shape().clone(), 0, vec![5], 0, 2).unwrap();
    assert_eq!(numbers(&cut.join(&parts).unwrap()), numbers(&whole));
}
