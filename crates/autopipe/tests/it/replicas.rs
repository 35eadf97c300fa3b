//! Pipelines side by side, along whichever axis of the mesh their ranks are replicas.

use std::sync::Arc;

use autopipe::{
    AutoPipeline, AxisNames, DeviceMesh, PipelineArgs, Replica, ThreadOptions, threads,
};
use autopipe::{Axis, splitter::ElementType};
use candle_core::{Device, Tensor};

use crate::scales::{Scales, batch, config, grads, run};

fn model() -> Scales {
    Scales { frozen: Vec::new(), edges: ElementType::F64 }
}

/// Each replica's batch, as everybody knows them.
fn phase(replica: usize) -> f64 {
    0.3 + replica as f64
}

fn args(mesh: DeviceMesh) -> PipelineArgs {
    PipelineArgs { device: Some(Device::Cpu), ..PipelineArgs::new(config("1f1b"), mesh) }
}

#[test]
fn gradients_are_the_sums_of_all_pipelines() {
    let alone = run(&model(), &config("gpipe"), 1, |pipeline| {
        pipeline.step(&batch(phase(0)))?;
        pipeline.step(&batch(phase(1)))?;
        Ok(grads(pipeline.parts()?))
    });
    let expected = alone.unwrap().remove(0);
    for (axes, defers) in [
        ([("pp", 2), ("dp_replicate", 2)], true),
        ([("dp", 2), ("pp", 2)], true),
        ([("dp", 2), ("pp", 2)], false),
    ] {
        let mesh = DeviceMesh::new(axes).unwrap();
        let ranks = threads(4, &ThreadOptions::default(), |world| {
            let args = PipelineArgs { defer_fsdp_grad_sync: defers, ..args(mesh.clone()) };
            let mut pipeline = AutoPipeline::new(args, world)?;
            let loss =
                |outputs: &[Tensor], target: &Tensor| (&outputs[0] - target)?.sqr()?.sum_all();
            pipeline.build(&model(), Arc::new(loss))?;
            let Replica { index, count } = pipeline.replica();
            assert_eq!(count, 2);
            pipeline.step(&batch(phase(index)))?;
            Ok::<_, autopipe::Error>(grads(pipeline.parts()?))
        });
        for own in ranks.unwrap() {
            assert!(!own.is_empty());
            for (name, grad) in own {
                // On two stages the head has a copy of its own.
                let expected = expected[if name == "head.scale" { "embed.scale" } else { &name }];
                assert!((grad - expected).abs() < 1e-12 * expected.abs(), "{axes:?}: {name}");
            }
        }
    }
}

#[test]
fn axes_along_which_nothing_is_shared_out_yet_are_refused() {
    let refused = |mesh: DeviceMesh, axis_names: Option<AxisNames>| {
        let size = mesh.world_size();
        let made = threads(size, &ThreadOptions::default(), |world| {
            let args = PipelineArgs { axis_names: axis_names.clone(), ..args(mesh.clone()) };
            AutoPipeline::new(args, world).map(drop)
        });
        made.unwrap_err().to_string()
    };
    for axis in ["dp_shard", "dp_shard_cp", "dp_cp", "tp", "cp", "other"] {
        let mesh = DeviceMesh::new([("pp", 2), (axis, 2)]).unwrap();
        let said = refused(mesh, None);
        assert!(said.contains(&format!("the mesh's axis `{axis}` has size 2")), "{said}");
    }
    // One axis of replicas, not two.
    let mesh = DeviceMesh::new([("a", 2), ("pp", 1), ("b", 2)]).unwrap();
    let dp_axis_names = ["a", "b"].map(Axis::from).to_vec();
    let said = refused(mesh, Some(AxisNames { dp_axis_names, ..AxisNames::default() }));
    assert!(said.contains("the mesh's axis `b` has size 2"), "{said}");
}
