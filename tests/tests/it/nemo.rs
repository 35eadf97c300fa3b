//! What NeMo AutoModel takes and refuses, case by case as recorded, beside what is done here.

use autopipe::splitter::{Cost, Module, ModuleGraph, ParameterSpec, Role};
use autopipe::{
    AutoPipeline, DeviceMesh, PipelineArgs, PipelineConfig, ThreadOptions, plan, threads,
};
use serde_json::Value;

fn recorded(text: &str, key: &str) -> Vec<Value> {
    let mut json: Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(json[key].take()).unwrap()
}

fn size(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

/// A chain of layers, each of which is to be a stage.
fn layers(num_layers: usize) -> ModuleGraph {
    let layer = |i: usize| Module {
        name: format!("layers.{i}"),
        parameters: vec![ParameterSpec::new(format!("layers.{i}.weight"), [1])],
        submodules: Vec::new(),
        role: Role::Layer,
        flops: Cost::default(),
        activation_bytes: Cost::default().into(),
    };
    ModuleGraph::chain((0..num_layers).map(layer), &[]).unwrap()
}

#[test]
fn schedules_are_built_and_refused_as_there() {
    let text = include_str!("../../fixtures/nemo_build_pipeline_schedule.json");
    let cases = recorded(text, "cases");
    let mut num_same = 0;
    for case in &cases {
        // The last case is of a table that is no file, which the reader of files refuses.
        let Some(schedule) = case["schedule"].as_str() else { continue };
        let (pp_size, stages_per_rank) = (size(&case["pp_size"]), size(&case["stages_per_rank"]));
        let num_stages = pp_size * stages_per_rank;
        let config = PipelineConfig {
            pp_schedule: Some(schedule.to_owned()),
            pp_batch_size: size(&case["local_batch_size"]),
            pp_microbatch_size: size(&case["microbatch_size"]),
            module_fqns_per_model_part: Some(
                (0..num_stages).map(|stage| vec![format!("layers.{stage}")]).collect(),
            ),
            ..PipelineConfig::default()
        };
        let ours = plan(&config, None, pp_size, &layers(num_stages));
        match schedule {
            // There a rank would compute its first stage only.
            "1f1b" | "gpipe" if stages_per_rank > 1 => assert!(ours.is_err(), "{case}"),
            // Two base classes, of which nothing can be run.
            "PipelineScheduleSingle" | "PipelineScheduleMulti" => assert!(ours.is_err(), "{case}"),
            // A name of the documentation, which is unknown there.
            "interleaved_1f1b" => match ours {
                Ok(plan) => assert_eq!(plan.schedule, "ScheduleInterleaved1F1B"),
                Err(error) => assert!(error.to_string().contains("microbatches"), "{error}"),
            },
            _ => {
                num_same += 1;
                let Ok(plan) = ours else {
                    assert!(case["error"].is_object(), "{case}");
                    continue;
                };
                assert_eq!(plan.schedule, case["cls"].as_str().unwrap(), "{case}");
                assert_eq!(plan.table.num_microbatches(), size(&case["n_microbatches"]), "{case}");
            }
        }
    }
    assert_eq!((cases.len(), num_same), (71, 39));
}

#[test]
fn arguments_are_taken_and_refused_as_there() {
    let text = include_str!("../../fixtures/nemo_config_and_constructor.json");
    let cases = recorded(text, "constructor_validation");
    let mut num_compared = 0;
    for case in &cases {
        let kwargs = case["kwargs"].as_object().unwrap();
        // There is no pipeline without a mesh here: the compiler refuses it.
        if kwargs["world_mesh"].is_null() {
            continue;
        }
        num_compared += 1;
        let default = PipelineConfig::default();
        let text = |key: &str, default: Option<String>| match kwargs.get(key) {
            Some(value) => value.as_str().map(str::to_owned),
            None => default,
        };
        let config = PipelineConfig {
            pp_schedule: text("pp_schedule", default.pp_schedule.clone()),
            pp_schedule_csv: text("pp_schedule_csv", None),
            pp_batch_size: kwargs.get("pp_batch_size").map_or(1, size),
            pp_microbatch_size: kwargs.get("pp_microbatch_size").map_or(1, size),
            ..default
        };
        let empty_batch = config.pp_batch_size == 0;
        let mesh = DeviceMesh::new([("pp", 2)]).unwrap();
        let ours = threads(2, &ThreadOptions::default(), |world| {
            AutoPipeline::new(PipelineArgs::new(config.clone(), mesh.clone()), world).map(drop)
        });
        // A batch of nothing is taken there, and fails at the first step.
        let is_taken = case["ok"].as_bool().unwrap_or_default() && !empty_batch;
        assert_eq!(ours.is_ok(), is_taken, "{case}: {ours:?}");
    }
    assert_eq!((cases.len(), num_compared), (11, 8));
}
