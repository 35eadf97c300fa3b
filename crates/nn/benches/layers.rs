//! How fast each layer is on one thread, forward alone and with its backward, in float32 and
//! bfloat16: 256 tokens of a model with hidden size 512, intermediate size 1376, 8 heads of 64 with
//! 4 for keys, and a vocabulary of 8192.
//!
//! `RAYON_NUM_THREADS=1 CANDLE_NUM_THREADS=1 cargo bench -p autopipe-nn --bench layers`
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on has failed")]

use autopipe_nn::optim::{AdamWConfig, LionConfig, Optimizer, Rule, SgdConfig};
use autopipe_nn::{
    Attention, Embedding, Gelu, LayerNorm, Linear, Mask, Noise, Parameters, RmsNorm,
    RotaryEmbedding, Routing, cross_entropy_sum, dropout, geglu, gelu, grad_norm_squared, init,
    scale_grads, swiglu, vjp,
};
use candle_core::{DType, Device, Result, Tensor, Var};
use criterion::Criterion;

// As in the command line: glibc's allocator gives large buffers back at every operation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKENS: usize = 256;
const HIDDEN: usize = 512;
const INTERMEDIATE: usize = 1376;
const HEADS: usize = 8;
const KV_HEADS: usize = 4;
const VOCABULARY: usize = 8192;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for dtype in [DType::F32, DType::BF16] {
        for layer in layers(dtype) {
            let mut group = criterion.benchmark_group(format!("{} {}", layer.name, dtype.as_str()));
            group.bench_function("forward", |b| b.iter(|| (layer.forward)().unwrap()));
            group.bench_function("forward and backward", |b| b.iter(|| layer.both()));
            group.finish();
        }
    }
    for (name, mut step) in steps() {
        criterion.bench_function(name, |b| b.iter(&mut step));
    }
}

type Step = Box<dyn FnMut()>;

/// A layer with its inputs.
struct Layer {
    name: &'static str,
    forward: Box<dyn Fn() -> Result<Tensor>>,
    /// The output's gradient.
    grad: Tensor,
}

impl Layer {
    fn new(name: &'static str, forward: impl Fn() -> Result<Tensor> + 'static) -> Self {
        let output = forward().unwrap();
        let grad = random("gradient", output.dims(), output.dtype());
        Self { name, forward: Box::new(forward), grad }
    }

    fn both(&self) {
        let output = (self.forward)().unwrap();
        vjp(&[output], std::slice::from_ref(&self.grad)).unwrap();
    }
}

fn random(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    init::normal(shape, 1., 1, name, dtype, &Device::Cpu).unwrap()
}

fn variable(name: &str, shape: &[usize], dtype: DType) -> Var {
    Var::from_tensor(&random(name, shape, dtype)).unwrap()
}

fn linear(name: &'static str, num_out: usize, dtype: DType) -> Layer {
    let mut set = Parameters::new();
    let weight = set.add("weight", random("weight", &[num_out, HIDDEN], dtype), true).unwrap();
    let linear = Linear::new(weight, None).unwrap();
    let x = variable("x", &[1, TOKENS, HIDDEN], dtype);
    Layer::new(name, move || linear.forward(&x))
}

/// Two of 16 experts for each token, which are linear layers of an eighth of the intermediate size.
fn experts(dtype: DType) -> Layer {
    const EXPERTS: usize = 16;
    let mut set = Parameters::new();
    let mut linear = |i: usize| {
        let weight = random(&format!("expert {i}"), &[INTERMEDIATE / 8, HIDDEN], dtype);
        Linear::new(set.add(&format!("{i}"), weight, true).unwrap(), None).unwrap()
    };
    let experts: Vec<_> = (0..EXPERTS).map(&mut linear).collect();
    let logits = variable("logits", &[TOKENS, EXPERTS], dtype);
    let x = variable("x", &[TOKENS, HIDDEN], dtype);
    Layer::new("two of 16 experts", move || {
        let routing = Routing::top_k(&logits, 2, true)?.with_balance_loss(1, 0.01)?;
        routing.apply(&x, EXPERTS, |i, rows| experts[i].forward(rows))
    })
}

fn noise(dtype: DType) -> Layer {
    let x = variable("x", &[1, TOKENS, HIDDEN], dtype);
    let noise = Noise { seed: 1, first_row: 0 };
    Layer::new("dropout", move || dropout(&x, 0.1, &noise, "bench"))
}

fn layers(dtype: DType) -> Vec<Layer> {
    let mut set = Parameters::new();
    let weight = set.add("weight", random("weight", &[VOCABULARY, HIDDEN], dtype), true).unwrap();
    let embedding = Embedding::new(weight).unwrap();
    let ids: Vec<u32> = (0..256).map(|i| i * 31 % 8192).collect();
    let ids = Tensor::from_vec(ids, (1, TOKENS), &Device::Cpu).unwrap();
    let labels = ids.clone();
    let embedding = Layer::new("embedding", move || embedding.forward(&ids));

    let mut set = Parameters::new();
    let weight = set.add("weight", random("weight", &[HIDDEN], dtype), true).unwrap();
    let norm = RmsNorm::new(weight, 1e-5).unwrap();
    let x = variable("x", &[1, TOKENS, HIDDEN], dtype);
    let norm = Layer::new("rms norm", move || norm.forward(&x));

    let mut set = Parameters::new();
    let weight = set.add("weight", random("weight", &[HIDDEN], dtype), true).unwrap();
    let bias = set.add("bias", random("bias", &[HIDDEN], dtype), true).unwrap();
    let layer_norm = LayerNorm::new(weight, Some(bias), 1e-5).unwrap();
    let x = variable("x", &[1, TOKENS, HIDDEN], dtype);
    let layer_norm = Layer::new("layer norm", move || layer_norm.forward(&x));

    let head_dim = HIDDEN / HEADS;
    let positions = Tensor::arange(0u32, 256, &Device::Cpu).unwrap();
    let rotary = RotaryEmbedding::with_theta(head_dim, 1e4).unwrap();
    let rotation = rotary.rotation(&positions, dtype).unwrap();
    let q = variable("q", &[1, TOKENS, HEADS, head_dim], dtype);
    let rotary = Layer::new("rotary", move || rotation.apply(&q.transpose(1, 2)?));

    let attention = Attention::new(0.125, Mask::Causal);
    let q = variable("q", &[1, HEADS, TOKENS, head_dim], dtype);
    let k = variable("k", &[1, KV_HEADS, TOKENS, head_dim], dtype);
    let v = variable("v", &[1, KV_HEADS, TOKENS, head_dim], dtype);
    let capped = attention.clone().with_softcap(50.);
    let (q2, k2, v2) = (q.clone(), k.clone(), v.clone());
    let capped = Layer::new("attention with a softcap", move || capped.forward(&q2, &k2, &v2));
    let attention = Layer::new("attention", move || attention.forward(&q, &k, &v));

    let gate = variable("gate", &[1, TOKENS, INTERMEDIATE], dtype);
    let up = variable("up", &[1, TOKENS, INTERMEDIATE], dtype);
    let mut activations = Vec::new();
    for (alone, gated, form) in
        [("gelu", "geglu", Gelu::Exact), ("gelu by tanh", "geglu by tanh", Gelu::Tanh)]
    {
        let (x, gate, up) = (gate.clone(), gate.clone(), up.clone());
        activations.push(Layer::new(alone, move || gelu(&x, form)));
        activations.push(Layer::new(gated, move || geglu(&gate, &up, form)));
    }
    activations.push(Layer::new("swiglu", move || swiglu(&gate, &up)));

    let logits = variable("logits", &[1, TOKENS, VOCABULARY], dtype);
    let loss = Layer::new("cross entropy", move || cross_entropy_sum(&logits, &labels));
    let mut layers =
        vec![embedding, norm, layer_norm, linear("linear", INTERMEDIATE, dtype), rotary, attention];
    layers.extend([capped, experts(dtype), noise(dtype)]);
    layers.extend(activations);
    layers.extend([linear("head", VOCABULARY, dtype), loss]);
    layers
}

/// What is done once a step, on the four million numbers of the embedding.
fn steps() -> Vec<(&'static str, Step)> {
    let mut set = Parameters::new();
    let shape = [VOCABULARY, HIDDEN];
    let weight = set.add("weight", random("weight", &shape, DType::F32), true).unwrap();
    weight.accumulate(&random("gradient", &shape, DType::F32)).unwrap();
    let step = |rule: Rule| -> Step {
        let mut optimizer = Optimizer::new(rule, Vec::new()).unwrap();
        let stepped = set.clone();
        Box::new(move || optimizer.step(&stepped, 1e-4).unwrap())
    };
    let momentum = SgdConfig { momentum: 0.9, ..SgdConfig::default() };
    let (measured, scaled) = (set.clone(), set.clone());
    vec![
        ("adamw", step(AdamWConfig::default().into())),
        ("sgd with momentum", step(momentum.into())),
        ("lion", step(LionConfig::default().into())),
        ("gradient norm", Box::new(move || assert!(grad_norm_squared(&measured).unwrap() > 0.))),
        ("scale gradients", Box::new(move || scale_grads(&scaled, 0.999_999).unwrap())),
    ]
}
