//! Tests of `PipelineConfig`: its fields against NeMo AutoModel's, and its checks.

use serde_json::{Map, Value};

use super::{DType, Invalid, PipelineConfig, Rounding};
use crate::LossName;

#[test]
fn fields_order_and_defaults_are_nemos() {
    let text = include_str!("testdata/nemo_defaults.json");
    let nemo: Map<String, Value> = serde_json::from_str(text).unwrap();
    let ours = PipelineConfig::default().to_dict();
    let nemo: Vec<_> = nemo.into_iter().collect(); // a list, so that the order counts
    let ours: Vec<_> = ours.into_iter().collect();
    assert_eq!(ours, nemo);
}

#[test]
fn the_dict_is_what_serde_writes() {
    let config = PipelineConfig {
        pp_schedule: None,
        pp_schedule_csv: Some("schedule.csv".into()),
        pp_microbatch_size: 2,
        pp_batch_size: 8,
        layers_per_stage: Some(3),
        round_virtual_stages_to_pp_multiple: Some(Rounding::Down),
        module_fqns_per_model_part: Some(vec![vec!["a".into()], vec!["b".into(), "c".into()]]),
        patch_inner_model: false,
        patch_causal_lm_model: false,
        patch_stage_backward_maybe_with_nosync: true,
        dtype: Some(DType::BFloat16),
        scale_grads_in_schedule: true,
        loss_fn: Some(LossName::MaskedCrossEntropy),
        pp_seq_len: Some(128),
    };
    assert_eq!(
        serde_json::to_string(&config.to_dict()).unwrap(),
        serde_json::to_string(&config).unwrap()
    );
}

#[test]
fn the_default_is_valid_and_supported() {
    assert_eq!(PipelineConfig::default().check(), Ok(()));
    assert_eq!(PipelineConfig::default().check_supported(), Ok(()));
}

#[test]
fn a_check_finds_every_contradiction() {
    let config = PipelineConfig {
        pp_schedule: None,
        pp_microbatch_size: 0,
        pp_batch_size: 0,
        layers_per_stage: Some(0),
        module_fqns_per_model_part: Some(vec![]),
        ..PipelineConfig::default()
    };
    let problems = config.check().unwrap_err();
    assert_eq!(
        problems,
        [
            Invalid::NoSchedule,
            Invalid::ZeroMicrobatch,
            Invalid::ZeroBatch,
            Invalid::ZeroLayersPerStage,
            Invalid::NoStages
        ]
    );
    let fields = PipelineConfig::default().to_dict();
    assert!(problems.iter().all(|problem| fields.contains_key(problem.option())));
}

#[test]
fn a_batch_is_whole_microbatches() {
    let config =
        PipelineConfig { pp_batch_size: 2, pp_microbatch_size: 4, ..PipelineConfig::default() };
    let problem = config.num_microbatches().unwrap_err();
    assert_eq!(
        problem.to_string(),
        "a batch of 2 samples is not a whole number of microbatches of 4"
    );
    assert_eq!(config.check(), Err(vec![problem]));
}

#[test]
fn a_schedule_file_is_schedule_enough() {
    let config = PipelineConfig {
        pp_schedule: None,
        pp_schedule_csv: Some("schedule.csv".into()),
        ..PipelineConfig::default()
    };
    assert_eq!(config.check(), Ok(()));
}

#[test]
fn a_rounding_needs_something_to_round() {
    let config = PipelineConfig {
        round_virtual_stages_to_pp_multiple: Some(Rounding::Up),
        ..PipelineConfig::default()
    };
    let unsupported = config.check_supported().unwrap_err();
    let report: Vec<String> = unsupported.iter().map(ToString::to_string).collect();
    assert_eq!(
        report,
        [
            "`round_virtual_stages_to_pp_multiple: up` has no effect: it rounds the number of stages \
          that `layers_per_stage` leads to; set that"
        ]
    );
}

#[test]
fn what_makes_no_difference_is_listed_and_not_refused() {
    let config = PipelineConfig {
        patch_inner_model: false,
        patch_causal_lm_model: false,
        patch_stage_backward_maybe_with_nosync: true,
        dtype: Some(DType::BFloat16),
        pp_seq_len: Some(512),
        ..PipelineConfig::default()
    };
    assert_eq!(config.check_supported(), Ok(()));
    let report: Vec<String> = config.without_effect().iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(report.join("\n"));
    assert_eq!(PipelineConfig::default().without_effect(), []);
}

#[test]
fn an_explicit_split_leaves_nothing_to_count() {
    let config = PipelineConfig {
        layers_per_stage: Some(2),
        round_virtual_stages_to_pp_multiple: Some(Rounding::Up),
        ..PipelineConfig::default()
    };
    assert_eq!(config.check_supported(), Ok(()));
    let explicit =
        PipelineConfig { module_fqns_per_model_part: Some(vec![vec!["a".into()]]), ..config };
    let unsupported = explicit.check_supported().unwrap_err();
    let options: Vec<&str> = unsupported.iter().map(|unsupported| unsupported.option).collect();
    assert_eq!(options, ["layers_per_stage", "round_virtual_stages_to_pp_multiple"]);
}

#[test]
fn a_table_decides_the_number_of_stages_alone() {
    let config = PipelineConfig {
        pp_schedule_csv: Some("table.csv".to_owned()),
        layers_per_stage: Some(2),
        round_virtual_stages_to_pp_multiple: Some(Rounding::Up),
        ..PipelineConfig::default()
    };
    let unsupported = config.check_supported().unwrap_err();
    let report: Vec<String> = unsupported.iter().map(ToString::to_string).collect();
    let reason = "has no effect: the table of `pp_schedule_csv` has the number of stages";
    assert_eq!(
        report,
        [
            format!("`layers_per_stage: 2` {reason}"),
            format!("`round_virtual_stages_to_pp_multiple: up` {reason}"),
        ]
    );
}
