//! One run at a time in one folder.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use super::cannot_write;
use crate::Error;

/// Holds a run's folder until the last clone is dropped or the process ends, however it does.
#[derive(Clone, Debug)]
pub(super) struct Lock {
    _file: Arc<File>,
}

impl Lock {
    pub(super) fn take(root: &Path) -> Result<Self, Error> {
        let path = root.join("lock");
        let file = File::create(&path).map_err(cannot_write(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: Arc::new(file) }),
            Err(TryLockError::WouldBlock) => Err(Error::RunInUse { root: root.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::WriteRunDir { path, source }),
        }
    }
}
