//! An embedding and a loss whose vocabulary is shared out.

use autopipe_nn::{
    Embedding, IGNORE_INDEX, Parameters, cross_entropy_sum, cross_entropy_sum_among,
};
use candle_core::{DType, Device, Result, Tensor, Var};

use super::{DTYPES, Group, Run, add, assert_close, assert_same, numbers, random, run};
use crate::threads::ranks;

const VOCAB: usize = 7;

fn embedded(group: Option<&Group>, dtype: DType, ids: &Tensor, padding: Option<usize>) -> Run {
    let mut set = Parameters::new();
    let weight = add(&mut set, group, ("embed", &[VOCAB, 3], dtype), (0, &[VOCAB]));
    let embedding = match group {
        Some(group) => Embedding::among(weight, group).unwrap(),
        None => Embedding::new(weight).unwrap(),
    };
    let embedding = match padding {
        Some(id) => embedding.with_padding(id).unwrap(),
        None => embedding,
    };
    // An input of a kind, as ids have no gradient.
    let x = Var::from_tensor(&random(&[3], "x", dtype)).unwrap();
    run(&set, &x, |x| embedding.forward(ids)?.broadcast_mul(x))
}

#[test]
fn an_embedding_in_parts_is_the_whole_one() {
    let some = Tensor::new(&[[6u32, 0, 4], [0, 3, 1]], &Device::Cpu).unwrap();
    // Of one rank only; and of none but the padding's.
    let first = Tensor::new(&[[0i64, 1, 0]], &Device::Cpu).unwrap();
    for (dtype, tolerance) in DTYPES {
        for (ids, padding) in [(&some, None), (&some, Some(4)), (&first, None), (&first, Some(0))] {
            let whole = embedded(None, dtype, ids, padding);
            for size in [1, 2, 3, 7] {
                let runs = ranks(size, |group| embedded(Some(group), dtype, ids, padding));
                assert_same(&runs, &whole, tolerance);
            }
        }
    }
}

#[test]
fn an_embedding_in_parts_refuses_what_the_whole_one_does() {
    ranks(2, |group| {
        let mut set = Parameters::new();
        let weight = add(&mut set, Some(group), ("w", &[VOCAB, 3], DType::F32), (0, &[VOCAB]));
        let embedding = Embedding::among(weight, group).unwrap();
        let ids = Tensor::new(&[1u32, 7], &Device::Cpu).unwrap();
        assert_eq!(
            embedding.forward(&ids).unwrap_err().to_string(),
            "the token id 7 is out of range: the vocabulary has 7 entries"
        );
        assert!(embedding.with_padding(7).is_err());
        let few = add(&mut set, Some(group), ("u", &[1, 3], DType::F32), (0, &[1]));
        assert!(Embedding::among(few, group).is_err());
        let other = add(&mut set, Some(group), ("v", &[VOCAB, 4], DType::F32), (1, &[4]));
        assert_eq!(
            Embedding::among(other, group).unwrap_err().to_string(),
            "an embedding among ranks needs a weight whose rows are cut, one block with a row for each \
             rank at least; `v` is another"
        );
    });
}

fn labels() -> Tensor {
    Tensor::new(&[[3i64, IGNORE_INDEX, 10], [0, 7, IGNORE_INDEX]], &Device::Cpu).unwrap()
}

/// The loss of logits of 11 classes and their gradient.
fn loss(logits: &Tensor, group: Option<&Group>, width: &[usize]) -> Result<(Tensor, Tensor)> {
    let (start, len) = match group {
        Some(group) => (width[..group.rank()].iter().sum(), width[group.rank()]),
        None => (0, 11),
    };
    let own = Var::from_tensor(&logits.narrow(2, start, len)?)?;
    let loss = match group {
        Some(group) => cross_entropy_sum_among(&own, &labels(), group)?,
        None => cross_entropy_sum(&own, &labels())?,
    };
    let grads = (&loss * 0.25)?.backward()?;
    Ok((loss.detach(), grads.get(&own).unwrap().clone()))
}

#[test]
fn the_loss_of_classes_in_parts_is_that_of_all() {
    for (dtype, tolerance) in DTYPES {
        // Large ones, so that a sum of exponentials without the maximum of all ranks overflows.
        let logits = (random(&[2, 3, 11], "logits", dtype) * 60.).unwrap();
        let (expected, grad) = loss(&logits, None, &[]).unwrap();
        for widths in [&[6, 5][..], &[4, 4, 3], &[11], &[1, 0, 10]] {
            let parts = ranks(widths.len(), |group| loss(&logits, Some(group), widths).unwrap());
            for (loss, _) in &parts {
                assert_eq!((loss.dtype(), numbers(loss)), (expected.dtype(), numbers(&parts[0].0)));
                assert_close("loss", loss, &expected, tolerance);
            }
            let grads: Vec<Tensor> = parts.into_iter().map(|(_, grad)| grad).collect();
            assert_close("gradient", &Tensor::cat(&grads, 2).unwrap(), &grad, tolerance);
        }
    }
}

#[test]
fn a_loss_in_parts_has_the_errors_and_the_nan_of_the_whole() {
    for dtype in [DType::F64, DType::F32, DType::BF16] {
        let row = random(&[1, 1, 11], "logits", dtype);
        let nan = (&row * f64::NAN).unwrap();
        // The second and the last position are ignored.
        let ignored = Tensor::cat(&[&row, &nan, &row, &row, &row, &nan], 1).unwrap();
        let ignored = ignored.reshape((2, 3, 11)).unwrap();
        let spoiled = Tensor::cat(&[&nan, &row, &row, &row, &row, &row], 1).unwrap();
        let spoiled = spoiled.reshape((2, 3, 11)).unwrap();
        let (expected, _) = loss(&ignored, None, &[]).unwrap();
        for (loss, _) in ranks(2, |group| loss(&ignored, Some(group), &[6, 5]).unwrap()) {
            assert_close("loss", &loss, &expected, 1e-6);
        }
        for (loss, _) in ranks(2, |group| loss(&spoiled, Some(group), &[6, 5]).unwrap()) {
            assert!(numbers(&loss)[0].is_nan());
        }
    }
    let none = Tensor::zeros((0, 3, 5), DType::F32, &Device::Cpu).unwrap();
    let no_labels = Tensor::zeros((0, 3), DType::U32, &Device::Cpu).unwrap();
    let empty = ranks(2, |group| cross_entropy_sum_among(&none, &no_labels, group).unwrap());
    assert!(empty.iter().all(|loss| numbers(loss) == [0.]));
    let logits = random(&[2, 5], "logits", DType::F32);
    let messages = ranks(2, |group| {
        let message = |labels: &Tensor| {
            cross_entropy_sum_among(&logits, labels, group).unwrap_err().to_string()
        };
        let labels = Tensor::new(&[3u32, 10], &Device::Cpu).unwrap();
        [message(&labels), message(&labels.narrow(0, 0, 1).unwrap())]
    });
    for [label, shape] in messages {
        assert!(label.starts_with("the label 10 is out of range: the logits have 10 classes"));
        assert!(shape.starts_with("the cross entropy takes logits of shape [1, classes]"));
    }
}
