//! Documents packed into rows compute what each computes alone.

use autopipe_models::{Options, Recompute, load_folder, load_folder_with};
use autopipe_nn::cross_entropy_sum;
use autopipe_runtime::{Keywords, StageModel};
use candle_core::{DType, Device, Tensor};

use crate::fixture::{
    Computed, build, flat, folder, folders, llama, modules, relative_l2, tensors,
};

/// The lengths of the documents of a batch's rows. Windows and the lengths from which rotations
/// change lie between them.
fn documents(seq_len: usize) -> [Vec<usize>; 4] {
    [vec![5, seq_len - 5], vec![seq_len], vec![1, 1, 7, seq_len - 9], vec![8, seq_len - 8]]
}

fn position_ids(documents: &[Vec<usize>]) -> Tensor {
    let positions = documents.iter().flatten().flat_map(|&len| 0..u32::try_from(len).unwrap());
    let ids = Tensor::from_iter(positions, &Device::Cpu).unwrap();
    ids.reshape((documents.len(), ())).unwrap()
}

fn packed(ids: &Tensor) -> Keywords {
    [("position_ids", ids.clone())].into_iter().collect()
}

/// Logits, the sum of the losses, and its gradients, of several forwards one after the other.
fn computed<'a>(
    stage: &dyn StageModel,
    forwards: impl IntoIterator<Item = ([&'a Tensor; 2], Keywords)>,
) -> Computed {
    stage.parameters().zero_grad();
    let (mut loss, mut logits) = (0.0, Vec::new());
    for ([ids, labels], keywords) in forwards {
        let outputs = stage.forward(std::slice::from_ref(ids), &keywords).unwrap();
        let sum = cross_entropy_sum(&outputs[0], labels).unwrap();
        stage.parameters().collect(&mut sum.backward().unwrap()).unwrap();
        loss += flat(&sum)[0];
        logits.push(outputs[0].flatten_to(1).unwrap());
    }
    let grads = stage.parameters().iter();
    let grads = grads.filter_map(|p| p.grad().map(|grad| (p.name().to_owned(), grad))).collect();
    Computed { loss, logits: Tensor::cat(&logits, 0).unwrap(), grads }
}

/// Each document of a batch as a batch of its own.
fn alone(batch: &Tensor, documents: &[Vec<usize>]) -> Vec<Tensor> {
    let mut parts = Vec::new();
    for (row, lengths) in documents.iter().enumerate() {
        let mut start = 0;
        for &len in lengths {
            let row = batch.narrow(0, row, 1).unwrap();
            parts.push(row.narrow(1, start, len).unwrap().contiguous().unwrap());
            start += len;
        }
    }
    parts
}

#[test]
fn every_family_computes_each_document_alone() {
    for name in &folders() {
        let model = load_folder(&folder(name)).unwrap();
        let stage = build(model.as_model(), &modules(model.as_model()));
        let batch = tensors(&folder(name).join("batch.safetensors"));
        let (ids, labels) = (&batch["input_ids"], &batch["labels"]);
        let documents = documents(ids.dim(1).unwrap());
        let got = computed(&*stage, [([ids, labels], packed(&position_ids(&documents)))]);
        let (ids, labels) = (alone(ids, &documents), alone(labels, &documents));
        let expected =
            computed(&*stage, ids.iter().zip(&labels).map(|(i, l)| ([i, l], Keywords::new())));
        assert!((got.loss - expected.loss).abs() <= 1e-5 * expected.loss, "{name}: {}", got.loss);
        let difference = relative_l2(&got.logits, &expected.logits);
        assert!(difference <= 1e-5, "{name}: logits differ by {difference:e}");
        assert_eq!(got.grads.len(), expected.grads.len(), "{name}");
        for (parameter, grad) in &got.grads {
            let difference = relative_l2(grad, &expected.grads[parameter]);
            assert!(difference <= 2e-5, "{name}: gradient of {parameter}: {difference:e}");
        }
        // It would not do without the documents.
        let whole = [&batch["input_ids"], &batch["labels"]];
        let whole = computed(&*stage, [(whole, Keywords::new())]);
        assert!(relative_l2(&whole.logits, &expected.logits) > 1e-3, "{name}");
    }
}

#[test]
fn a_whole_row_is_the_same_to_the_bit() {
    for name in ["llama", "gemma3_text", "phi3", "llama_dynamic_rope", "phi3_longrope_long"] {
        let model = load_folder(&folder(name)).unwrap();
        let stage = build(model.as_model(), &modules(model.as_model()));
        let ids = &tensors(&folder(name).join("batch.safetensors"))["input_ids"];
        let seq_len = ids.dim(1).unwrap();
        let logits = |keywords| {
            let outputs = stage.forward(std::slice::from_ref(ids), &keywords).unwrap();
            outputs[0].clone()
        };
        let plain = logits(Keywords::new());
        let all = position_ids(&[vec![seq_len], vec![seq_len], vec![seq_len], vec![seq_len]]);
        let all = packed(&all.to_dtype(DType::I64).unwrap());
        assert_eq!(flat(&logits(all)), flat(&plain), "{name}");
        // The second row, beside others that are packed.
        let beside = logits(packed(&position_ids(&documents(seq_len))));
        let row = |logits: &Tensor, row| flat(&logits.get(row).unwrap());
        assert_eq!(row(&beside, 1), row(&plain, 1), "{name}");
        assert_ne!(row(&beside, 0), row(&plain, 0), "{name}");
    }
}

#[test]
fn recomputed_layers_see_the_same_documents() {
    for name in ["gemma2", "qwen3_moe_sparse", "phi3_longrope_long"] {
        let with = |recompute| {
            let options = Options { recompute, ..Options::default() };
            let model = load_folder_with(&folder(name), options).unwrap();
            let stage = build(model.as_model(), &modules(model.as_model()));
            let batch = tensors(&folder(name).join("batch.safetensors"));
            let (ids, labels) = (&batch["input_ids"], &batch["labels"]);
            let keywords = packed(&position_ids(&documents(ids.dim(1).unwrap())));
            computed(&*stage, [([ids, labels], keywords)])
        };
        let (plain, again) = (with(Recompute::None), with(Recompute::All));
        assert_eq!(flat(&again.logits), flat(&plain.logits), "{name}");
        for (parameter, grad) in &plain.grads {
            assert_eq!(flat(&again.grads[parameter]), flat(grad), "{name}: {parameter}");
        }
    }
}

#[test]
fn positions_that_are_no_packed_documents_are_refused() {
    let model = llama();
    // Any stage says so, and needs no layer for it.
    let stage = build(model.as_model(), &["model.embed_tokens".to_owned()]);
    assert_eq!(stage.keywords(), ["position_ids"]);
    let refused = |ids: Tensor| {
        let tokens = Tensor::zeros((2, 3), DType::U32, &Device::Cpu).unwrap();
        stage.forward(&[tokens], &packed(&ids)).unwrap_err().to_string()
    };
    let rows = |second: [i64; 3]| Tensor::new(&[[0, 1, 0], second], &Device::Cpu).unwrap();
    assert_eq!(
        refused(rows([1, 2, 3])),
        "`position_ids` of row 1 begin with 1, expected 0, where a document begins"
    );
    assert_eq!(
        refused(rows([0, 2, 3])),
        "`position_ids` of row 1 have 2 at token 1, expected 1, or 0 where another document begins"
    );
    assert_eq!(
        refused(rows([0, 1, -1])),
        "`position_ids` of row 1 have -1 at token 2, expected 2, or 0 where another document begins"
    );
    assert_eq!(
        refused(rows([0, 1, 2]).narrow(1, 0, 2).unwrap()),
        "`position_ids` have shape [2, 2], the microbatch is [2, 3]; give one position for each \
         token, cut with the batch along dimension 0"
    );
    assert_eq!(
        refused(rows([0, 1, 2]).to_dtype(DType::F32).unwrap()),
        "`position_ids` are F32, expected U32 or I64"
    );
}

#[test]
fn a_document_is_no_longer_than_the_model_was_made_for() {
    let forward = |name: &str| {
        let model = load_folder(&folder(name)).unwrap();
        let max = model.max_position_embeddings();
        let stage = build(model.as_model(), &["model.embed_tokens".to_owned()]);
        let tokens = Tensor::zeros((1, max + 2), DType::U32, &Device::Cpu).unwrap();
        let keywords = |first| packed(&position_ids(&[vec![first, max + 2 - first]]));
        assert!(stage.forward(std::slice::from_ref(&tokens), &keywords(2)).is_ok(), "{name}");
        stage.forward(&[tokens], &keywords(1)).map_err(|error| error.to_string())
    };
    assert_eq!(
        forward("phi3").unwrap_err(),
        "`position_ids` of row 0 reach 64 at token 65, the model's max_position_embeddings is 64; \
         cut the document"
    );
    // The frequencies of this one are made for whatever there is.
    assert!(forward("llama_dynamic_rope").is_ok());
}
