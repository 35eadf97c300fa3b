//! Files that hold batches and files that do not, and batches that are drawn.

use std::collections::BTreeMap;
use std::path::Path;

use autopipe_models::{AutoModel, from_config};
use candle_core::{DType, Device, Tensor};
use serde_json::json;

use super::{BatchSource, Checked, batch};

/// 16 tokens, sequences of 8.
fn model() -> AutoModel {
    let config = json!({
        "model_type": "llama", "vocab_size": 16, "hidden_size": 8, "intermediate_size": 8,
        "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 8
    });
    from_config(&config, 0).unwrap()
}

fn write(path: &Path, tensors: &[(&str, Tensor)]) {
    let tensors: BTreeMap<&str, &Tensor> =
        tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    safetensors::serialize_to_file(tensors, None, path).unwrap();
}

fn tensor(rows: &[&[i64]]) -> Tensor {
    let numbers = rows.concat();
    Tensor::from_vec(numbers, (rows.len(), rows[0].len()), &Device::Cpu).unwrap()
}

fn read(tensors: &[(&str, Tensor)], num_microbatches: usize) -> Result<Checked, Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("batch.safetensors");
    write(&path, tensors);
    let shown = folder.path().display().to_string();
    batch(&BatchSource::File(path), 0, &model(), num_microbatches).map_err(|problems| {
        problems.iter().map(|problem| problem.to_string().replace(&shown, "DIR")).collect()
    })
}

fn problems(tensors: &[(&str, Tensor)], num_microbatches: usize) -> Vec<String> {
    read(tensors, num_microbatches).err().unwrap()
}

#[test]
fn a_file_is_read_as_it_is() {
    let ids = tensor(&[&[0, 15, 2], &[4, 5, 6]]);
    let labels = tensor(&[&[-100, 2, -100], &[5, 6, 15]]);
    for dtype in [DType::I64, DType::I32, DType::U32, DType::U8] {
        let tensors = [("input_ids", ids.to_dtype(dtype).unwrap()), ("labels", labels.clone())];
        let checked = read(&tensors, 2).unwrap();
        assert_eq!((checked.batch_size, checked.seq_len, checked.num_labels), (2, 3, 4));
        assert_eq!(checked.input_ids.to_vec2::<i64>().unwrap(), [[0, 15, 2], [4, 5, 6]]);
        assert_eq!(checked.labels.to_vec2::<i64>().unwrap()[0], [-100, 2, -100]);
    }
}

#[test]
fn what_is_missing_is_told_with_what_is_there() {
    assert_eq!(
        problems(&[("ids", tensor(&[&[1]])), ("labels", tensor(&[&[1]]))], 1),
        ["`DIR/batch.safetensors` has no `input_ids`; a batch has `input_ids` and `labels`, this \
          file has `ids` ([1, 1] of I64), `labels` ([1, 1] of I64)"]
    );
    assert_eq!(
        problems(&[], 1),
        [
            "`DIR/batch.safetensors` has no `input_ids` and no `labels`; a batch has `input_ids` and \
          `labels`, this file has nothing"
        ]
    );
}

#[test]
fn tensors_of_another_kind_are_refused() {
    let ids = || ("input_ids", tensor(&[&[1, 2]]));
    let floats = tensor(&[&[1, 2]]).to_dtype(DType::F32).unwrap();
    assert_eq!(
        problems(&[ids(), ("labels", floats)], 1),
        ["`labels` of the batch is of F32; whole numbers are needed, such as I64"]
    );
    let flat = tensor(&[&[1, 2]]).flatten_all().unwrap();
    assert_eq!(
        problems(&[("input_ids", flat), ("labels", tensor(&[&[1]]))], 1),
        ["`input_ids` of the batch has the shape [2]; [batch, sequence] is needed"]
    );
    assert_eq!(
        problems(&[ids(), ("labels", tensor(&[&[1]]))], 1),
        ["`input_ids` of the batch has the shape [1, 2] and `labels` [1, 1]; each token needs a \
          label, -100 if it has none"]
    );
}

#[test]
fn all_that_does_not_fit_the_model_is_told_at_once() {
    let ids = tensor(&[&[0, 1, 16, -1, 4, 5, 6, 7, 8], &[0; 9], &[17; 9]]);
    let labels = tensor(&[&[-100; 9], &[1; 9], &[-1, -100, 1, 1, 1, 1, 1, 1, 16]]);
    assert_eq!(
        problems(&[("input_ids", ids), ("labels", labels)], 2),
        [
            "2 microbatches cannot share a batch of 3 samples evenly; 1 or 3 can",
            "token 16 in row 0, column 2 of the batch (and 10 more) is not in the model's \
             vocabulary, 0 to 15",
            "label -1 in row 2, column 0 of the batch (and 1 more) is neither in the model's \
             vocabulary, 0 to 15, nor -100 for none",
        ]
    );
    assert_eq!(
        problems(&[("input_ids", tensor(&[&[1]])), ("labels", tensor(&[&[-100]]))], 1),
        ["all labels of the batch are -100, so that none counts; at least one has to"]
    );
    let empty = Tensor::zeros((0, 3), DType::I64, &Device::Cpu).unwrap();
    assert_eq!(
        problems(&[("input_ids", empty.clone()), ("labels", empty)], 1),
        ["a batch of 0 samples of 3 tokens is empty"]
    );
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| {
        let source = BatchSource::File(path.to_owned());
        batch(&source, 0, &model(), 1).err().unwrap()[0].to_string()
    };
    let path = folder.path().join("batch");
    assert!(message(&path).contains("No such file"), "{}", message(&path));
    assert!(message(folder.path()).ends_with("it is not a regular file"));
    std::fs::write(&path, "text").unwrap();
    assert!(message(&path).contains("is no safetensors file"), "{}", message(&path));
}

#[test]
fn random_batches_have_labels_that_count_and_labels_that_do_not() {
    let source = BatchSource::Random { batch_size: Some(8), seq_len: None };
    let drawn = |seed| batch(&source, seed, &model(), 4).unwrap();
    let checked = drawn(3);
    assert_eq!((checked.batch_size, checked.seq_len), (8, 8));
    let rows = checked.labels.to_vec2::<i64>().unwrap();
    let counts: Vec<usize> =
        rows.iter().map(|row| row.iter().filter(|label| **label >= 0).count()).collect();
    assert_eq!(counts.iter().sum::<usize>(), checked.num_labels);
    assert!(counts.iter().all(|count| *count > 0) && counts.iter().min() < counts.iter().max());
    assert_eq!(drawn(3).labels.to_vec2::<i64>().unwrap(), rows);
    assert!(drawn(4).labels.to_vec2::<i64>().unwrap() != rows);
}

#[test]
fn random_batches_of_impossible_sizes() {
    let refused = |batch_size, seq_len, num_microbatches| {
        let source = BatchSource::Random { batch_size, seq_len };
        batch(&source, 0, &model(), num_microbatches).err().unwrap()[0].to_string()
    };
    assert!(refused(Some(0), None, 1).contains("is empty"));
    assert_eq!(
        refused(Some(usize::MAX), Some(8), 2),
        format!(
            "2 microbatches cannot share a batch of {} samples evenly; 1, 3, 5, 15, 17, 51, 85",
            usize::MAX
        )
        .split(';')
        .next()
        .unwrap()
        .to_owned()
            + "; take a multiple of 2 samples"
    );
    assert!(refused(Some(usize::MAX), Some(8), 1).contains("does not fit into memory"));
}
