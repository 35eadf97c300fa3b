//! Pipelines side by side, along whichever axis of the mesh their ranks are replicas.

use std::collections::BTreeMap;
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

/// The gradients of whole parameters by name, wherever their slices are.
fn gathered(pipeline: &AutoPipeline) -> Result<BTreeMap<String, f64>, autopipe::Error> {
    let mut all = BTreeMap::new();
    for (number, part) in pipeline.parts()?.into_iter().enumerate() {
        for parameter in part {
            let grad = parameter.grad().unwrap();
            assert_eq!(grad.elem_count(), parameter.num_elements());
            let whole = pipeline.gather(number, parameter, &grad)?;
            all.insert(parameter.name().to_owned(), whole.to_vec1::<f64>().unwrap()[0]);
        }
    }
    Ok(all)
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
        ([("pp", 2), ("dp_shard", 2)], true),
        ([("dp_shard_cp", 2), ("pp", 2)], false),
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
            gathered(&pipeline)
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
fn every_number_is_counted_once() {
    let axes = [("dp_replicate", 2), ("pp", 2), ("dp_shard", 2)];
    let mesh = DeviceMesh::new(axes).unwrap();
    let ranks = threads(8, &ThreadOptions::default(), |world| {
        let mut pipeline = AutoPipeline::new(args(mesh.clone()), world)?;
        let loss = |outputs: &[Tensor], target: &Tensor| (&outputs[0] - target)?.sqr()?.sum_all();
        pipeline.build(&model(), Arc::new(loss))?;
        let Replica { index, count } = pipeline.replica();
        assert_eq!((count, pipeline.data_parallel().num_pipelines()), (4, 4));
        assert_eq!(index, 2 * pipeline.replicate_index() + pipeline.shard_index());
        pipeline.step(&batch(phase(index)))?;
        let (has, counted) = (gathered(&pipeline)?, pipeline.counted()?);
        pipeline.zero_grad()?;
        assert!(pipeline.parts()?.into_iter().flatten().all(|p| p.grad().is_none()));
        let own = pipeline.parts()?[0].iter().next().unwrap();
        let absent = pipeline.gather(9, own, own.value()).unwrap_err();
        assert!(absent.to_string().starts_with("there is no part 9: this rank has 1"), "{absent}");
        Ok::<_, autopipe::Error>((has, counted.iter().map(|p| p.num_elements()).sum::<usize>()))
    });
    let ranks = ranks.unwrap_or_else(|error| panic!("{error}"));
    // The embedding and four layers: the head's scale is a copy.
    assert_eq!(ranks.iter().map(|(_, counted)| counted).sum::<usize>(), 5);
    let alone = run(&model(), &config("gpipe"), 1, |pipeline| {
        (0..4).try_for_each(|replica| pipeline.step(&batch(phase(replica))).map(drop))?;
        Ok(grads(pipeline.parts()?))
    });
    let alone = alone.unwrap().remove(0);
    for (name, grad) in ranks.iter().flat_map(|(has, _)| has) {
        let expected = alone[if name == "head.scale" { "embed.scale" } else { name }];
        assert!((grad - expected).abs() < 1e-12 * expected.abs(), "{name}");
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
    for axis in ["dp_cp", "cp", "other"] {
        let mesh = DeviceMesh::new([("pp", 2), (axis, 2)]).unwrap();
        let said = refused(mesh, None);
        assert!(said.contains(&format!("the mesh's axis `{axis}` has size 2")), "{said}");
    }
    // Those of matrices are up to the model.
    let mesh = DeviceMesh::new([("pp", 2), ("tp", 2)]).unwrap();
    let built = threads(4, &ThreadOptions::default(), |world| {
        let mut pipeline = AutoPipeline::new(args(mesh.clone()), world)?;
        assert_eq!(pipeline.tensor_parallel().unwrap().size(), 2);
        assert_eq!((pipeline.tensor_size(), pipeline.replica().count), (2, 1));
        pipeline.build(&model(), Arc::new(|outputs, _| outputs[0].sum_all())).map(drop)
    });
    let said = built.unwrap_err().to_string();
    assert!(said.contains("among 2 tensor-parallel ranks; implement"), "{said}");
    // One axis of replicas, not two.
    let mesh = DeviceMesh::new([("a", 2), ("pp", 1), ("b", 2)]).unwrap();
    let dp_axis_names = ["a", "b"].map(Axis::from).to_vec();
    let said = refused(mesh, Some(AxisNames { dp_axis_names, ..AxisNames::default() }));
    assert!(said.contains("the mesh's axis `b` has size 2"), "{said}");
}
