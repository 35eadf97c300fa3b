//! The index of a sharded checkpoint: which tensor is in which file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use serde_json::Value;

use super::file::WeightFile;
use super::{CheckpointProblem, INDEX_FILE, SINGLE_FILE};
use crate::{Error, json};

/// A file name for each tensor name.
pub(super) type WeightMap = BTreeMap<String, String>;

/// The names of the weight files in `folder`, and the index if there are several. A single file
/// comes first, as in transformers.
pub(super) fn weight_files(folder: &Path) -> Result<(BTreeSet<String>, Option<WeightMap>), Error> {
    if folder.join(SINGLE_FILE).exists() {
        return Ok((BTreeSet::from([SINGLE_FILE.to_owned()]), None));
    }
    let path = folder.join(INDEX_FILE);
    if !path.exists() {
        return Err(Error::NoWeights { folder: folder.to_owned() });
    }
    let weight_map = weight_map(&json::read(&path)?)
        .map_err(|problems| Error::Checkpoint { folder: folder.to_owned(), problems })?;
    Ok((weight_map.values().cloned().collect(), Some(weight_map)))
}

fn weight_map(index: &Value) -> Result<WeightMap, Vec<CheckpointProblem>> {
    let problem = |reason: String| CheckpointProblem::Index { file: INDEX_FILE.to_owned(), reason };
    let Some(entries) = index.get("weight_map").and_then(Value::as_object) else {
        return Err(vec![problem("it has no object `weight_map`".to_owned())]);
    };
    let mut weight_map = WeightMap::new();
    let mut problems = Vec::new();
    for (tensor, file) in entries {
        match file.as_str().filter(|file| is_plain(file)) {
            Some(file) => drop(weight_map.insert(tensor.clone(), file.to_owned())),
            None => problems
                .push(problem(format!("tensor `{tensor}` is in {file}, which is no file name"))),
        }
    }
    if problems.is_empty() { Ok(weight_map) } else { Err(problems) }
}

/// Whether a file name stays within its folder.
fn is_plain(file: &str) -> bool {
    let mut components = Path::new(file).components();
    matches!((components.next(), components.next()), (Some(Component::Normal(_)), None))
}

/// Where the files and the index, or two files, contradict each other.
pub(super) fn disagreements(
    files: &[WeightFile],
    weight_map: Option<&WeightMap>,
) -> Vec<CheckpointProblem> {
    let mut problems = Vec::new();
    let mut found: BTreeMap<String, &str> = BTreeMap::new();
    for file in files {
        for tensor in file.names() {
            match found.get(tensor.as_str()) {
                Some(first) => problems.push(CheckpointProblem::Twice {
                    tensor,
                    first: (*first).to_owned(),
                    second: file.name().to_owned(),
                }),
                None => drop(found.insert(tensor, file.name())),
            }
        }
    }
    let Some(weight_map) = weight_map else { return problems };
    for (tensor, file) in weight_map {
        if !files.iter().any(|found| found.name() == file && found.info(tensor).is_some()) {
            problems.push(CheckpointProblem::NotWhereIndexed {
                tensor: tensor.clone(),
                file: file.clone(),
            });
        }
    }
    for (tensor, file) in found {
        if !weight_map.contains_key(&tensor) {
            problems.push(CheckpointProblem::NotIndexed { tensor, file: file.to_owned() });
        }
    }
    problems
}
