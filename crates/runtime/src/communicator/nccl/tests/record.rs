//! What is told of messages comes back as it was, and what is no record is refused with the reason.

use candle_core::{DType, Device, Tensor};

use super::super::carrier::{Form, LaneId};
use super::super::record::{Header, Last, Record};
use super::ALL;

fn words(words: &[i64]) -> Tensor {
    Tensor::from_slice(words, words.len(), &Device::Cpu).unwrap()
}

#[test]
fn what_is_written_is_read() {
    let id = LaneId(std::array::from_fn(|i| u8::try_from(i * 2).unwrap()));
    let shapes: [&[usize]; 4] = [&[], &[0, 7], &[3], &[2, 1, 5]];
    let forms =
        ALL.iter().flat_map(|&dtype| shapes.map(|dims| Form { dtype, dims: dims.to_vec() }));
    let full = Record { num_resets: 3, number: 0, lane: Some(id), forms: forms.collect() };
    let empty = Record { num_resets: u64::MAX, number: 1 << 63, lane: None, forms: Vec::new() };
    for record in [full, empty] {
        assert_eq!(Record::read(&[record.write().unwrap()]).unwrap(), record);
    }
    let parted = Header::Parted { number: 9, by_lane: vec![true, false, true] };
    for header in [Header::Whole, parted] {
        assert_eq!(Header::read(Some(header.write().unwrap())).unwrap(), header);
    }
    let last = Last { count: 12 };
    assert_eq!(Last::read(&[last.write().unwrap()]).unwrap(), last);
}

#[test]
fn what_is_no_record_is_refused() {
    let float = Tensor::new(&[1f32], &Device::Cpu).unwrap();
    let refused: [(Vec<Tensor>, &str); 9] = [
        (vec![], "a record is 0 tensors of other types than one of I64"),
        (vec![float], "a record is 1 tensors of other types than one of I64"),
        (vec![words(&[])], "it ends where more was to come"),
        (vec![words(&[0, 1])], "it ends where more was to come"),
        (vec![words(&[0, 1, 2])], "2 is neither no nor yes"),
        (vec![words(&[0, 0, 1, 5])], "it ends where more was to come"),
        (vec![words(&[0, 1, 0, 99, 0])], "there is no number type 99"),
        (vec![words(&[0, 1, 0, 0, i64::MAX, 1])], "it ends where more was to come"),
        (
            vec![words(&[0, 1, 0, 0, 2, 0, i64::MAX])],
            "a tensor of shape [0, 9223372036854775807] does not fit into memory",
        ),
    ];
    for (tensors, expected) in refused {
        let error = Record::read(&tensors).unwrap_err().to_string();
        let words = format!(
            "what was told of them cannot be read: {expected}; are all processes of one build?"
        );
        assert_eq!(error, words);
    }
    assert!(Header::read(None).is_err());
    assert!(Header::read(Some(words(&[4, 7]))).is_err());
    assert!(Last::read(&[words(&[1, 2])]).is_err());
    let unsendable = Form { dtype: DType::I32, dims: vec![1] };
    let record = Record { num_resets: 0, number: 0, lane: None, forms: vec![unsendable] };
    assert!(record.write().is_err());
}
