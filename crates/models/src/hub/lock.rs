//! One process at a time fetches a model.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use super::cache;

/// Waits until no other process fetches the model, and keeps all from it until what is returned is
/// dropped or this process ends, however it does.
///
/// Processes on several hosts that share the cache wait for each other if its file system lets them.
pub(super) fn take(cache: &Path, name: &str) -> io::Result<File> {
    // Beside the models, where Hugging Face's own programs have their locks: what is in a model's
    // folder they delete when they are asked to.
    let folder = cache.join(".locks").join(cache::folder_name(name));
    fs::create_dir_all(&folder)?;
    let file = File::create(folder.join("autopipe.lock"))?;
    file.lock()?;
    Ok(file)
}
