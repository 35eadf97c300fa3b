//! What is to be planned: a recipe, or a model with a few numbers, in the facade's types.

use anyhow::{Context as _, anyhow, bail};
use autopipe::schedule::Plan;
use autopipe::splitter::{BatchShape, ElementType, HfModel, HfNesting, hf_model};
use autopipe::{
    DataParallel, DeviceMesh, MeshSizes, ParameterBytes, PipelineConfig, Shards, Speed, Split,
    Workload,
};
use autopipe_config::{ActivationCheckpointing, DType, Recipe, Strategy};
use autopipe_trainer::{
    Error, model_config, parameter_bytes, pipeline_config, read_schedule, split_of, trained_dtype,
    trained_graph,
};
use serde_json::{Value, json};

use crate::args::{self, Ask, Machine};
use crate::model::read_config;
use crate::recipe;

/// Everything that a plan is made from.
pub(super) struct Request {
    pub(super) config: PipelineConfig,
    pub(super) table: Option<Plan>,
    pub(super) pp_size: usize,
    pub(super) mesh: DeviceMesh,
    pub(super) model: HfModel,
    pub(super) split: Split,
    pub(super) workload: Workload,
    /// How many pipelines there are, each with data of its own.
    pub(super) num_pipelines: f64,
    /// Where the options of a suggestion are to be set.
    pub(super) source: Source,
    /// What a plan leaves out.
    pub(super) notes: Vec<String>,
}

/// Where the options come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Recipe,
    Flags,
}

impl Source {
    /// Where an option of a suggestion stands in a recipe; itself where there is none.
    pub(super) fn key(self, option: &str) -> String {
        match self {
            Self::Flags => option.to_owned(),
            Self::Recipe if option == "split" => "distributed.split".to_owned(),
            Self::Recipe => format!("distributed.pipeline.{option}"),
        }
    }
}

/// How many ranks there are of each kind, and who shares what.
struct Ranks {
    sizes: MeshSizes,
    strategy: Strategy,
    /// Whether gradients are summed over data-parallel ranks at the end of a step only.
    defer_grad_sync: bool,
}

impl Request {
    /// # Errors
    /// Whatever cannot be read, or is wrong with it.
    pub(super) fn new(args: &args::Plan) -> anyhow::Result<Self> {
        match &args.recipe {
            Some(path) => Self::of_recipe(&recipe::read(path, &args.set)?, args.machine),
            None => Self::of_flags(&args.ask, args.machine),
        }
    }

    pub(super) fn of_recipe(recipe: &Recipe, machine: Machine) -> anyhow::Result<Self> {
        let config = pipeline_config(recipe);
        let distributed = &recipe.distributed;
        let json = model_config(&recipe.model.source)?;
        let policy = distributed.mp_policy.as_ref();
        let weights = trained_dtype(&recipe.model)?;
        let computed = policy.and_then(|policy| policy.param_dtype);
        let dtype = config.dtype.or(computed).unwrap_or(weights);
        let sizes = MeshSizes {
            pp: distributed.pp_size,
            dp_replicate: distributed.dp_replicate_size,
            dp: Some(distributed.dp_size.unwrap_or(distributed.dp_replicate_size)),
            cp: distributed.cp_size,
            tp: distributed.tp_size,
            ep: distributed.ep_size,
        };
        let parts = Parts {
            json,
            dtype: Some(dtype),
            weights: Some(parameter_bytes(recipe, weights)?),
            ranks: Ranks {
                sizes,
                strategy: distributed.strategy,
                defer_grad_sync: distributed.defer_fsdp_grad_sync,
            },
            seq_len: recipe.dataset.seq_len,
            split: split_of(recipe)?,
            source: Source::Recipe,
        };
        let mut request = parts.request(config, machine)?;
        request.train_as(recipe)?;
        Ok(request)
    }

    /// Counts what the recipe leaves untrained and computes again.
    fn train_as(&mut self, recipe: &Recipe) -> anyhow::Result<()> {
        let recomputes =
            recipe.distributed.activation_checkpointing != ActivationCheckpointing::None;
        if recipe.peft.is_none() && recipe.model.freeze.is_empty() && !recomputes {
            return Ok(());
        }
        match trained_graph(recipe) {
            Ok(graph) => self.model.graph = graph,
            Err(Error::Model(error)) => {
                self.notes.push(format!("the plan is of training the whole model: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        if recomputes {
            self.notes.push("layers that are computed again take time on top".to_owned());
        }
        Ok(())
    }

    fn of_flags(ask: &Ask, machine: Machine) -> anyhow::Result<Self> {
        let missing = |flag| anyhow!("--{flag} is missing");
        let path = ask.model.as_ref().ok_or_else(|| missing("model"))?;
        let config = PipelineConfig {
            pp_schedule: Some(ask.schedule.clone().unwrap_or_else(|| "1f1b".to_owned())),
            pp_schedule_csv: ask.schedule_csv.clone(),
            pp_microbatch_size: ask.microbatch.unwrap_or(1),
            pp_batch_size: ask.batch.ok_or_else(|| missing("batch"))?,
            layers_per_stage: ask.layers_per_stage,
            round_virtual_stages_to_pp_multiple: ask.round,
            ..PipelineConfig::default()
        };
        let sizes = MeshSizes {
            pp: ask.pp.unwrap_or(1),
            dp: Some(ask.dp.unwrap_or(1)),
            cp: ask.cp.unwrap_or(1),
            tp: ask.tp.unwrap_or(1),
            ..MeshSizes::default()
        };
        let parts = Parts {
            json: read_config(path)?,
            dtype: ask.dtype,
            weights: ask.dtype.map(|dtype| ParameterBytes::adamw(size_in_bytes(dtype))),
            ranks: Ranks { sizes, strategy: Strategy::Fsdp2, defer_grad_sync: true },
            seq_len: ask.seq.ok_or_else(|| missing("seq"))?,
            split: ask.split.clone().unwrap_or_default(),
            source: Source::Flags,
        };
        parts.request(config, machine)
    }
}

/// What both sources say, each in its own way.
struct Parts {
    json: Value,
    /// Of what is computed and sent; the model's own if nothing is said.
    dtype: Option<DType>,
    /// Of the parameters as they are trained; AdamW's if nothing is said.
    weights: Option<ParameterBytes>,
    ranks: Ranks,
    seq_len: usize,
    split: Split,
    source: Source,
}

impl Parts {
    fn request(mut self, config: PipelineConfig, machine: Machine) -> anyhow::Result<Request> {
        let sizes = &self.ranks.sizes;
        if self.seq_len == 0 {
            bail!("a sequence of 0 tokens is empty, the shortest has 1");
        }
        let factors = [sizes.pp, sizes.dp.unwrap_or(1), sizes.cp, sizes.tp];
        let world_size = factors.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        let world_size = world_size.context("more ranks than can be counted; use fewer")?;
        let mesh = DeviceMesh::for_training(world_size, sizes)?;
        if !self.seq_len.is_multiple_of(sizes.cp) {
            bail!(
                "{} context-parallel ranks cannot share {} tokens evenly",
                sizes.cp,
                self.seq_len
            );
        }
        // The graph tells bytes in the model's own type.
        if let (Some(dtype), Some(fields)) = (self.dtype, self.json.as_object_mut()) {
            fields.shift_remove("torch_dtype");
            fields.insert("dtype".to_owned(), json!(dtype.as_str()));
        }
        let model = hf_model(&self.json, HfNesting::default())?;
        let table = read_schedule(&config)?;
        let workload = Workload {
            microbatch: BatchShape { batch_size: config.pp_microbatch_size, seq_len: self.seq_len },
            parameter_bytes: machine
                .bytes
                .or(self.weights)
                .unwrap_or_else(|| ParameterBytes::adamw(model.dtype.size_in_bytes())),
            shards: self.ranks.shards(),
            speed: machine.tflops.map(|tflops| Speed {
                flops: 1e12 * tflops,
                bandwidth: machine.bandwidth.map(|bandwidth| 1e9 * bandwidth),
            }),
            memory_limit: machine.memory.map(|gigabytes| 1e9 * gigabytes),
        };
        let mut notes = notes(&model, &self.ranks, self.seq_len);
        let knows_machine = machine.memory.is_some() || machine.tflops.is_some();
        if self.source == Source::Recipe && self.split == Split::Balanced && knows_machine {
            notes.push(
                "a run of the recipe balances without regard to memory and speed; give it this \
                 split as `distributed.pipeline.module_fqns_per_model_part`, from --json"
                    .to_owned(),
            );
        }
        let pp_size = sizes.pp;
        #[expect(clippy::cast_precision_loss, reason = "ranks are far fewer than 2^53")]
        let num_pipelines = sizes.dp.unwrap_or(1) as f64;
        let Self { split, source, .. } = self;
        Ok(Request {
            config,
            table,
            pp_size,
            mesh,
            model,
            split,
            workload,
            num_pipelines,
            source,
            notes,
        })
    }
}

impl Ranks {
    fn shards(&self) -> Shards {
        let MeshSizes { dp_replicate, dp, cp, tp, .. } = self.sizes;
        let shard = match self.strategy {
            Strategy::Fsdp2 => dp.unwrap_or(1) / dp_replicate.max(1) * cp,
            Strategy::Ddp => 1,
        };
        let shards = DataParallel { replicate: dp_replicate, shard }.shards(self.defer_grad_sync);
        Shards { sequence: cp, ..shards.among_tensor_parallel(tp) }
    }
}

fn size_in_bytes(dtype: DType) -> usize {
    match dtype {
        DType::Float64 => 8,
        DType::Float32 => 4,
        DType::BFloat16 | DType::Float16 => 2,
    }
}

/// What the numbers do not tell.
fn notes(model: &HfModel, ranks: &Ranks, seq_len: usize) -> Vec<String> {
    let sizes = &ranks.sizes;
    let mut notes = Vec::new();
    if sizes.tp > 1 {
        notes.push(
            "tensor-parallel ranks are taken to share layers evenly and to talk in no time"
                .to_owned(),
        );
    }
    if sizes.ep > 1 {
        notes.push("experts are counted whole on every rank of their stage".to_owned());
    }
    if model.num_mtp_layers > 0 {
        let num = model.num_mtp_layers;
        notes.push(format!("{num} layer for multi-token prediction of the checkpoint is left out"));
    }
    if let Some(how) = &model.quantization {
        let dtype = name(model.dtype);
        notes.push(format!(
            "the checkpoint is quantized ({how}), the plan is of weights in {dtype}"
        ));
    }
    if seq_len > model.max_positions {
        notes.push(format!(
            "{seq_len} tokens are more than the {} that the model was made for",
            model.max_positions
        ));
    }
    notes
}

/// torch's name of a type.
pub(super) fn name(dtype: ElementType) -> &'static str {
    match dtype {
        ElementType::F64 => "float64",
        ElementType::F32 => "float32",
        ElementType::F16 => "float16",
        ElementType::Bf16 => "bfloat16",
        ElementType::I64 => "int64",
        ElementType::U32 => "uint32",
        ElementType::U8 => "uint8",
    }
}
