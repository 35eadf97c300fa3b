//! A stage that fails or panics ends the run on every rank, with rank, action and cause.

use std::time::{Duration, Instant};

use autopipe::splitter::ModuleGraph;
use autopipe::{BoxError, Keywords, Model, Parameters, PipelineConfig, StageModel};
use candle_core::{Device, Tensor};

use crate::pipeline::{llama, on_ranks, reference_batch};

/// A Llama of which the stage with this layer fails in its second microbatch.
struct Faulty {
    model: Box<dyn Model>,
    layer: &'static str,
    panics: bool,
}

struct FaultyStage {
    stage: Box<dyn StageModel>,
    num_forwards: std::sync::atomic::AtomicUsize,
    panics: bool,
}

impl Model for Faulty {
    fn graph(&self) -> ModuleGraph {
        self.model.graph()
    }

    fn build_stage(
        &self,
        modules: &[String],
        device: &Device,
    ) -> Result<Box<dyn StageModel>, BoxError> {
        let stage = self.model.build_stage(modules, device)?;
        if !modules.iter().any(|name| name == self.layer) {
            return Ok(stage);
        }
        Ok(Box::new(FaultyStage { stage, num_forwards: 0.into(), panics: self.panics }))
    }
}

impl StageModel for FaultyStage {
    fn forward(&self, inputs: &[Tensor], keywords: &Keywords) -> candle_core::Result<Vec<Tensor>> {
        if self.num_forwards.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 1 {
            assert!(!self.panics, "a layer lost its head");
            candle_core::bail!("a layer is out of order");
        }
        self.stage.forward(inputs, keywords)
    }

    fn parameters(&self) -> &Parameters {
        self.stage.parameters()
    }
}

#[expect(clippy::disallowed_methods, reason = "a rank that hangs would be seen on a clock only")]
fn fail(layer: &'static str, panics: bool) -> String {
    let config = PipelineConfig { pp_batch_size: 4, ..PipelineConfig::default() };
    let model = Faulty { model: llama(), layer, panics };
    let start = Instant::now();
    let error = on_ranks(&model, &config, 4, |pipeline| Ok(pipeline.step(&reference_batch())?))
        .unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(2), "every rank has to end within two seconds");
    error.to_string()
}

#[test]
fn an_error_in_any_stage() {
    for (rank, layer) in ["model.layers.0", "model.layers.1", "model.layers.2", "model.layers.3"]
        .into_iter()
        .enumerate()
    {
        let text = fail(layer, false);
        let expected = format!(
            "rank {rank} failed: pipeline step 0, action {rank}F1: a layer is out of order"
        );
        assert!(text.contains(&expected), "{text}");
    }
}

#[test]
fn a_panic_in_any_stage() {
    for (rank, layer) in
        ["model.layers.0", "model.layers.3"].into_iter().zip([0, 3]).map(|(l, r)| (r, l))
    {
        let text = fail(layer, true);
        let expected = format!(
            "rank {rank} failed: pipeline step 0, action {rank}F1: panicked: a layer lost its head"
        );
        assert!(text.contains(&expected), "{text}");
    }
}
