//! Downloads the files of a model from the Hub into its cache.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use hf_hub::api;
use hf_hub::api::sync::{ApiBuilder, ApiError, ApiRepo};
use hf_hub::{Cache, Repo, RepoType};

use super::{Hub, HubProblem, Progress, Repository};
use crate::checkpoint::{
    self, CONFIG_FILE, GENERATION_FILE, INDEX_FILE, SINGLE_FILE, TOKENIZER_FILES,
};

/// Fetches what is not there yet of the commit that the revision is now.
pub(super) fn fetch(
    hub: &Hub,
    endpoint: &str,
    repository: &Repository<'_>,
    observe: &mut dyn FnMut(&Progress<'_>),
) -> Result<PathBuf, HubProblem> {
    let cache = Cache::new(hub.cache.clone());
    let repo = |revision: &str| {
        Repo::with_revision(repository.name.to_owned(), RepoType::Model, revision.to_owned())
    };
    let api = ApiBuilder::from_cache(cache.clone())
        .with_progress(false)
        .with_endpoint(endpoint.trim_end_matches('/').to_owned())
        .with_token(hub.token.clone())
        .build()
        .map_err(|error| HubProblem::Unreachable {
            endpoint: endpoint.to_owned(),
            reason: error.to_string(),
        })?;
    let asked = Asked { hub, endpoint, repository };

    let info = api.repo(repo(repository.revision)).info();
    let info = info.map_err(|error| asked.about_repository(error))?;
    let there: Vec<String> = info.siblings.into_iter().map(|file| file.rfilename).collect();
    if !there.iter().any(|file| file == CONFIG_FILE) {
        return Err(HubProblem::NoConfig);
    }
    let has_one_file = there.iter().any(|file| file == SINGLE_FILE);
    let weights = if has_one_file { SINGLE_FILE } else { INDEX_FILE };
    if !there.iter().any(|file| file == weights) {
        return Err(HubProblem::NoWeights { others: other_weights(there) });
    }

    // By the commit's name from here on: the branch may move meanwhile.
    let files = api.repo(repo(&info.sha));
    let folder = cache.repo(repo(&info.sha)).pointer_path(&info.sha);
    let mut get = |file: &str| asked.get(&files, &folder, file, observe);
    let small = [CONFIG_FILE, GENERATION_FILE].into_iter().chain(TOKENIZER_FILES);
    for file in small.filter(|small| there.iter().any(|file| file == small)) {
        get(file)?;
    }
    get(weights)?;
    let shards = checkpoint::weight_files(&folder)
        .map_err(|error| HubProblem::Index { reason: error.to_string() })?;
    if let Some(missing) = shards.iter().find(|shard| !there.contains(shard)) {
        return Err(HubProblem::Index {
            reason: format!("it names {missing}, which is not there"),
        });
    }
    for shard in &shards {
        get(shard)?;
    }
    // Last, so that the name leads to what is whole.
    cache
        .repo(repo(repository.revision))
        .create_ref(&info.sha)
        .map_err(|source| HubProblem::Cache { cache: hub.cache.clone(), source })?;
    Ok(folder)
}

/// Weights in the forms of other programs.
fn other_weights(mut files: Vec<String>) -> Vec<String> {
    const ENDS: [&str; 6] = [".bin", ".gguf", ".h5", ".msgpack", ".pt", ".pth"];
    files.retain(|file| ENDS.iter().any(|end| file.ends_with(end)));
    files
}

/// What was asked for, for messages.
#[derive(Clone, Copy)]
struct Asked<'a> {
    hub: &'a Hub,
    endpoint: &'a str,
    repository: &'a Repository<'a>,
}

impl Asked<'_> {
    fn get(
        self,
        files: &ApiRepo,
        folder: &Path,
        file: &str,
        observe: &mut dyn FnMut(&Progress<'_>),
    ) -> Result<(), HubProblem> {
        let path = folder.join(file);
        if path.exists() {
            return Ok(());
        }
        let mut total = 0;
        let progress = Bytes { observe, file, done: 0, total: &mut total };
        let there = files
            .download_with_progress(file, progress)
            .map_err(|error| self.about_file(error, file))?;
        let failed = |source| HubProblem::Cache { cache: self.hub.cache.clone(), source };
        let done = fs::metadata(&there).map_err(failed)?.len();
        if done != total {
            // A connection that is cut may look like the end of a file.
            fs::remove_file(fs::canonicalize(&there).map_err(failed)?).map_err(failed)?;
            fs::remove_file(&there).map_err(failed)?;
            let reason = format!("it has {total} bytes, {done} came");
            return Err(HubProblem::Broken { file: file.to_owned(), reason });
        }
        Ok(())
    }

    /// The Hub hides what is private: it answers as if it were not there.
    fn about_repository(self, error: ApiError) -> HubProblem {
        match status(&error) {
            Some(401 | 403 | 404) => HubProblem::NotFound {
                endpoint: self.endpoint.to_owned(),
                revision: self.repository.revision.to_owned(),
            },
            _ => self.about_file(error, "a repository's list of files"),
        }
    }

    fn about_file(self, error: ApiError, file: &str) -> HubProblem {
        let (endpoint, file) = (self.endpoint.to_owned(), file.to_owned());
        match (status(&error), error) {
            (Some(401 | 403), _) => {
                HubProblem::Gated { page: format!("{endpoint}/{}", self.repository.name) }
            }
            // More is there already than there should be.
            (Some(416), _) | (None, ApiError::InvalidResume) => {
                HubProblem::Leftover { file, cache: self.hub.cache.clone() }
            }
            (Some(status), _) => HubProblem::Status { endpoint, file, status },
            (None, ApiError::RequestError(error)) => {
                HubProblem::Unreachable { endpoint, reason: error.to_string() }
            }
            (None, ApiError::LockAcquisition(_)) => HubProblem::Busy { file },
            (None, ApiError::IoError(source)) if !is_of_network(&source) => {
                HubProblem::Cache { cache: self.hub.cache.clone(), source }
            }
            // A list that the crate may make longer: a connection that is cut, an answer that lacks
            // a header.
            (None, error) => HubProblem::Broken { file, reason: error.to_string() },
        }
    }
}

fn status(error: &ApiError) -> Option<u16> {
    match error {
        ApiError::RequestError(error) => match **error {
            ureq::Error::StatusCode(status) => Some(status),
            _ => None,
        },
        _ => None,
    }
}

/// Whether reading from the network failed, and not writing to the disk.
fn is_of_network(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
        || matches!(
            error.kind(),
            ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::TimedOut
        )
}

/// Tells of the bytes of one file as they come.
struct Bytes<'a> {
    observe: &'a mut dyn FnMut(&Progress<'_>),
    file: &'a str,
    done: u64,
    total: &'a mut u64,
}

impl Bytes<'_> {
    fn tell(&mut self) {
        let Self { file, done, .. } = *self;
        (self.observe)(&Progress { file, done, total: *self.total });
    }
}

impl api::Progress for Bytes<'_> {
    fn init(&mut self, size: usize, _file: &str) {
        (self.done, *self.total) = (0, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        self.tell();
    }

    fn finish(&mut self) {}
}
