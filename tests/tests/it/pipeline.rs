//! One step of AutoPipeline over threads, and the same without a pipeline.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use autopipe::schedule::Plan;
use autopipe::{
    AutoPipeline, Batch, DeviceMesh, Input, Keywords, LossFn, Model, PipelineArgs, PipelineConfig,
    RankError, StageModel, ThreadOptions, threads,
};
use autopipe_nn::cross_entropy_sum;
use candle_core::{Device, Tensor};

use crate::reference::Reference;

/// A loss and a gradient for every parameter, by name.
pub(crate) struct Outcome {
    pub(crate) loss: f64,
    pub(crate) grads: BTreeMap<String, Tensor>,
}

pub(crate) fn llama() -> Box<dyn Model> {
    Reference::named("llama").model().unwrap()
}

/// The batch that transformers has computed `llama` on.
pub(crate) fn reference_batch() -> Batch {
    Reference::named("llama").batch()
}

pub(crate) fn loss() -> LossFn {
    Arc::new(|outputs, labels| cross_entropy_sum(&outputs[0], labels))
}

/// The model in one piece.
fn whole(model: &dyn Model) -> Result<Box<dyn StageModel>> {
    let all: Vec<String> = model.graph().modules().map(|module| module.name.clone()).collect();
    model.build_stage(&all, &Device::Cpu).map_err(anyhow::Error::from_boxed)
}

/// The tensors that the batch has by name, uncut.
fn keywords(batch: &Batch) -> Keywords {
    let tensors = |input: &Input| input.tensors().to_vec();
    let by_name = batch.keywords.iter().map(|(name, input)| (name.clone(), tensors(input)));
    by_name.flat_map(|(name, all)| all.into_iter().map(move |one| (name.clone(), one))).collect()
}

/// What the model in one piece gives for the whole batch at once.
pub(crate) fn logits(model: &dyn Model, batch: &Batch) -> Result<Tensor> {
    let outputs = whole(model)?.forward(batch.inputs[0].tensors(), &keywords(batch))?;
    Ok(outputs[0].clone())
}

/// Loss and gradients of the model in one piece, on the whole batch at once.
pub(crate) fn unsplit(model: &dyn Model, batch: &Batch) -> Result<Outcome> {
    let stage = whole(model)?;
    let outputs = stage.forward(batch.inputs[0].tensors(), &keywords(batch))?;
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
        .flat_map(|part| part.iter().filter(|parameter| parameter.is_trainable()))
        .map(|p| {
            let grad = p.grad().with_context(|| format!("{} has no gradient", p.name()))?;
            Ok((p.name().to_owned(), grad.to_device(&Device::Cpu)?))
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
    try_pipelined(model, config, table, num_ranks, batch).unwrap()
}

/// The same, which may fail.
pub(crate) fn try_pipelined(
    model: &dyn Model,
    config: &PipelineConfig,
    table: Option<&Plan>,
    num_ranks: usize,
    batch: &Batch,
) -> Result<Outcome> {
    let ranks = on_ranks_with(model, config, table, num_ranks, |pipeline| {
        let loss = pipeline.step(batch)?.loss();
        Ok((loss, gradients(pipeline.parts()?)?))
    })
    .map_err(|error| anyhow!("{error}"))?;
    let loss = ranks[0].0;
    assert!(ranks.iter().all(|rank| rank.0 == loss), "every rank reports the same loss");
    Ok(Outcome { loss, grads: ranks.into_iter().flat_map(|rank| rank.1).collect() })
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
    let differences = differences(got, expected, loss_bound, grad_bound);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// What is not the same; a loss or a gradient that is no number is not.
pub(crate) fn differences(
    got: &Outcome,
    expected: &Outcome,
    loss_bound: f64,
    grad_bound: f64,
) -> Vec<String> {
    let mut differences = Vec::new();
    let difference = (got.loss - expected.loss).abs() / expected.loss.abs();
    if !(0.0..=loss_bound).contains(&difference) {
        differences.push(format!("loss {} for {}", got.loss, expected.loss));
    }
    for name in got.grads.keys().filter(|&name| !expected.grads.contains_key(name)) {
        differences.push(format!("{name} has a gradient and should not be there"));
    }
    for (name, expected) in &expected.grads {
        match got.grads.get(name) {
            None => differences.push(format!("{name} is missing")),
            Some(grad) if grad.dims() != expected.dims() => {
                differences.push(format!("{name} is {:?}, not {:?}", grad.dims(), expected.dims()));
            }
            Some(grad) => {
                let difference = relative_l2(grad, expected);
                if !(0.0..=grad_bound).contains(&difference) {
                    differences.push(format!("{name} differs by {difference:e}"));
                }
            }
        }
    }
    differences
}
