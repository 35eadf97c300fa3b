//! A model of scales: what comes is multiplied by a number per module, the first and the last the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use autopipe::splitter::ParameterSpec;
use autopipe::splitter::{Cost, Dim, ElementType, Module, ModuleGraph, Role, TensorSpec};
use autopipe::{
    AutoPipeline, Batch, BoxError, DeviceMesh, Keywords, Model, Parameters, PipelineArgs,
    PipelineConfig, RankError, StageModel, ThreadOptions, threads,
};
use candle_core::{DType, Device, Result, Tensor};

/// `embed`, four layers and `head`, whose scale is that of `embed`.
#[derive(Clone, Debug)]
pub(crate) struct Scales {
    /// The modules that are not trained.
    pub(crate) frozen: Vec<&'static str>,
    pub(crate) edges: ElementType,
}

const MODULES: [&str; 6] = ["embed", "layers.0", "layers.1", "layers.2", "layers.3", "head"];

impl Model for Scales {
    fn graph(&self) -> ModuleGraph {
        let module = |name: &str| Module {
            name: name.to_owned(),
            parameters: vec![ParameterSpec {
                trainable: !self.frozen.contains(&name),
                shared_with: (name == "head").then(|| "embed.scale".to_owned()),
                ..ParameterSpec::new(format!("{name}.scale"), [1])
            }],
            submodules: Vec::new(),
            role: if name.starts_with("layers") { Role::Layer } else { Role::Boundary },
            flops: Cost::per_token(1),
            activation_bytes: Cost::default().into(),
        };
        let dims = vec![Dim::Batch, Dim::Fixed(1)];
        let x = TensorSpec { name: "x".to_owned(), dims, dtype: self.edges };
        ModuleGraph::chain(MODULES.into_iter().map(module), &[x]).unwrap()
    }

    fn build_stage(
        &self,
        modules: &[String],
        device: &Device,
    ) -> std::result::Result<Box<dyn StageModel>, BoxError> {
        let mut parameters = Parameters::new();
        let mut order = Vec::new();
        for name in modules {
            let is_shared = name == "head" && modules.contains(&"embed".to_owned());
            let parameter = format!("{}.scale", if is_shared { "embed" } else { name.as_str() });
            if !is_shared {
                // The head's copy begins as the embedding does.
                let place = MODULES.iter().position(|module| module == name).unwrap() % 5;
                let value = Tensor::full(1.0 + place as f64 / 4.0, 1, device)?;
                let trainable = !self.frozen.contains(&name.as_str());
                parameters.add(&parameter, value, trainable)?;
            }
            order.push(parameter);
        }
        Ok(Box::new(Stage { parameters, order }))
    }
}

struct Stage {
    parameters: Parameters,
    /// The parameter of each module.
    order: Vec<String>,
}

impl StageModel for Stage {
    fn forward(&self, inputs: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        let scale = |name: &String| self.parameters.get(name).unwrap().value();
        let x = inputs[0].clone();
        Ok(vec![self.order.iter().try_fold(x, |x, name| x.broadcast_mul(scale(name)))?])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

pub(crate) fn batch(phase: f64) -> Batch {
    let tensor = |phase: f64| {
        let values: Vec<f64> = (0..4).map(|row| (f64::from(row) + phase).cos()).collect();
        Tensor::from_vec(values, (4, 1), &Device::Cpu).unwrap()
    };
    Batch::new(tensor(phase), tensor(phase + 1.0))
}

/// Builds the model on every rank and runs `body` with it.
pub(crate) fn run<T: Send>(
    model: &Scales,
    config: &PipelineConfig,
    pp_size: usize,
    body: impl Fn(&mut AutoPipeline) -> std::result::Result<T, autopipe::Error> + Sync,
) -> std::result::Result<Vec<T>, RankError<autopipe::Error>> {
    threads(pp_size, &ThreadOptions::default(), |world| {
        let args = PipelineArgs {
            device: Some(Device::Cpu),
            ..PipelineArgs::new(config.clone(), DeviceMesh::new([("pp", pp_size)])?)
        };
        let mut pipeline = AutoPipeline::new(args, world)?;
        let loss = |outputs: &[Tensor], target: &Tensor| (&outputs[0] - target)?.sqr()?.sum_all();
        body(pipeline.build(model, Arc::new(loss))?)
    })
}

pub(crate) fn config(schedule: &str) -> PipelineConfig {
    PipelineConfig {
        pp_schedule: Some(schedule.to_owned()),
        pp_batch_size: 4,
        ..PipelineConfig::default()
    }
}

/// The gradients of parameters by name.
pub(crate) fn grads<'a>(parts: impl IntoIterator<Item = &'a Parameters>) -> BTreeMap<String, f64> {
    let all = parts.into_iter().flat_map(|part| part.iter());
    all.filter_map(|parameter| {
        let grad = parameter.grad()?;
        assert_eq!(grad.dtype(), DType::F64);
        Some((parameter.name().to_owned(), grad.to_vec1().unwrap()[0]))
    })
    .collect()
}
