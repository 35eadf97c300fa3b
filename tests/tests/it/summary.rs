//! What AutoPipeline says of itself before and after it is built.

use autopipe::{AutoPipeline, DeviceMesh, PipelineConfig, ThreadOptions, threads};
use candle_core::Device;

use crate::pipeline::{llama, loss};

fn pipeline_of<T: Send>(body: impl Fn(AutoPipeline) -> anyhow::Result<T> + Sync) -> Vec<T> {
    let config = PipelineConfig { pp_batch_size: 4, ..PipelineConfig::default() };
    threads(2, &ThreadOptions::default(), |world| {
        body(AutoPipeline::new(config.clone(), DeviceMesh::new([("pp", 2)])?, world, Device::Cpu)?)
    })
    .unwrap()
}

#[test]
fn before_it_is_built_there_is_nothing() {
    pipeline_of(|mut pipeline| {
        assert_eq!(
            pipeline.debug_summary(),
            "PP degree: 2\nLocal stages: 0\nSchedule: None\nn_microbatches: None\nTotal params: 0 (trainable: 0)"
        );
        assert_eq!(pipeline.pretty_print_stages(16, false), "<no stages>");
        assert!(
            pipeline.list_stage_modules().is_empty()
                && pipeline.get_stage_param_counts(false).is_empty()
        );
        assert!(!pipeline.info().enabled);
        assert_eq!(
            pipeline.parts().unwrap_err().to_string(),
            "parts needs a built pipeline: call `build` first"
        );
        assert!(pipeline.update_seq_len(64).is_err());
        Ok(())
    });
}

#[test]
fn afterwards_it_tells_stages_modules_and_parameters() {
    let ranks = pipeline_of(|mut pipeline| {
        pipeline.build(&*llama(), loss())?;
        pipeline.update_seq_len(64)?;
        Ok((
            pipeline.debug_summary(),
            pipeline.pretty_print_stages(4, false),
            pipeline.list_stage_modules(),
            pipeline.info(),
        ))
    });
    assert_eq!(
        ranks[0].0,
        "PP degree: 2\nLocal stages: 1\nSchedule: Schedule1F1B\nn_microbatches: 4\nTotal params: 108,800 (trainable: 108,800)"
    );
    assert_eq!(
        ranks[0].1,
        "Stage 0 (first): params=108,800\n  - model\n  - model.embed_tokens\n  - model.layers\n  - model.layers.0\n  - ..."
    );
    // The last rank's modules as the original lists them.
    let layer = [
        "",
        ".self_attn",
        ".self_attn.q_proj",
        ".self_attn.k_proj",
        ".self_attn.v_proj",
        ".self_attn.o_proj",
        ".mlp",
        ".mlp.gate_proj",
        ".mlp.up_proj",
        ".mlp.down_proj",
        ".mlp.act_fn",
        ".input_layernorm",
        ".post_attention_layernorm",
    ];
    let mut expected = vec!["model".to_owned(), "model.layers".to_owned()];
    for index in 2..4 {
        expected.extend(layer.iter().map(|name| format!("model.layers.{index}{name}")));
    }
    expected.extend(["model.norm", "model.rotary_emb", "lm_head"].map(str::to_owned));
    assert_eq!(ranks[1].2, [expected]);
    let info = &ranks[1].3;
    assert!(info.enabled && !info.has_first_stage && info.has_last_stage);
    assert_eq!((info.stages.as_slice(), info.num_stages, info.num_microbatches), (&[1][..], 2, 4));
}
