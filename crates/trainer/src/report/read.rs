//! Reads the folder of a run; what only the page needs may be missing.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use autopipe::schedule::Timeline;
use serde::Deserialize;

use crate::Error;

/// What the folder of a run tells.
pub(super) struct Run {
    pub(super) root: PathBuf,
    /// At least one.
    pub(super) steps: Vec<Step>,
    pub(super) evaluations: Vec<Evaluation>,
    /// In seconds.
    pub(super) timeline: Option<Timeline>,
    /// In the order of their steps.
    pub(super) checkpoints: Vec<Checkpoint>,
    pub(super) left_out: Vec<String>,
}

/// A line of a step, as [`StepRecord`](crate::StepRecord) is written. A number that JSON has no word
/// for is `null` there; runs of older versions lack some.
#[derive(Debug, Deserialize)]
pub(super) struct Step {
    pub(super) step: usize,
    pub(super) epoch: Option<f64>,
    pub(super) loss: Option<f64>,
    pub(super) grad_norm: Option<f64>,
    pub(super) lr: Option<f64>,
    pub(super) tokens: Option<usize>,
    pub(super) seconds: Option<f64>,
    pub(super) tokens_per_second: Option<f64>,
    pub(super) model_flops_per_second: Option<f64>,
    pub(super) mfu: Option<f64>,
    pub(super) measured_bubble: Option<f64>,
    #[serde(default)]
    pub(super) memory_bytes: Vec<u64>,
    pub(super) skipped: Option<String>,
}

/// A line of an evaluation, as [`EvalRecord`](crate::EvalRecord) is written.
#[derive(Debug, Deserialize)]
pub(super) struct Evaluation {
    pub(super) step: usize,
    pub(super) val_loss: Option<f64>,
    pub(super) val_perplexity: Option<f64>,
    pub(super) val_tokens: usize,
    pub(super) seconds: Option<f64>,
}

/// A whole checkpoint.
pub(super) struct Checkpoint {
    pub(super) step: usize,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) is_latest: bool,
    /// Whether no evaluation was better than the one after its step.
    pub(super) is_best: bool,
}

pub(super) fn read(root: &Path) -> Result<Run, Error> {
    let mut left_out = Vec::new();
    let metrics = root.join("metrics.jsonl");
    let (steps, evaluations) = read_metrics(&metrics, &mut left_out)?;
    if steps.is_empty() {
        return Err(Error::NoSteps { path: metrics });
    }
    let timeline = read_timeline(&root.join("timeline.json"), &mut left_out);
    let folder = root.join("checkpoints");
    let checkpoints = match read_checkpoints(&folder) {
        Ok(checkpoints) => checkpoints,
        // A run without checkpoints has no folder of them.
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            left_out.push(format!("`{}` cannot be read: {error}", folder.display()));
            Vec::new()
        }
    };
    Ok(Run { root: root.to_owned(), steps, evaluations, timeline, checkpoints, left_out })
}

fn read_metrics(
    path: &Path,
    left_out: &mut Vec<String>,
) -> Result<(Vec<Step>, Vec<Evaluation>), Error> {
    let text =
        fs::read(path).map_err(|source| Error::ReadRunDir { path: path.to_owned(), source })?;
    let (mut steps, mut evaluations) = (Vec::new(), Vec::new());
    for (index, line) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            let (line, path) = (index + 1, path.display());
            left_out.push(format!("line {line} of `{path}`, which is not finished"));
            break;
        }
        let wrong = |source| Error::MetricsLine { path: path.to_owned(), line: index + 1, source };
        let json: serde_json::Value = serde_json::from_slice(line).map_err(wrong)?;
        if json.get("val_tokens").is_some() {
            evaluations.push(serde_json::from_value(json).map_err(wrong)?);
        } else {
            steps.push(serde_json::from_value(json).map_err(wrong)?);
        }
    }
    Ok((steps, evaluations))
}

fn read_timeline(path: &Path, left_out: &mut Vec<String>) -> Option<Timeline> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) => {
            // A run writes it when it has measured a step.
            if error.kind() != ErrorKind::NotFound {
                left_out.push(format!("`{}` cannot be read: {error}", path.display()));
            }
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(timeline) => Some(timeline),
        Err(error) => {
            left_out.push(format!("`{}` is no timeline: {error}", path.display()));
            None
        }
    }
}

/// The bytes of all files in a folder and in those in it.
fn size_of_folder(folder: &Path) -> io::Result<u64> {
    let mut bytes: u64 = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let own = match entry.file_type()?.is_dir() {
            true => size_of_folder(&entry.path())?,
            false => entry.metadata()?.len(),
        };
        bytes = bytes.saturating_add(own);
    }
    Ok(bytes)
}

/// Folders named `step-000300`; those that are being written have another name.
fn read_checkpoints(folder: &Path) -> io::Result<Vec<Checkpoint>> {
    let named = |what: &str| fs::read_to_string(folder.join(what)).unwrap_or_default();
    let (latest, best) = (named("latest"), named("best"));
    let mut checkpoints = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(step) = name.strip_prefix("step-").and_then(|step| step.parse().ok()) else {
            continue;
        };
        if !entry.file_type()?.is_dir() {
            continue;
        }
        // One that a run removes meanwhile is none.
        let Ok(bytes) = size_of_folder(&entry.path()) else { continue };
        let (is_latest, is_best) = (latest.trim_end() == name, best.trim_end() == name);
        checkpoints.push(Checkpoint { step, name, bytes, is_latest, is_best });
    }
    checkpoints.sort_by_key(|checkpoint| checkpoint.step);
    Ok(checkpoints)
}
