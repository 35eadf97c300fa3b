//! A folder that takes another one's place only when it is whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::Error;

/// Makes the empty folder beside `folder` in which the next checkpoint is written, and returns its
/// path, `NAME.partial`. What a crash has left there is removed.
///
/// # Errors
/// If `folder` has no name, or the folder cannot be made.
pub fn begin(folder: &Path) -> Result<PathBuf, Error> {
    let path = partial(folder)?;
    remove(&path)?;
    fs::create_dir_all(&path).map_err(|source| Error::Write { path: path.clone(), source })?;
    Ok(path)
}

/// Where [`begin`] makes the folder for the next checkpoint at `folder`: `NAME.partial` beside it.
/// The ranks that did not call it find it here.
///
/// # Errors
/// If `folder` has no name.
pub fn partial(folder: &Path) -> Result<PathBuf, Error> {
    sibling(folder, ".partial")
}

/// Puts the whole folder `partial` in the place of `folder`.
///
/// A checkpoint that is there already is moved aside to `NAME.former` first and removed last: a
/// crash at any moment leaves at least one of the two whole under its own or one of these names.
///
/// # Errors
/// If a folder cannot be moved; the former checkpoint is then at its place, or `NAME.former`.
pub fn commit(partial: &Path, folder: &Path) -> Result<(), Error> {
    let former = sibling(folder, ".former")?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    };
    let inner = fs::read_dir(partial)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>());
    for folder in inner.map_err(failed(partial))?.iter().filter(|path| path.is_dir()) {
        sync_folder(folder).map_err(failed(folder))?;
    }
    sync_folder(partial).map_err(failed(partial))?;
    if folder.exists() {
        remove(&former)?;
        fs::rename(folder, &former).map_err(failed(&former))?;
    }
    fs::rename(partial, folder).map_err(failed(folder))?;
    let parent =
        folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    sync_folder(parent).map_err(failed(parent))?;
    remove(&former)
}

/// Waits until the names in a folder are on disk. Where folders cannot be opened, the system does
/// not offer it.
///
/// # Errors
/// If the system says so.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(folder) => folder.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(Error::Write { path: folder.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The folder's path with `suffix` behind its name.
fn sibling(folder: &Path, suffix: &str) -> Result<PathBuf, Error> {
    let name = folder.file_name().ok_or_else(|| Error::NoFolderName { path: folder.to_owned() })?;
    let mut name = OsString::from(name);
    name.push(suffix);
    Ok(folder.with_file_name(name))
}
