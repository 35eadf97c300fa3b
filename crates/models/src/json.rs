//! Reads and writes JSON files, with the path in every error.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use serde_json::Value;

use crate::Error;

pub(crate) fn read(path: &Path) -> Result<Value, Error> {
    let text = fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    serde_json::from_slice(&text).map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// Writes `value` indented by two spaces, as transformers does, and waits until it is on disk.
pub(crate) fn write(path: &Path, value: &Value) -> Result<(), Error> {
    write_bytes(path, format!("{value:#}\n").as_bytes())
}

/// Writes a file and waits until it is on disk.
pub(crate) fn write_bytes(path: &Path, content: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = fs::File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().map_err(|source| Error::Write { path: path.to_owned(), source })
}
