//! The lines of the metrics file.

use std::io;

use super::*;

const RECORD: StepRecord =
    StepRecord { step: 2, loss: 4.5, grad_norm: 0.75, lr: 1e-3, tokens: 1024, seconds: 0.25 };

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
    writer.write(&StepRecord { step: 3, ..RECORD }).unwrap();
    let rest = r#""loss":4.5,"grad_norm":0.75,"lr":0.001,"tokens":1024,"seconds":0.25,"tokens_per_second":4096.0}"#;
    assert_eq!(
        recorder.writes,
        [format!("{{\"step\":2,{rest}\n"), format!("{{\"step\":3,{rest}\n")]
    );
    assert_eq!(recorder.num_flushed, 2);
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
