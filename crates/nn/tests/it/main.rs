//! A small decoder out of all layers: its derivative, and the same gradients when it is cut in two.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod composed;
mod gpu;
mod operations;
mod tensor_parallel;
mod threads;

use autopipe_nn::{
    Attention, Embedding, IGNORE_INDEX, Linear, Mask, Parameters, RmsNorm, RotaryEmbedding,
    cross_entropy_sum, init, swiglu, vjp,
};
use candle_core::{DType, Device, Result, Tensor, Var};

const VOCAB: usize = 11;
const HIDDEN: usize = 8;
const HEAD_DIM: usize = 4;
const KV_HEADS: usize = 1;

struct Block {
    norms: [RmsNorm; 2],
    qkv: Linear,
    out: Linear,
    gate_up: Linear,
    down: Linear,
}

struct Decoder {
    embed: Embedding,
    blocks: Vec<Block>,
    head: Linear,
}

/// Adds weights to a set under their names, normally distributed.
struct Weights<'a> {
    parameters: &'a mut Parameters,
    dtype: DType,
}

impl Weights<'_> {
    fn add(&mut self, name: &str, shape: &[usize]) -> autopipe_nn::Parameter {
        let value = init::normal(shape, 0.5, 1, name, self.dtype, &Device::Cpu).unwrap();
        self.parameters.add(name, value, true).unwrap()
    }

    fn linear(&mut self, name: &str, num_out: usize, num_in: usize) -> Linear {
        let weight = self.add(&format!("{name}.weight"), &[num_out, num_in]);
        let bias = self.add(&format!("{name}.bias"), &[num_out]);
        Linear::new(weight, Some(bias)).unwrap()
    }

    fn norm(&mut self, name: &str) -> RmsNorm {
        RmsNorm::new(self.add(name, &[HIDDEN]), 1e-6).unwrap()
    }
}

fn decoder(dtype: DType) -> (Parameters, Decoder) {
    let mut parameters = Parameters::new();
    let mut weights = Weights { parameters: &mut parameters, dtype };
    let embed = Embedding::new(weights.add("embed", &[VOCAB, HIDDEN])).unwrap();
    let blocks = (0..2).map(|i| Block {
        norms: [weights.norm(&format!("{i}.norm1")), weights.norm(&format!("{i}.norm2"))],
        qkv: weights.linear(&format!("{i}.qkv"), HIDDEN + 2 * KV_HEADS * HEAD_DIM, HIDDEN),
        out: weights.linear(&format!("{i}.out"), HIDDEN, HIDDEN),
        gate_up: weights.linear(&format!("{i}.gate_up"), 12, HIDDEN),
        down: weights.linear(&format!("{i}.down"), HIDDEN, 6),
    });
    let blocks = blocks.collect();
    let head = weights.linear("head", VOCAB, HIDDEN);
    (parameters, Decoder { embed, blocks, head })
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (batch, seq_len, _) = x.dims3()?;
        let rotary = RotaryEmbedding::with_theta(HEAD_DIM, 100.)?;
        let rotation = rotary.rotation(&Tensor::arange(0u32, 5, &Device::Cpu)?, x.dtype())?;
        let qkv = self.qkv.forward(&self.norms[0].forward(x)?)?;
        let qkv = qkv.reshape((batch, seq_len, (), HEAD_DIM))?.transpose(1, 2)?;
        let heads = HIDDEN / HEAD_DIM;
        let q = rotation.apply(&qkv.narrow(1, 0, heads)?)?;
        let k = rotation.apply(&qkv.narrow(1, heads, KV_HEADS)?)?;
        let v = qkv.narrow(1, heads + KV_HEADS, KV_HEADS)?;
        let attended = Attention::new(0.5, Mask::Causal).forward(&q, &k, &v)?;
        let x = (x + self.out.forward(&attended.transpose(1, 2)?.flatten_from(2)?)?)?;
        let gate_up = self.gate_up.forward(&self.norms[1].forward(&x)?)?;
        &x + self.down.forward(&swiglu(&gate_up.narrow(2, 0, 6)?, &gate_up.narrow(2, 6, 6)?)?)?
    }
}

impl Decoder {
    fn first_half(&self, ids: &Tensor) -> Result<Tensor> {
        self.blocks[0].forward(&self.embed.forward(ids)?)
    }

    fn second_half(&self, x: &Tensor, labels: &Tensor) -> Result<Tensor> {
        cross_entropy_sum(&self.head.forward(&self.blocks[1].forward(x)?)?, labels)
    }
}

fn batch() -> (Tensor, Tensor) {
    let ids = Tensor::new(&[[1u32, 5, 10, 5, 0], [3, 3, 7, 2, 9]], &Device::Cpu).unwrap();
    let labels = [[5i64, 10, 5, 0, IGNORE_INDEX], [3, 7, 2, 9, IGNORE_INDEX]];
    (ids, Tensor::new(&labels, &Device::Cpu).unwrap())
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

fn gradients(parameters: &Parameters) -> Vec<Vec<f64>> {
    parameters.iter().map(|p| numbers(&p.grad().unwrap())).collect()
}

#[test]
fn every_parameter_gets_the_gradient_that_small_steps_say() {
    const STEP: f64 = 1e-5;
    let (parameters, decoder) = decoder(DType::F64);
    let (ids, labels) = batch();
    let loss = || decoder.second_half(&decoder.first_half(&ids)?, &labels);
    let grads = loss().unwrap().backward().unwrap();
    assert!(parameters.iter().all(|p| grads.get(p.value()).is_none()));
    for (p, grad) in parameters.iter().zip(gradients(&parameters)) {
        assert!(grad.iter().any(|&x| x != 0.), "the gradient of {} is zero", p.name());
        let start = numbers(p.value());
        let at = |i: usize, step: f64| {
            let mut moved = start.clone();
            moved[i] += step;
            let moved = Tensor::from_vec(moved, p.shape(), &Device::Cpu).unwrap();
            p.var().unwrap().set(&moved).unwrap();
            loss().unwrap().to_scalar::<f64>().unwrap()
        };
        for i in (0..start.len()).step_by(7) {
            let slope = (at(i, STEP) - at(i, -STEP)) / (2. * STEP);
            let error = (grad[i] - slope).abs();
            assert!(error < 1e-6, "{}[{i}]: {}, slope {slope}", p.name(), grad[i]);
        }
        at(0, 0.);
    }
}

#[test]
fn cut_in_two_with_late_weight_gradients_it_is_the_same_to_the_bit() {
    for dtype in [DType::F32, DType::F64] {
        let (parameters, decoder) = decoder(dtype);
        let (ids, labels) = batch();
        let whole = decoder.second_half(&decoder.first_half(&ids).unwrap(), &labels).unwrap();
        whole.backward().unwrap();
        let expected = gradients(&parameters);
        parameters.zero_grad();

        let sent = decoder.first_half(&ids).unwrap();
        let received = Var::from_tensor(&sent.detach()).unwrap();
        let loss = decoder.second_half(&received, &labels).unwrap();
        assert_eq!(numbers(&loss), numbers(&whole));
        let one = loss.detach().ones_like().unwrap();
        let (grads, late) = parameters.deferring(|| vjp(&[loss], &[one]).unwrap());
        let grad = grads.get(&received).unwrap().clone();
        vjp(&[sent], &[grad]).unwrap();
        late.run().unwrap();
        assert_eq!(gradients(&parameters), expected);
    }
}

#[test]
fn half_precision_reaches_every_parameter() {
    let (parameters, decoder) = decoder(DType::BF16);
    let (ids, labels) = batch();
    let loss = decoder.second_half(&decoder.first_half(&ids).unwrap(), &labels).unwrap();
    loss.backward().unwrap();
    for (p, grad) in parameters.iter().zip(gradients(&parameters)) {
        assert!(grad.iter().any(|&x| x != 0.), "the gradient of {} is zero", p.name());
    }
}
