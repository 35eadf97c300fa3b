//! A model of one's own: an encoder whose head takes what the embedding made, past all stages
//! between them. It learns to say every sequence backwards, on three ranks.
//!
//! ```console
//! $ cargo run --release -p autopipe --example encoder
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::sync::Arc;

use autopipe::splitter::{
    Cost, Dim, ElementType, Module, ModuleGraph, ParameterSpec, Role, TensorSpec,
};
use autopipe::{
    AutoPipeline, Batch, BoxError, Communicator, DeviceMesh, Keywords, Model, Parameters,
    PipelineArgs, PipelineConfig, StageModel, ThreadOptions, threads,
};
use autopipe_nn::optim::{AdamWConfig, Optimizer};
use autopipe_nn::{Attention, Embedding, LayerNorm, Linear, Mask, cross_entropy_sum, gelu, init};
use candle_core::{DType, Device, Error, Result, Tensor};

const VOCAB: usize = 12;
const SEQ_LEN: usize = 8;
const WIDTH: usize = 32;
const HEADS: usize = 4;
const LAYERS: usize = 4;

/// What a module's parameters are called, and their shapes: the graph and the weights follow from it.
fn parameters(module: &str) -> Vec<(String, Vec<usize>)> {
    let shapes: &[(&str, &[usize])] = match module {
        "embed" => &[("tokens", &[VOCAB, WIDTH]), ("positions", &[SEQ_LEN, WIDTH])],
        "head" => &[("weight", &[VOCAB, WIDTH])],
        _ => &[
            ("norm_1", &[WIDTH]),
            ("qkv", &[3 * WIDTH, WIDTH]),
            ("out", &[WIDTH, WIDTH]),
            ("norm_2", &[WIDTH]),
            ("up", &[2 * WIDTH, WIDTH]),
            ("down", &[WIDTH, 2 * WIDTH]),
        ],
    };
    shapes.iter().map(|(name, shape)| (format!("{module}.{name}"), shape.to_vec())).collect()
}

fn layer_name(i: usize) -> String {
    format!("layers.{i}")
}

/// The first of the two traits: a model says what it is made of, and builds any piece of itself.
struct Encoder;

impl Model for Encoder {
    fn graph(&self) -> ModuleGraph {
        let names =
            [vec!["embed".into()], (0..LAYERS).map(layer_name).collect(), vec!["head".into()]];
        let names: Vec<String> = names.concat();
        let mut graph = ModuleGraph::new();
        for name in &names {
            let specs = parameters(name).into_iter();
            let module = Module {
                name: name.clone(),
                parameters: specs.map(|(name, shape)| ParameterSpec::new(name, shape)).collect(),
                submodules: Vec::new(),
                role: if name.starts_with("layers") { Role::Layer } else { Role::Boundary },
                flops: Cost::per_token(1),
                activation_bytes: Cost::default().into(),
            };
            graph.add_module(module).expect("the names differ");
        }
        let tensor = |name: &str| TensorSpec {
            name: name.to_owned(),
            dims: vec![Dim::Batch, Dim::Sequence, Dim::Fixed(WIDTH)],
            dtype: ElementType::F32,
        };
        for (i, pair) in names.windows(2).enumerate() {
            let made = if i == 0 { tensor("embedded") } else { tensor("hidden") };
            graph.add_edge(&pair[0], &pair[1], vec![made]).expect("they follow each other");
        }
        // The skip connection. The stages between hand the tensor on, and its gradient back.
        graph.add_edge("embed", "head", vec![tensor("embedded")]).expect("the head comes last");
        graph
    }

    fn build_stage(
        &self,
        modules: &[String],
        device: &Device,
    ) -> std::result::Result<Box<dyn StageModel>, BoxError> {
        let mut all = Parameters::new();
        for (name, shape) in modules.iter().flat_map(|module| parameters(module)) {
            let value = match shape.len() {
                1 => Tensor::ones(shape, DType::F32, device)?,
                _ => init::normal(shape, 0.15, 7, &name, DType::F32, device)?,
            };
            all.add(&name, value, true)?;
        }
        let mut stage = Stage {
            embed: None,
            layers: Vec::new(),
            head: None,
            begins_behind_embed: modules.first().is_some_and(|name| *name == layer_name(0)),
            parameters: all.clone(),
        };
        for module in modules {
            let get =
                |name: &str| all.get(&format!("{module}.{name}")).expect("added above").clone();
            match module.as_str() {
                "embed" => {
                    let [tokens, positions] =
                        ["tokens", "positions"].map(|name| Embedding::new(get(name)));
                    stage.embed = Some([tokens?, positions?]);
                }
                "head" => stage.head = Some(Linear::new(get("weight"), None)?),
                _ => stage.layers.push(Layer {
                    norms: [
                        LayerNorm::new(get("norm_1"), None, 1e-5)?,
                        LayerNorm::new(get("norm_2"), None, 1e-5)?,
                    ],
                    qkv: Linear::new(get("qkv"), None)?,
                    out: Linear::new(get("out"), None)?,
                    up: Linear::new(get("up"), None)?,
                    down: Linear::new(get("down"), None)?,
                }),
            }
        }
        Ok(Box::new(stage))
    }
}

/// The second trait: a stage is a function of tensors with parameters.
struct Stage {
    embed: Option<[Embedding; 2]>,
    layers: Vec<Layer>,
    head: Option<Linear>,
    /// Whether the embedding's result is what the first layer here takes.
    begins_behind_embed: bool,
    parameters: Parameters,
}

impl StageModel for Stage {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        // What comes from earlier stages, in the order of the modules that made it.
        let mut came = inputs.iter().cloned();
        let mut next = || came.next().ok_or_else(|| Error::msg("a tensor is missing"));
        let (embedded, mut x) = if let Some([tokens, positions]) = &self.embed {
            let ids = next()?;
            let places =
                Tensor::arange(0, u32::try_from(ids.dim(1)?).map_err(Error::wrap)?, ids.device())?;
            let embedded = tokens.forward(&ids)?.broadcast_add(&positions.forward(&places)?)?;
            (Some(embedded.clone()), embedded)
        } else if self.begins_behind_embed {
            let embedded = next()?;
            (Some(embedded.clone()), embedded)
        } else {
            let embedded = self.head.as_ref().map(|_| next()).transpose()?;
            (embedded, next()?)
        };
        for layer in &self.layers {
            x = layer.forward(&x)?;
        }
        match (&self.head, embedded) {
            (Some(head), Some(embedded)) => Ok(vec![head.forward(&(x + embedded)?)?]),
            // What later stages take, in the order of the modules that make it.
            (_, Some(embedded)) if self.embed.is_some() && !self.layers.is_empty() => {
                Ok(vec![embedded, x])
            }
            _ => Ok(vec![x]),
        }
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

/// Attention in both directions, then a feed-forward block.
struct Layer {
    norms: [LayerNorm; 2],
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

impl Layer {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, seq_len, _) = x.dims3()?;
        let qkv = self.qkv.forward(&self.norms[0].forward(x)?)?;
        let heads = |i: usize| {
            qkv.narrow(2, i * WIDTH, WIDTH)?
                .reshape((batch, seq_len, HEADS, WIDTH / HEADS))?
                .transpose(1, 2)
        };
        let attention = Attention::new((HEADS as f64 / WIDTH as f64).sqrt(), Mask::Full);
        let mixed = attention.forward(&heads(0)?, &heads(1)?, &heads(2)?)?;
        let x = (x + self.out.forward(&mixed.transpose(1, 2)?.flatten_from(2)?)?)?;
        let inner = gelu(&self.up.forward(&self.norms[1].forward(&x)?)?, autopipe_nn::Gelu::Tanh)?;
        x + self.down.forward(&inner)?
    }
}

/// Random sequences, and the same backwards.
fn batch(step: u64, size: usize) -> Result<(Tensor, Tensor)> {
    let mut state = step.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut rows = Vec::new();
    for _ in 0..size {
        let row: Vec<u32> = (0..SEQ_LEN)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                u32::try_from(state % VOCAB as u64).expect("below the vocabulary's size")
            })
            .collect();
        rows.push(row);
    }
    let backwards: Vec<Vec<u32>> =
        rows.iter().map(|row| row.iter().rev().copied().collect()).collect();
    Ok((Tensor::new(rows, &Device::Cpu)?, Tensor::new(backwards, &Device::Cpu)?))
}

fn train(world: Box<dyn Communicator>, num_steps: u64) -> std::result::Result<f64, BoxError> {
    const BATCH: usize = 32;
    let config = PipelineConfig {
        pp_schedule: Some("1f1b".to_owned()),
        pp_batch_size: BATCH,
        pp_microbatch_size: 8,
        ..PipelineConfig::default()
    };
    let is_reporter = world.rank() == 0;
    let mesh = DeviceMesh::new([("pp", world.size())])?;
    let mut pipeline = AutoPipeline::new(PipelineArgs::new(config, mesh), world)?;
    pipeline.build(&Encoder, Arc::new(|outputs, labels| cross_entropy_sum(&outputs[0], labels)))?;
    let adamw = AdamWConfig { weight_decay: 0.0, ..AdamWConfig::default() };
    let mut optimizer = Optimizer::new(adamw, Vec::new())?;
    let mut loss = f64::NAN;
    for step in 1..=num_steps {
        let (input, labels) = batch(step, BATCH)?;
        let batch = Batch::new(input, labels).with_loss_scale(1.0 / (BATCH * SEQ_LEN) as f64);
        loss = pipeline.step(&batch)?.loss();
        for part in pipeline.parts()? {
            optimizer.step(part, 3e-3)?;
            part.zero_grad();
        }
        if is_reporter && step.is_multiple_of(50) {
            println!("step {step}: loss {loss:.4}");
        }
    }
    Ok(loss)
}

fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
    let losses = threads(3, &ThreadOptions::default(), |world| train(world, 300))?;
    let guessing = (VOCAB as f64).ln();
    println!("the last loss is {:.4}; guessing has {guessing:.4}", losses[0]);
    if losses[0] > guessing / 4.0 {
        return Err("it has not learnt to say a sequence backwards".into());
    }
    Ok(())
}
