//! What can be wrong with a model on the Hub, or with the way there.

use std::io;
use std::path::PathBuf;

/// Why a model of the Hub cannot be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubProblem {
    /// A name that no repository can have.
    #[error("a repository is named OWNER/NAME, in letters, digits, `-`, `_` and `.`")]
    Name,
    /// A revision that there cannot be.
    #[error("`{revision}` is no revision; give a branch, a tag or a commit, or `main`")]
    Revision {
        /// The revision.
        revision: String,
    },
    /// The cache does not have all of it, and it must not be downloaded.
    #[error(
        "it is not whole in the cache {}, and nothing is to be downloaded; allow it, or give the \
         path of a folder that has the model",
        cache.display()
    )]
    NotCached {
        /// The cache.
        cache: PathBuf,
    },
    /// The cache does not have all of it, and this program cannot download.
    #[error(
        "it is not whole in the cache {}, and this program was built without the feature `hub`, \
         which downloads; build it with `--features hub`, or give the path of a folder that has the \
         model",
        cache.display()
    )]
    NotCompiledIn {
        /// The cache.
        cache: PathBuf,
    },
    /// Nobody knows the repository or its revision, or whoever asks may not know of it.
    #[error(
        "{endpoint} has no such repository with a revision `{revision}`, or it is private; check \
         both names, or give the access token of somebody who may read it"
    )]
    NotFound {
        /// Who was asked.
        endpoint: String,
        /// The revision asked for.
        revision: String,
    },
    /// The repository can be seen, its files cannot.
    #[error(
        "its files are for those only who have agreed to its terms; do so at {page} and give your \
         access token"
    )]
    Gated {
        /// Where to agree.
        page: String,
    },
    /// No config of a model.
    #[error("it has no `config.json`, so that it is no model that transformers would load")]
    NoConfig,
    /// No weights that can be read.
    #[error(
        "it has no weights in safetensors{}; save them with transformers' `save_pretrained`",
        found(.others)
    )]
    NoWeights {
        /// Weights in other forms.
        others: Vec<String>,
    },
    /// An index of shards that names files which are not there.
    #[error("its index of weights cannot be used: {reason}")]
    Index {
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody answers.
    #[error(
        "{endpoint} cannot be reached: {reason}; connect this machine, or give the path of a folder \
         that has the model"
    )]
    Unreachable {
        /// Who does not answer.
        endpoint: String,
        /// What the network says.
        reason: String,
    },
    /// An answer that does not help.
    #[error("{endpoint} answers with status {status} to {file}; try again later")]
    Status {
        /// Who answers.
        endpoint: String,
        /// What it was asked for.
        file: String,
        /// HTTP's number for the answer.
        status: u16,
    },
    /// Somebody else fetches the same file.
    #[error("another process is fetching {file}; try again when it is done")]
    Busy {
        /// The file.
        file: String,
    },
    /// What an earlier download has left does not fit to the file.
    #[error(
        "what is left of an earlier download of {file} does not fit; delete the files that end in \
         `.part` in {} and try again",
        cache.display()
    )]
    Leftover {
        /// The file.
        file: String,
        /// The cache.
        cache: PathBuf,
    },
    /// A download that ended before its end, or that was damaged.
    #[error("{file} did not arrive: {reason}; try again, it goes on where it stopped")]
    Broken {
        /// The file.
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// The cache cannot be read or written.
    #[error("the cache {} cannot be used: {source}", cache.display())]
    Cache {
        /// The cache.
        cache: PathBuf,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
}

fn found(others: &[String]) -> String {
    if others.is_empty() { String::new() } else { format!(" but only {}", others.join(", ")) }
}

/// Whether a repository can have the name: one part or two, of the letters that the Hub allows.
/// What passes stays within the cache.
pub(super) fn check_name(name: &str) -> Result<(), HubProblem> {
    let is_part = |part: &str| {
        part.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
            && part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && !part.contains("..")
            && !part.contains("--")
    };
    let num_parts = name.split('/').count();
    if num_parts <= 2 && name.split('/').all(is_part) { Ok(()) } else { Err(HubProblem::Name) }
}

/// Whether there can be such a revision: a name of git's, in parts that lead nowhere else.
pub(super) fn check_revision(revision: &str) -> Result<(), HubProblem> {
    let is_part = |part: &str| {
        part.chars().all(|c| c.is_ascii_graphic() && !"\\?#%~^:*[".contains(c))
            && !part.is_empty()
            && !part.starts_with('.')
    };
    if revision.split('/').all(is_part) {
        Ok(())
    } else {
        Err(HubProblem::Revision { revision: revision.to_owned() })
    }
}
