//! A GPU with too little memory for what a step makes: the error says what needs less.

use autopipe_nn::Parameters;
use autopipe_runtime::{
    ActionError, Error, Keywords, OutOfMemory, StageModel, ThreadOptions, Worker, threads,
};
use autopipe_schedule::{Kind, Stage};
use candle_core::{DType, Device, Result, Tensor};

use super::device::gpu;
use crate::net::{batch, named, plain_parts, programs};

/// More than any GPU has: 4 TiB.
fn too_much(device: &Device) -> Result<Tensor> {
    Tensor::zeros(1 << 40, DType::F32, device)
}

/// A stage that needs more than there is.
struct Hungry {
    device: Device,
    parameters: Parameters,
}

impl StageModel for Hungry {
    fn forward(&self, _: &[Tensor], _: &Keywords) -> Result<Vec<Tensor>> {
        Ok(vec![too_much(&self.device)?])
    }

    fn parameters(&self) -> &Parameters {
        &self.parameters
    }
}

#[test]
fn a_step_that_needs_too_much_says_what_needs_less() {
    let Some(device) = gpu() else { return };
    let programs = programs(&named(Kind::GPipe, 1, 2));
    let ran = threads(1, &ThreadOptions::default(), |world| {
        let stage = Hungry { device: device.clone(), parameters: Parameters::new() };
        let stages = [(Stage::new(0), Box::new(stage) as Box<dyn StageModel>)];
        let mut worker = Worker::new(world, plain_parts(&programs, stages.into()))?;
        let error = worker.eval(&batch(2)).unwrap_err();
        let is_told = matches!(&error, Error::Action { source: ActionError::OutOfMemory(_), .. });
        assert!(is_told, "{error:?}");
        Ok::<_, Error>(error.to_string())
    });
    let words = "pipeline step 0, action 0F0: DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\"): the \
                 GPU has too little memory; lower `pp_microbatch_size`, set `activation_checkpointing`, or \
                 use more stages on more ranks; `autopipe plan` says what each rank needs";
    assert_eq!(ran.unwrap(), [words]);
}

#[test]
fn other_errors_of_a_gpu_are_not_taken_for_it() {
    let Some(device) = gpu() else { return };
    let there = Tensor::ones(2, DType::F32, &device).unwrap();
    let none = Device::new_cuda_with_stream(1000).map(drop).unwrap_err();
    let unlike = there.matmul(&there).unwrap_err();
    for error in [none, unlike] {
        assert!(OutOfMemory::of(error).is_err());
    }
    let with_context = too_much(&device).map_err(|error| error.context("the third of them"));
    assert!(OutOfMemory::of(with_context.unwrap_err()).is_ok());
}
