//! Damaged and unfitting checkpoints are refused with everything that is wrong; good ones are read.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;
use tempfile::TempDir;

use super::Checkpoint;
use crate::Error;

const SINGLE: &str = "model.safetensors";

/// Writes tensors of zeros.
fn write(folder: &Path, file: &str, tensors: &[(&str, Dtype, &[usize])]) {
    let zeros = vec![0; 1024];
    let views = tensors.iter().map(|&(name, dtype, shape)| {
        let size = shape.iter().product::<usize>() * dtype.bitsize() / 8;
        (name, TensorView::new(dtype, shape.to_vec(), &zeros[..size]).unwrap())
    });
    safetensors::serialize_to_file(views, None, &folder.join(file)).unwrap();
}

fn write_index(folder: &Path, weight_map: serde_json::Value) {
    fs::write(
        folder.join("model.safetensors.index.json"),
        json!({"weight_map": weight_map}).to_string(),
    )
    .unwrap();
}

fn folder(tensors: &[(&str, Dtype, &[usize])]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), SINGLE, tensors);
    dir
}

#[track_caller]
fn problems<T: std::fmt::Debug>(result: Result<T, Error>) -> Vec<String> {
    match result {
        Err(Error::Checkpoint { problems, .. }) => {
            problems.iter().map(ToString::to_string).collect()
        }
        other => panic!("no checkpoint problem: {other:?}"),
    }
}

#[test]
fn what_does_not_fit_is_told_all_at_once() {
    let dir = folder(&[
        ("a", Dtype::F32, &[2, 3]),
        ("b", Dtype::I64, &[4]),
        ("b2", Dtype::F8_E4M3, &[3]),
        ("extra", Dtype::F32, &[1]),
        ("layers.0.rotary_emb.inv_freq", Dtype::F32, &[8]),
    ]);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let expected: [(&str, &[usize]); 4] = [("a", &[3, 2]), ("b", &[4]), ("b2", &[4]), ("c", &[1])];
    assert_eq!(
        problems(checkpoint.check(expected, &[])),
        [
            "tensor `a` in model.safetensors has shape [2, 3], the config needs [3, 2]",
            "tensor `b` in model.safetensors is I64; supported are F32, BF16 and F16",
            "tensor `b2` in model.safetensors has shape [3], the config needs [4]",
            "tensor `b2` in model.safetensors is F8_E4M3; supported are F32, BF16 and F16",
            "tensor `c` is missing",
            "model.safetensors has tensor `extra`, which the model does not have",
        ]
    );
}

#[test]
fn several_problems_read_as_a_list() {
    let dir = folder(&[("a", Dtype::F32, &[2])]);
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let list = |expected: &[(&str, &[usize])]| {
        let message = checkpoint.check(expected.iter().copied(), &[]).unwrap_err().to_string();
        message.replace(&dir.path().display().to_string(), "FOLDER")
    };
    assert_eq!(
        list(&[("a", &[2]), ("b", &[1])]),
        "the checkpoint FOLDER cannot be used: tensor `b` is missing"
    );
    assert_eq!(
        list(&[("a", &[2]), ("b", &[1]), ("c", &[1])]),
        "the checkpoint FOLDER cannot be used:\n  - tensor `b` is missing\n  - tensor `c` is missing"
    );
}

#[test]
fn halves_are_read_as_what_is_asked_for() {
    let numbers = Tensor::new(&[[1.5f32, -2.25], [0.0, 1024.0]], &Device::Cpu).unwrap();
    for stored in [DType::F32, DType::BF16, DType::F16] {
        let dir = tempfile::tempdir().unwrap();
        let tensor = numbers.to_dtype(stored).unwrap();
        tensor.save_safetensors("w", dir.path().join(SINGLE)).unwrap();
        let read =
            Checkpoint::open(dir.path()).unwrap().read("w", DType::F32, &Device::Cpu).unwrap();
        assert_eq!(read.to_vec2::<f32>().unwrap(), numbers.to_vec2::<f32>().unwrap(), "{stored:?}");
    }
}

#[test]
fn numbers_that_are_none_are_told_of_every_tensor() {
    let dir = tempfile::tempdir().unwrap();
    let tensor = |numbers: [f32; 4], dtype| {
        Tensor::new(&numbers, &Device::Cpu)
            .unwrap()
            .reshape((2, 2))
            .unwrap()
            .to_dtype(dtype)
            .unwrap()
    };
    let tensors = [
        ("a", tensor([0.0, 1.0, f32::NAN, f32::NAN], DType::F32)),
        ("b", tensor([0.0, f32::NEG_INFINITY, 1.0, 2.0], DType::BF16)),
        ("c", tensor([0.0, 1.0, 2.0, 65504.0], DType::F16)),
        ("d", tensor([0.0, 1.0, 2.0, 3.0], DType::I64)),
    ];
    safetensors::serialize_to_file(tensors, None, &dir.path().join(SINGLE)).unwrap();
    assert_eq!(
        problems(Checkpoint::open(dir.path()).unwrap().check_finite()),
        [
            "tensor `a` in model.safetensors is NaN at [1, 0], and no training can begin so",
            "tensor `b` in model.safetensors is -inf at [0, 1], and no training can begin so",
        ]
    );
    let whole = folder(&[("a", Dtype::F32, &[2, 3])]);
    Checkpoint::open(whole.path()).unwrap().check_finite().unwrap();
}

#[test]
fn a_tensor_is_found_among_others() {
    let dir = tempfile::tempdir().unwrap();
    let tensor = |start: f32| Tensor::arange(start, start + 5.0, &Device::Cpu).unwrap();
    let tensors = [("b", tensor(10.0)), ("a", tensor(0.0)), ("c", tensor(20.0))];
    safetensors::serialize_to_file(tensors, None, &dir.path().join(SINGLE)).unwrap();
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    assert_eq!(checkpoint.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    let read = checkpoint.read("b", DType::F32, &Device::Cpu).unwrap();
    assert_eq!(read.to_vec1::<f32>().unwrap(), [10.0, 11.0, 12.0, 13.0, 14.0]);
    assert_eq!(problems(checkpoint.read("d", DType::F32, &Device::Cpu)), ["tensor `d` is missing"]);
}

#[test]
fn a_file_cut_short_is_refused_wherever_it_is_cut() {
    let dir = folder(&[("a", Dtype::F32, &[2, 3]), ("b", Dtype::F32, &[4])]);
    let path = dir.path().join(SINGLE);
    let whole = fs::read(&path).unwrap();
    for length in 0..whole.len() {
        fs::write(&path, &whole[..length]).unwrap();
        let problems = problems(Checkpoint::open(dir.path()));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].starts_with("model.safetensors "), "{problems:?}");
    }
    fs::write(&path, [&whole[..], b"x"].concat()).unwrap();
    let (expected, actual) = (whole.len(), whole.len() + 1);
    assert_eq!(
        problems(Checkpoint::open(dir.path())),
        [format!(
            "model.safetensors has {actual} bytes, its header promises {expected}; it may not have been copied whole"
        )]
    );
}

#[test]
fn damaged_headers_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let headers = [
        "not json",
        "[]",
        r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 4]}}"#,
        r#"{"a": {"dtype": "F99", "shape": [1], "data_offsets": [0, 4]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [18446744073709551615, 2], "data_offsets": [0, 4]}}"#,
        r#"{"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}"#,
    ];
    for header in headers {
        let length = (header.len() as u64).to_le_bytes();
        fs::write(dir.path().join(SINGLE), [&length[..], header.as_bytes(), &[0; 8]].concat())
            .unwrap();
        let problems = problems(Checkpoint::open(dir.path()));
        let start = "model.safetensors is damaged or no safetensors file: ";
        assert!(problems.len() == 1 && problems[0].starts_with(start), "{header}: {problems:?}");
    }
    // A header that claims to be longer than memory.
    fs::write(dir.path().join(SINGLE), u64::MAX.to_le_bytes()).unwrap();
    assert_eq!(
        problems(Checkpoint::open(dir.path())),
        [
            "model.safetensors is damaged or no safetensors file: its header would have 18446744073709551615 bytes, the file has 8"
        ]
    );
}

#[test]
fn shards_are_found_through_the_index() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.safetensors", &[("a", Dtype::F32, &[2])]);
    write(dir.path(), "y.safetensors", &[("b", Dtype::BF16, &[3]), ("c", Dtype::F16, &[1])]);
    write_index(
        dir.path(),
        json!({"a": "x.safetensors", "b": "y.safetensors", "c": "y.safetensors"}),
    );
    let checkpoint = Checkpoint::open(dir.path()).unwrap();
    let expected: [(&str, &[usize]); 3] = [("a", &[2]), ("b", &[3]), ("c", &[1])];
    checkpoint.check(expected, &[]).unwrap();
    assert_eq!(checkpoint.read("b", DType::F32, &Device::Cpu).unwrap().dims(), [3]);
}

#[test]
fn an_index_that_does_not_fit_its_files_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), "x.safetensors", &[("a", Dtype::F32, &[2]), ("b", Dtype::F32, &[2])]);
    write(dir.path(), "y.safetensors", &[("b", Dtype::F32, &[2]), ("d", Dtype::F32, &[2])]);
    write_index(
        dir.path(),
        json!({"a": "y.safetensors", "b": "y.safetensors", "c": "x.safetensors"}),
    );
    assert_eq!(
        problems(Checkpoint::open(dir.path())),
        [
            "tensor `b` is in x.safetensors and again in y.safetensors",
            "the index has tensor `a` in y.safetensors, which has no such tensor",
            "the index has tensor `c` in x.safetensors, which has no such tensor",
            "y.safetensors has tensor `d`, which the index does not have there",
        ]
    );
    write_index(dir.path(), json!({"a": "z.safetensors", "b": "w.safetensors"}));
    let missing = problems(Checkpoint::open(dir.path()));
    assert!(
        missing.len() == 2 && missing[0].starts_with("w.safetensors cannot be read: "),
        "{missing:?}"
    );
}

#[test]
fn an_index_does_not_lead_out_of_its_folder() {
    let dir = tempfile::tempdir().unwrap();
    let start = "model.safetensors.index.json cannot be used: ";
    write_index(dir.path(), json!({"a": "../x.safetensors", "b": "/etc/passwd", "c": 3, "d": ""}));
    assert_eq!(
        problems(Checkpoint::open(dir.path())),
        [
            format!("{start}tensor `a` is in \"../x.safetensors\", which is no file name"),
            format!("{start}tensor `b` is in \"/etc/passwd\", which is no file name"),
            format!("{start}tensor `c` is in 3, which is no file name"),
            format!("{start}tensor `d` is in \"\", which is no file name"),
        ]
    );
    write_index(dir.path(), json!([]));
    assert_eq!(
        problems(Checkpoint::open(dir.path())),
        [format!("{start}it has no object `weight_map`")]
    );
}
