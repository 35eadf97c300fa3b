//! What stands for the reading of Parquet where that is not compiled in.

use std::path::Path;

use serde_json::{Map, Value};

use super::DocumentsProblem;
use super::record::Columns;
use crate::Error;

/// There is none.
#[derive(Debug)]
pub(super) enum Table {}

impl Table {
    pub(super) fn open(path: &Path, _: &Columns) -> Result<Self, DocumentsProblem> {
        Err(DocumentsProblem::NoParquet { path: path.to_owned() })
    }

    pub(super) fn num_rows(&self) -> u64 {
        match *self {}
    }
}

/// What is held of tables.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {}

impl Groups {
    pub(super) fn row(
        &mut self,
        table: &Table,
        _: &Path,
        _: usize,
        _: u64,
    ) -> Result<Map<String, Value>, Error> {
        match *table {}
    }
}
