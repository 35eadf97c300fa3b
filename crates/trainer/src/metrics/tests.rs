//! The lines of the metrics file, and what a run that is resumed keeps of them.

use std::fs;
use std::io::{self, Write};

use autopipe::splitter::{
    BatchShape, Cost, Module, ModuleGraph, ParameterSpec, Partition, Role, split_even,
};
use autopipe::{ThreadOptions, threads};

use super::*;

const RECORD: StepRecord = StepRecord {
    step: 2,
    epoch: 0.5,
    loss: 4.5,
    grad_norm: 0.75,
    lr: 1e-3,
    tokens: 1024,
    num_tokens: 1024,
    seconds: 0.25,
    model_flops: 1e3,
    peak_flops: None,
    measured_bubble: None,
    memory_bytes: Vec::new(),
    skipped: None,
};

/// Keeps each write apart, and whether it was flushed.
#[derive(Default)]
struct Recorder {
    writes: Vec<String>,
    num_flushed: usize,
}

impl Write for Recorder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writes.push(String::from_utf8(bytes.to_vec()).unwrap());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.num_flushed = self.writes.len();
        Ok(())
    }
}

#[test]
fn one_line_per_record_written_whole() {
    let mut recorder = Recorder::default();
    let mut writer = MetricsWriter::new(&mut recorder);
    writer.write(&RECORD).unwrap();
    let skipped = Some("a gradient is not finite".to_owned());
    writer.write(&StepRecord { step: 3, skipped, ..RECORD }).unwrap();
    writer.write_evaluation(&EvalRecord { step: 3, loss: 0.0, tokens: 9, seconds: 1.5 }).unwrap();
    let rest = r#""epoch":0.5,"loss":4.5,"grad_norm":0.75,"lr":0.001,"tokens":1024,"seconds":0.25,"tokens_per_second":4096.0,"model_flops_per_second":4000.0"#;
    assert_eq!(
        recorder.writes,
        [
            format!("{{\"step\":2,{rest}}}\n"),
            format!("{{\"step\":3,{rest},\"skipped\":\"a gradient is not finite\"}}\n"),
            "{\"step\":3,\"val_loss\":0.0,\"val_perplexity\":1.0,\"val_tokens\":9,\"seconds\":1.5}\n"
                .to_owned(),
        ]
    );
    assert_eq!(recorder.num_flushed, 3);
}

#[test]
fn what_json_has_no_word_for_is_null() {
    let record = StepRecord { loss: f64::NAN, seconds: 0.0, ..RECORD };
    let line: serde_json::Value = serde_json::to_value(record).unwrap();
    assert_eq!(line["loss"], serde_json::Value::Null);
    assert_eq!(line["tokens_per_second"], serde_json::Value::Null);
    assert_eq!(line["grad_norm"], 0.75);
}

#[test]
fn a_full_disk_is_reported_with_the_step() {
    let mut nothing_fits = [];
    let error = MetricsWriter::new(nothing_fits.as_mut_slice()).write(&RECORD).unwrap_err();
    assert!(error.to_string().starts_with("cannot write the metrics of step 2: "), "{error}");
}

#[test]
fn a_resumed_run_goes_on_after_its_step() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    let before = "{\"step\":1,\"loss\":null}\n{\"step\":2}\n{\"step\":2,\"val_loss\":1}\n";
    for (lost, step) in [("{\"step\":3}\n{\"step\":4,\"lo", 2), ("{\"st", 9), ("", 2)] {
        fs::write(&path, format!("{before}{lost}")).unwrap();
        let mut writer = MetricsWriter::resume_after(&path, step).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before, "{lost}");
        writer.write(&StepRecord { step: 3, ..RECORD }).unwrap();
        let after = fs::read_to_string(&path).unwrap();
        assert!(after.starts_with(&format!("{before}{{\"step\":3,\"epoch\"")), "{after}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing unfinished is left");
    MetricsWriter::resume_after(&path, 0).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}

#[test]
fn a_run_without_metrics_begins_some() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    MetricsWriter::resume_after(&path, 7).unwrap().write(&RECORD).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn a_line_that_is_no_record_is_named_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.jsonl");
    for line in ["step 2", "{}", "{\"step\":-1}", "\u{feff}", ""] {
        let text = format!("{{\"step\":1}}\n{line}\n{{\"step\":3}}\n");
        fs::write(&path, &text).unwrap();
        let error = MetricsWriter::resume_after(&path, 1).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of `"), "{error}");
        assert!(error.ends_with("; remove it, or the file"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

/// Two stages of a layer each, half of whose parameters are trained.
fn partition(trained: [bool; 2]) -> Partition {
    let layer = |(index, trained): (usize, bool)| Module {
        name: format!("layers.{index}"),
        parameters: ["a", "b"]
            .map(|name| {
                let name_here = format!("layers.{index}.{name}");
                let spec = ParameterSpec::new(name_here, [10, 10]);
                ParameterSpec { trainable: trained && name == "a", ..spec }
            })
            .to_vec(),
        submodules: Vec::new(),
        role: Role::Layer,
        flops: Cost { per_pair: 4, ..Cost::per_token(400) },
        activation_bytes: Cost::per_token(400).into(),
    };
    let graph = ModuleGraph::chain(trained.into_iter().enumerate().map(layer), &[]).unwrap();
    split_even(&graph, 2).unwrap()
}

#[test]
fn operations_are_those_of_the_model_alone() {
    let batch = BatchShape { batch_size: 3, seq_len: 5 };
    let partition = |trained| model_flops(&partition(trained), batch);
    let (with_weights, attention) = (3.0 * 5.0 * 400.0, 3.0 * 15.0 * 4.0);
    let forward = with_weights + attention;
    let half_trained = forward + (forward + attention) + 0.5 * with_weights;
    assert_eq!(partition([true, true]), 2.0 * half_trained);
    assert_eq!(partition([false, true]), forward + half_trained, "the first has no backward");
    assert_eq!(partition([false, false]), 2.0 * forward);
}

#[test]
fn without_an_allocator_that_counts_there_is_no_memory() {
    let one = std::num::NonZeroUsize::new(1);
    let options = ThreadOptions { threads_per_rank: one, ..ThreadOptions::default() };
    let peaks =
        threads(2, &options, |world| peak_memory(&*world, &candle_core::Device::Cpu, &[])).unwrap();
    assert_eq!(peaks, [Vec::<u64>::new(), Vec::new()]);
}
