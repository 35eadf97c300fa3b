//! Pipelines whose ranks compute on GPUs come out as the unsplit model does on the CPU.

use autopipe::PipelineConfig;
use autopipe::schedule::Kind;

use crate::families::tied_apart;
use crate::pipeline::{differences, try_pipelined, unsplit};
use crate::reference::Reference;

#[path = "../../../crates/nn/tests/it/gpu/device.rs"]
mod device;
use device::gpu;

/// Two ranks, on two GPUs or on one: a plain model, one whose first and last stage share a parameter,
/// and one with experts.
#[test]
fn every_schedule_equals_the_unsplit_model() {
    let Some(_) = gpu() else { return };
    for name in ["llama", "gemma", "qwen3_moe"] {
        let reference = Reference::named(name);
        let (model, batch) = (reference.model().unwrap(), reference.batch());
        let whole = unsplit(&*model, &batch).unwrap();
        for kind in Kind::ALL {
            let config = PipelineConfig {
                pp_schedule: Some(kind.name().to_owned()),
                pp_batch_size: 4,
                pp_microbatch_size: 1,
                ..PipelineConfig::default()
            };
            let mut split = try_pipelined(&*model, &config, None, 2, &batch).unwrap();
            let mut found = tied_apart(&*model, &mut split);
            found.extend(differences(&split, &whole, 1e-4, 1e-4));
            assert!(found.is_empty(), "{name}, {kind}: {}", found.join("\n"));
        }
    }
}

#[test]
fn each_rank_has_a_device_of_its_own() {
    let Some(_) = gpu() else { return };
    let of = |rank| autopipe::gpu_of_rank(rank).unwrap().unwrap();
    let (first, second) = (of(0), of(1));
    assert!(first.is_cuda() && second.is_cuda());
    assert!(!first.same_device(&second));
}
