//! One file of a source: how many samples it has, and where.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::lines::Lines;
use super::record::Columns;
use super::table::Table;
use super::{DataFormat, DocumentsProblem, text};
use crate::data::CorpusProblem;

/// A file, and what was found in it when it was opened.
#[derive(Debug)]
pub(super) struct DataFile {
    pub(super) path: PathBuf,
    pub(super) num_bytes: u64,
    pub(super) content: Content,
}

/// Where the samples of a file are.
#[derive(Debug)]
pub(super) enum Content {
    /// The byte at which each piece begins.
    Text(Vec<u64>),
    /// The byte at which each record begins.
    Lines(Lines),
    /// The rows of a table.
    Table(Table),
}

impl DataFile {
    /// Finds out where the samples of a file are.
    pub(super) fn open(
        path: PathBuf,
        format: Option<DataFormat>,
        columns: &Columns,
    ) -> Result<Self, DocumentsProblem> {
        let unreadable = |source| CorpusProblem::Unreadable { path: path.clone(), source };
        let mut file = File::open(&path).map_err(unreadable)?;
        let num_bytes = fs::metadata(&path).map_err(unreadable)?.len();
        let content = match format.unwrap_or_else(|| format_by_name(&path)) {
            DataFormat::Text => {
                Content::Text(text::pieces(&mut file, num_bytes).map_err(unreadable)?)
            }
            DataFormat::Jsonl => Content::Lines(Lines::find(&mut file).map_err(unreadable)?),
            DataFormat::Parquet => Content::Table(Table::open(&path, columns)?),
            DataFormat::Tokens => return Err(DocumentsProblem::Tokens { path }),
        };
        Ok(Self { path, num_bytes, content })
    }

    pub(super) fn num_samples(&self) -> u64 {
        match &self.content {
            Content::Text(starts) => starts.len() as u64,
            Content::Lines(lines) => lines.starts.len() as u64,
            Content::Table(table) => table.num_rows(),
        }
    }
}

/// The format that the end of a name tells; that of any other is text.
pub fn format_by_name(path: &Path) -> DataFormat {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "jsonl" | "json" | "ndjson" => DataFormat::Jsonl,
        "parquet" => DataFormat::Parquet,
        "bin" | "safetensors" => DataFormat::Tokens,
        _ => DataFormat::Text,
    }
}
