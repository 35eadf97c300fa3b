//! What is written is what is read, and what is damaged is said.

use autopipe_nn::Parameters;
use autopipe_nn::optim::{AdamWConfig, Optimizer};
use candle_core::{DType, Device, Tensor};

use super::*;

/// A parameter that an optimiser has moved.
fn trained() -> (Parameters, Optimizer) {
    let mut set = Parameters::new();
    for name in ["layer.weight", "layer.weight_2"] {
        let value = Tensor::ones((2, 3), DType::F32, &Device::Cpu).unwrap();
        let parameter = set.add(name, value, true).unwrap();
        let grad = Tensor::rand(0f32, 1., (2, 3), &Device::Cpu).unwrap();
        parameter.set_grad(Some(grad));
    }
    let mut optimizer = Optimizer::new(AdamWConfig::default(), vec![]).unwrap();
    optimizer.step(&set, 0.1).unwrap();
    (set, optimizer)
}

#[test]
fn an_optimiser_comes_back_by_names() {
    let checkpoint = tempfile::tempdir().unwrap();
    create(checkpoint.path()).unwrap();
    let (set, optimizer) = trained();
    for (index, name) in ["layer.weight", "layer.weight_2"].into_iter().enumerate() {
        let whole = |own: &Tensor| Ok(own.clone());
        let tensors = optimizer_tensors(&optimizer, set.get(name).unwrap(), whole).unwrap();
        write_optimizer(checkpoint.path(), index, 2, tensors).unwrap();
    }
    let saved = SavedOptimizer::open(checkpoint.path()).unwrap();
    let mut other = Optimizer::new(AdamWConfig::default(), vec![]).unwrap();
    for parameter in &set {
        saved.load(&mut other, parameter, parameter.name()).unwrap();
        let states = [&optimizer, &other].map(|o| o.state(parameter.name()).unwrap().unwrap());
        assert_eq!([states[0].step, states[1].step], [1, 1]);
        for (name, tensor) in &states[0].tensors {
            let numbers = |tensor: &Tensor| tensor.to_vec2::<f32>().unwrap();
            assert_eq!(numbers(tensor), numbers(&states[1].tensors[name]), "{name}");
        }
    }
    fs::remove_file(folder(checkpoint.path()).join("optimizer-00001-of-00002.safetensors"))
        .unwrap();
    let error = SavedOptimizer::open(checkpoint.path()).unwrap_err().to_string();
    assert!(error.contains("has 1 files of the optimiser, which belong to 2"), "{error}");
}

#[test]
fn a_state_comes_back() {
    let checkpoint = tempfile::tempdir().unwrap();
    create(checkpoint.path()).unwrap();
    let mut state = TrainingState::beginning("adamw", Position::default());
    state.step = 7;
    state.best = Some(Best { step: 4, val_loss: 1.0 / 3.0 });
    state.write(checkpoint.path()).unwrap();
    assert_eq!(TrainingState::read(checkpoint.path()).unwrap(), state);
    let path = folder(checkpoint.path()).join(FILE);
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"step\": 7", "\"steps\": 7")).unwrap();
    let error = TrainingState::read(checkpoint.path()).unwrap_err().to_string();
    assert!(error.contains("is damaged: ") && error.contains("steps"), "{error}");
}
