//! One step of AutoPipeline over threads, and the same without a pipeline.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use autopipe::schedule::Plan;
use autopipe::{
    AutoPipeline, Batch, DeviceMesh, Keywords, LossFn, Model, PipelineArgs, PipelineConfig,
    RankError, ThreadOptions, threads,
};
use autopipe_models::load_folder;
use autopipe_nn::{count_labels, cross_entropy_sum};
use candle_core::{Device, Tensor};

/// A loss and a gradient for every parameter, by name.
pub(crate) struct Outcome {
    pub(crate) loss: f64,
    pub(crate) grads: BTreeMap<String, Tensor>,
}

/// The reference model that transformers has computed.
pub(crate) fn fixture(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/models/tests/fixtures/llama")
        .join(file)
}

pub(crate) fn llama() -> Box<dyn Model> {
    load_folder(&fixture("")).unwrap().into_model()
}

pub(crate) fn tensors(file: &str) -> BTreeMap<String, Tensor> {
    candle_core::safetensors::load(fixture(file), &Device::Cpu).unwrap().into_iter().collect()
}

/// The batch that the reference was computed on, its loss the mean over label tokens.
pub(crate) fn reference_batch() -> Batch {
    let tensors = tensors("batch.safetensors");
    let labels = &tensors["labels"];
    let num_labels = count_labels(labels).unwrap();
    Batch::new(tensors["input_ids"].clone(), labels.clone())
        .with_loss_scale(1.0 / num_labels as f64)
}

pub(crate) fn loss() -> LossFn {
    Arc::new(|outputs, labels| cross_entropy_sum(&outputs[0], labels))
}

/// The model in one piece, on the whole batch at once.
pub(crate) fn unsplit(model: &dyn Model, batch: &Batch) -> Result<Outcome> {
    let all: Vec<String> = model.graph().modules().map(|module| module.name.clone()).collect();
    let stage = model.build_stage(&all, &Device::Cpu).map_err(anyhow::Error::from_boxed)?;
    let outputs = stage.forward(batch.inputs[0].tensors(), &Keywords::new())?;
    let loss = (loss()(&outputs, &batch.target.as_ref().context("a target")?.tensors()[0])?
        * batch.loss_scale)?;
    let mut store = loss.backward()?;
    stage.parameters().collect(&mut store)?;
    Ok(Outcome {
        loss: f64::from(loss.to_scalar::<f32>()?),
        grads: gradients([stage.parameters()])?,
    })
}

pub(crate) fn gradients<'a>(
    parts: impl IntoIterator<Item = &'a autopipe::Parameters>,
) -> Result<BTreeMap<String, Tensor>> {
    parts
        .into_iter()
        .flat_map(|part| part.iter())
        .map(|p| {
            Ok((
                p.name().to_owned(),
                p.grad().with_context(|| format!("{} has no gradient", p.name()))?,
            ))
        })
        .collect()
}

/// Runs `body` on every rank of a pipeline of `num_ranks` threads.
pub(crate) fn on_ranks<T: Send>(
    model: &dyn Model,
    config: &PipelineConfig,
    num_ranks: usize,
    body: impl Fn(&mut AutoPipeline) -> Result<T> + Sync,
) -> Result<Vec<T>, RankError<anyhow::Error>> {
    on_ranks_with(model, config, None, num_ranks, body)
}

/// The same with a schedule from a table.
pub(crate) fn on_ranks_with<T: Send>(
    model: &dyn Model,
    config: &PipelineConfig,
    table: Option<&Plan>,
    num_ranks: usize,
    body: impl Fn(&mut AutoPipeline) -> Result<T> + Sync,
) -> Result<Vec<T>, RankError<anyhow::Error>> {
    threads(num_ranks, &ThreadOptions::default(), |world| {
        let mesh = DeviceMesh::new([("pp", num_ranks)])?;
        let args =
            PipelineArgs { table: table.cloned(), ..PipelineArgs::new(config.clone(), mesh) };
        let mut pipeline = AutoPipeline::new(args, world)?;
        pipeline.build(model, loss())?;
        body(&mut pipeline)
    })
}

/// One training step over `num_ranks` ranks.
pub(crate) fn pipelined(
    model: &dyn Model,
    config: &PipelineConfig,
    num_ranks: usize,
    batch: &Batch,
) -> Outcome {
    pipelined_with(model, config, None, num_ranks, batch)
}

/// The same with a schedule from a table.
pub(crate) fn pipelined_with(
    model: &dyn Model,
    config: &PipelineConfig,
    table: Option<&Plan>,
    num_ranks: usize,
    batch: &Batch,
) -> Outcome {
    let ranks = on_ranks_with(model, config, table, num_ranks, |pipeline| {
        let loss = pipeline.step(batch)?.loss();
        Ok((loss, gradients(pipeline.parts()?)?))
    })
    .unwrap();
    let loss = ranks[0].0;
    assert!(ranks.iter().all(|rank| rank.0 == loss), "every rank reports the same loss");
    Outcome { loss, grads: ranks.into_iter().flat_map(|rank| rank.1).collect() }
}

/// `|a - b| / |b|`.
pub(crate) fn relative_l2(a: &Tensor, b: &Tensor) -> f64 {
    let norm = |t: &Tensor| {
        f64::from(t.sqr().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap()).sqrt()
    };
    norm(&(a - b).unwrap()) / norm(b)
}

#[track_caller]
pub(crate) fn assert_same(got: &Outcome, expected: &Outcome, loss_bound: f64, grad_bound: f64) {
    let difference = (got.loss - expected.loss).abs() / expected.loss.abs();
    assert!(difference <= loss_bound, "loss {} for {}", got.loss, expected.loss);
    assert_eq!(got.grads.keys().collect::<Vec<_>>(), expected.grads.keys().collect::<Vec<_>>());
    for (name, expected) in &expected.grads {
        let difference = relative_l2(&got.grads[name], expected);
        assert!(difference <= grad_bound, "{name} differs by {difference:e}");
    }
}
