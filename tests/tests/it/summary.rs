//! What AutoPipeline says of itself, beside what NeMo AutoModel's says of the same models.

use std::path::Path;
use std::sync::{Arc, Mutex};

use autopipe::schedule::csv;
use autopipe::{
    AutoPipeline, Axis, AxisNames, Batch, DeviceMesh, Input, PipelineArgs, PipelineConfig,
    ThreadOptions, threads,
};
use autopipe_config::Rounding;
use autopipe_models::from_config;
use candle_core::{Device, Tensor};
use serde_json::Value;

use crate::pipeline::{gradients, llama, loss, reference_batch, relative_l2};

fn args() -> PipelineArgs {
    let config = PipelineConfig { pp_batch_size: 4, ..PipelineConfig::default() };
    PipelineArgs::new(config, DeviceMesh::new([("pp", 2)]).unwrap())
}

fn pipeline_of<T: Send>(
    args: &PipelineArgs,
    body: impl Fn(AutoPipeline) -> anyhow::Result<T> + Sync,
) -> Vec<T> {
    threads(2, &ThreadOptions::default(), |world| body(AutoPipeline::new(args.clone(), world)?))
        .unwrap()
}

/// Models that the original has built on two ranks, with what it said of them.
fn cases() -> Vec<Value> {
    let text = include_str!("../../fixtures/nemo_runs.json");
    serde_json::from_str(text).unwrap()
}

/// The arguments of a case.
fn args_of(case: &Value) -> PipelineArgs {
    let ap = &case["ap"];
    let text = |name: &str| ap[name].as_str().map(str::to_owned);
    let size = |name: &str| ap[name].as_u64().map(|size| usize::try_from(size).unwrap());
    let mut config = PipelineConfig {
        pp_schedule: text("pp_schedule"),
        pp_schedule_csv: text("pp_schedule_csv"),
        pp_microbatch_size: size("pp_microbatch_size").unwrap(),
        pp_batch_size: size("pp_batch_size").unwrap(),
        layers_per_stage: size("layers_per_stage"),
        scale_grads_in_schedule: ap["scale_grads_in_schedule"].as_bool().unwrap_or_default(),
        ..PipelineConfig::default()
    };
    if let Some(rounding) = text("round_virtual_stages_to_pp_multiple") {
        config.round_virtual_stages_to_pp_multiple = Some(rounding.parse::<Rounding>().unwrap());
    }
    if let Some(lists) = ap.get("module_fqns_per_model_part") {
        config.module_fqns_per_model_part = serde_json::from_value(lists.clone()).unwrap();
    }
    let table = config.pp_schedule_csv.as_ref().map(|path| {
        let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/schedule/tests/golden");
        csv::read_plan(std::fs::File::open(tables.join(path)).unwrap()).unwrap()
    });
    PipelineArgs { table, ..PipelineArgs::new(config, DeviceMesh::new([("pp", 2)]).unwrap()) }
}

/// The original ends a list in dots that has exactly as many modules as are shown: of these models,
/// those that end in the rotary tables.
fn without_false_dots(text: &str) -> String {
    text.replace("  - model.rotary_emb\n  - ...", "  - model.rotary_emb")
}

#[test]
fn it_says_what_the_original_says_where_that_is_right() {
    let mut num_compared = 0;
    for case in cases() {
        let name = case["case"].as_str().unwrap();
        let model = from_config(&case["config"], 1).unwrap().into_model();
        let ours = pipeline_of(&args_of(&case), |mut pipeline| {
            let before = (
                pipeline.debug_summary(),
                pipeline.pretty_print_stages(16, false),
                pipeline.list_stage_modules(),
                pipeline.get_stage_param_counts(false),
                pipeline.get_total_param_count(false),
            );
            pipeline.build(&*model, loss())?;
            let texts = [16, 4].map(|num_modules| pipeline.pretty_print_stages(num_modules, false));
            let counts = [false, true].map(|trainable| pipeline.get_stage_param_counts(trainable));
            let (summary, modules) = (pipeline.debug_summary(), pipeline.list_stage_modules());
            let total = pipeline.get_total_param_count(false);
            Ok((before, texts, counts, summary, modules, total, pipeline.info()))
        });
        for (rank, (before, texts, counts, summary, modules, total, info)) in
            ours.into_iter().enumerate()
        {
            assert_eq!(before.0, case["before_build"]["debug_summary"], "{name}");
            assert_eq!(before.1, case["before_build"]["pretty"], "{name}");
            assert!(before.2.is_empty() && before.3.is_empty() && before.4 == 0, "{name}");
            assert!(info.enabled, "{name}");
            // The original fails to split for a table without a schedule's name, and places
            // DualPipeV's stages in a loop.
            let Some(theirs) = case["ranks"].get(rank) else { continue };
            if name == "llama_dualpipev" {
                let v = if rank == 0 { [0, 3] } else { [1, 2] };
                assert_eq!(info.stages, v, "{name}");
                continue;
            }
            num_compared += 1;
            let theirs_16 = theirs["pretty_print_stages"].as_str().unwrap();
            assert_eq!(texts[0], without_false_dots(theirs_16), "{name}, rank {rank}");
            assert_eq!(texts[1], theirs["pretty_print_stages_4"], "{name}, rank {rank}");
            assert_eq!(serde_json::json!(modules), theirs["list_stage_modules"], "{name}");
            assert_eq!(serde_json::json!(counts[0]), theirs["get_stage_param_counts"], "{name}");
            assert_eq!(
                serde_json::json!(counts[1]),
                theirs["get_stage_param_counts_trainable"],
                "{name}"
            );
            assert_eq!(serde_json::json!(total), theirs["get_total_param_count"], "{name}");
            // There the number of microbatches is looked for in the wrong place, and a table has the
            // name of a class that is not ours.
            let expected = theirs["debug_summary"].as_str().unwrap();
            let expected = expected.replace("n_microbatches: None", "n_microbatches: 4");
            assert_eq!(summary, expected.replace("_PipelineScheduleRuntime", "CSV"), "{name}");
            let their_info = &theirs["info"];
            assert_eq!(serde_json::json!(info.stages), their_info["stage_indices"], "{name}");
            assert_eq!(serde_json::json!(info.num_stages), their_info["num_stages"], "{name}");
            assert_eq!(info.has_first_stage, their_info["has_first_stage"], "{name}");
            assert_eq!(info.has_last_stage, their_info["has_last_stage"], "{name}");
        }
    }
    assert_eq!(num_compared, 14, "seven models on two ranks");
}

#[test]
fn before_it_is_built_methods_say_what_is_missing() {
    pipeline_of(&args(), |mut pipeline| {
        assert!(!pipeline.info().enabled);
        assert_eq!(
            pipeline.parts().unwrap_err().to_string(),
            "parts needs a built pipeline: call `build` first"
        );
        assert!(pipeline.update_seq_len(64).is_err());
        assert!(pipeline.visualize_current_schedule(None).is_err());
        Ok(())
    });
}

#[test]
fn a_list_that_is_whole_does_not_end_in_dots() {
    let ranks = pipeline_of(&args(), |mut pipeline| {
        pipeline.build(&*llama(), loss())?;
        pipeline.update_seq_len(64)?;
        let all = pipeline.list_stage_modules()[0].len();
        Ok([all - 1, all].map(|num| pipeline.pretty_print_stages(num, false).ends_with("...")))
    });
    assert_eq!(ranks, [[true, false]; 2]);
}

#[test]
fn a_promised_sequence_length_is_kept_until_another_is_announced() {
    let config = PipelineConfig { pp_seq_len: Some(32), ..args().config };
    pipeline_of(&PipelineArgs { config, ..args() }, |mut pipeline| {
        pipeline.build(&*llama(), loss())?;
        let all = reference_batch();
        let part = |tensor: &Tensor, len| tensor.narrow(0, 0, 4)?.narrow(1, 0, len);
        let batch = |len| -> candle_core::Result<Batch> {
            let first = |input: &Input| part(&input.tensors()[0], len).map(Input::from);
            let target = all.target.as_ref().map(first).transpose()?;
            Ok(Batch { inputs: vec![first(&all.inputs[0])?], target, ..all.clone() })
        };
        pipeline.step(&batch(32)?)?;
        let error = pipeline.step(&batch(16)?).unwrap_err().to_string();
        assert!(error.contains("call `update_seq_len(16)`"), "{error}");
        let grads = gradients(pipeline.parts()?)?;
        pipeline.update_seq_len(16)?;
        for (name, grad) in gradients(pipeline.parts()?)? {
            assert_eq!(relative_l2(&grad, &grads[&name]), 0.0, "{name} is as it was");
        }
        pipeline.step(&batch(16)?)?;
        Ok(())
    });
}

#[test]
fn the_running_schedule_is_drawn() {
    let folder = tempfile::tempdir().unwrap();
    pipeline_of(&args(), |mut pipeline| {
        pipeline.build(&*llama(), loss())?;
        let text = pipeline.visualize_current_schedule(None)?;
        assert!(text.contains("Step 0: 0F0") && text.contains("1B3"), "{text}");
        let rank = pipeline.world().rank();
        for (ending, start) in [("svg", "<svg"), ("html", "<!DOCTYPE html>"), ("csv", "0F0,0F1")] {
            let path = folder.path().join(format!("rank-{rank}.{ending}"));
            let picture = pipeline.visualize_current_schedule(Some(&path))?;
            assert!(picture.starts_with(start), "{ending}: {picture}");
            assert_eq!(std::fs::read_to_string(&path)?, picture);
        }
        let error = pipeline.visualize_current_schedule(Some(Path::new("a.png"))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`a.png` does not say how to draw: the endings are `.svg`, `.html`, `.csv`, `.txt`"
        );
        let nowhere = folder.path().join("no/such/folder.svg");
        assert!(pipeline.visualize_current_schedule(Some(&nowhere)).is_err());
        Ok(())
    });
}

#[test]
fn each_part_is_parallelized_once_with_the_mesh_and_its_axes() {
    let mesh = DeviceMesh::new([("dp_replicate", 1), ("stage", 2), ("tp", 1)]).unwrap();
    let names = AxisNames::infer(&mesh, &Axis::from("stage"), None).unwrap();
    let config = PipelineConfig { pp_schedule: Some("zbvzerobubble".to_owned()), ..args().config };
    let args = PipelineArgs {
        axis_names: Some(names.clone()),
        device: Some(Device::Cpu),
        ..PipelineArgs::new(config, mesh.clone())
    };
    let seen = pipeline_of(&args, |mut pipeline| {
        let mut seen = Vec::new();
        pipeline.build_with(&*llama(), loss(), &mut |part, context| {
            assert_eq!((context.world_mesh, context.axis_names), (&mesh, &names));
            assert!(context.moe_mesh.is_none() && context.num_stages == 4);
            seen.push((context.stage, part.parameters().iter().count()));
            Ok(part)
        })?;
        assert_eq!(pipeline.parts()?.len(), 2);
        Ok(seen)
    });
    assert_eq!(seen, [[(0, 10), (3, 11)], [(1, 9), (2, 9)]]);

    let failed = threads(2, &ThreadOptions::default(), |world| {
        let mut pipeline = AutoPipeline::new(args.clone(), world)?;
        pipeline.build_with(&*llama(), loss(), &mut |_, _| Err("no room".into()))?;
        anyhow::Ok(())
    });
    let error = failed.unwrap_err().to_string();
    assert!(error.contains("stage ") && error.contains("no room"), "{error}");
}

#[test]
fn arguments_that_cannot_be_are_refused() {
    let refusal = |args: PipelineArgs| {
        threads(2, &ThreadOptions::default(), |world| {
            AutoPipeline::new(args.clone(), world).map(drop)
        })
        .unwrap_err()
        .to_string()
    };
    let mesh = |axes: &[(&'static str, usize)]| DeviceMesh::new(axes.iter().copied()).unwrap();
    let with = |world_mesh: DeviceMesh| PipelineArgs { world_mesh, ..args() };
    let config = |config| PipelineArgs { config, ..args() };
    let base = args().config;
    let names =
        |dp: &'static str| AxisNames { dp_axis_names: vec![dp.into()], ..AxisNames::default() };
    for (args, expected) in [
        (
            config(PipelineConfig { pp_schedule: None, pp_microbatch_size: 3, ..base }),
            "either `pp_schedule` or `pp_schedule_csv` must be set; pp_microbatch_size: a batch of 4",
        ),
        (with(mesh(&[("stage", 2)])), "`pp`"),
        (with(mesh(&[("pp", 4)])), "the mesh has 4 ranks, the communicator 2"),
        (with(mesh(&[("pp", 2)]).with_ranks(&[2, 3]).unwrap()), "is not one of the 2 ranks"),
        (with(mesh(&[("pp", 1), ("cp", 2)])), "the mesh's axis `cp` has size 2"),
        (PipelineArgs { axis_names: Some(names("dp")), ..args() }, "no axis `dp`"),
        (
            PipelineArgs {
                axis_names: Some(AxisNames { ep_axis_name: Some(Axis::EP), ..names("pp") }),
                ..args()
            },
            "no expert mesh",
        ),
        (PipelineArgs { defer_fsdp_grad_sync: false, ..args() }, "without data parallelism"),
    ] {
        let error = refusal(args);
        assert!(error.contains(expected), "{error}");
    }
}

/// Keeps the messages that it is told.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::INFO
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Message<'a>(&'a Log);
        impl tracing::field::Visit for Message<'_> {
            fn record_debug(&mut self, _: &tracing::field::Field, value: &dyn std::fmt::Debug) {
                self.0.0.lock().unwrap().push(format!("{value:?}"));
            }
        }
        event.record(&mut Message(self));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn the_log_hears_the_summary_and_the_stages() {
    let ranks = pipeline_of(&args(), |mut pipeline| {
        pipeline.build(&*llama(), loss())?;
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || pipeline.log_debug_summary());
        let stages = pipeline.pretty_print_stages(16, false);
        let expected = format!("\n{}\n{stages}", pipeline.debug_summary());
        let heard = log.0.lock().unwrap().clone();
        Ok((heard, expected))
    });
    for (heard, expected) in ranks {
        assert_eq!(heard, [expected]);
    }
}
