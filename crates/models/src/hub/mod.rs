//! Models by their name on the Hugging Face Hub: a folder in its cache, downloaded if need be.
//!
//! The cache is laid out as Hugging Face's own programs lay it out, so that what one of them has
//! fetched is there for the other. What is whole in it is used without a look at the network: every
//! start of a run begins with the same weights until somebody empties the cache or asks for another
//! revision. Downloading takes the feature `hub`.

mod cache;
#[cfg(feature = "hub")]
mod download;
#[cfg(feature = "hub")]
mod lock;
mod problem;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

use crate::Error;
pub use problem::HubProblem;

/// Where the Hub is.
pub const ENDPOINT: &str = "https://huggingface.co";

/// The branch that is meant if no revision is named.
pub const MAIN: &str = "main";

/// The Hub, and what has been fetched from it.
#[derive(Clone, Debug)]
pub struct Hub {
    /// The folder of the cache; Hugging Face's own programs use `hub` in `HF_HOME`, which is
    /// `~/.cache/huggingface` unless it is set.
    pub cache: PathBuf,
    /// Where to download from: [`ENDPOINT`], or a mirror of it. `None` is nowhere.
    pub endpoint: Option<String>,
    /// Who asks, for what not everybody may read.
    pub token: Option<String>,
}

/// A repository in one of its states.
#[derive(Clone, Copy, Debug)]
pub struct Repository<'a> {
    /// `OWNER/NAME`, or `NAME` alone for a few old ones.
    pub name: &'a str,
    /// A branch, a tag or a commit: [`MAIN`], if nothing else is meant.
    pub revision: &'a str,
}

/// How far the download of one file has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file.
    pub file: &'a str,
    /// Bytes of it that are there.
    pub done: u64,
    /// Bytes that it has.
    pub total: u64,
}

/// The folder of a model on the Hub, for [`load_folder`](crate::load_folder): its configs, its
/// weights in safetensors, and its tokenizer if it has one.
///
/// What the cache lacks is downloaded, and `observe` is told how that goes; what was left half done
/// is gone on with. All files are of one commit. Of several processes that want the same model one
/// fetches it, while the others wait for it and take what it has fetched, or go on with what it has
/// left half done; other programs hold theirs only file by file, and of two of those that fetch the
/// same file the later one gives up after some seconds.
///
/// # Errors
/// If there is no such repository, it has no model in a form that can be read, it cannot be reached,
/// or a file cannot be written.
pub fn folder(
    hub: &Hub,
    repository: &Repository<'_>,
    observe: &mut dyn FnMut(&Progress<'_>),
) -> Result<PathBuf, Error> {
    let failed = |problem| Error::Hub { name: repository.name.to_owned(), problem };
    problem::check_name(repository.name).map_err(failed)?;
    problem::check_revision(repository.revision).map_err(failed)?;
    if let Some(folder) = cache::find(&hub.cache, repository) {
        return Ok(folder);
    }
    let Some(endpoint) = &hub.endpoint else {
        return Err(failed(HubProblem::NotCached { cache: hub.cache.clone() }));
    };
    fetch(hub, endpoint, repository, observe).map_err(failed)
}

/// Downloads it, unless another process has done so meanwhile.
#[cfg(feature = "hub")]
fn fetch(
    hub: &Hub,
    endpoint: &str,
    repository: &Repository<'_>,
    observe: &mut dyn FnMut(&Progress<'_>),
) -> Result<PathBuf, HubProblem> {
    let _lock = lock::take(&hub.cache, repository.name)
        .map_err(|source| HubProblem::Cache { cache: hub.cache.clone(), source })?;
    if let Some(folder) = cache::find(&hub.cache, repository) {
        return Ok(folder);
    }
    download::fetch(hub, endpoint, repository, observe)
}

#[cfg(not(feature = "hub"))]
fn fetch(
    hub: &Hub,
    _endpoint: &str,
    _repository: &Repository<'_>,
    _observe: &mut dyn FnMut(&Progress<'_>),
) -> Result<PathBuf, HubProblem> {
    Err(HubProblem::NotCompiledIn { cache: hub.cache.clone() })
}
