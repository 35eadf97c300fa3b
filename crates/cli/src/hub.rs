//! Models by their name on the Hugging Face Hub, where a command takes a folder.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use autopipe_config::{ModelSource, Recipe};
use autopipe_trainer::hub::{ENDPOINT, Hub, MAIN, Progress, Repository, folder};

use crate::output;

/// What is read of the environment, by the names that Hugging Face's own programs have for it.
const VARIABLES: [&str; 5] =
    ["HF_HOME", "HF_HUB_CACHE", "HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE"];

/// The path as it is, or the folder in the cache of the model that it names: `OWNER/NAME`, and behind
/// an `@` perhaps a branch, a tag or a commit. What is a path of this machine is never a name.
///
/// # Errors
/// If it is a name and the model cannot be had.
pub(crate) fn resolve(path: &Path) -> anyhow::Result<PathBuf> {
    let Some(repository) = repository(path) else { return Ok(path.to_owned()) };
    let mut told = None;
    let mut observe = |progress: &Progress<'_>| {
        if told.as_deref() != Some(progress.file) {
            told = Some(progress.file.to_owned());
            output::message(&format!("fetching {}, {} bytes", progress.file, progress.total));
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the command is the reader of the environment")]
    let hub = hub(|name| env::var_os(name).map(PathBuf::from));
    folder(&hub, &repository, &mut observe).with_context(|| {
        format!("there is no folder `{}`, which may be the name of a model", path.display())
    })
}

/// The same for the model of a recipe.
///
/// # Errors
/// As [`resolve`].
pub(crate) fn resolve_recipe(recipe: &mut Recipe) -> anyhow::Result<()> {
    match &mut recipe.model.source {
        ModelSource::Pretrained { folder } | ModelSource::ScratchLike { folder, .. } => {
            let found = resolve(Path::new(folder))?;
            *folder = found
                .to_str()
                .with_context(|| format!("the path {} is not in UTF-8", found.display()))?
                .to_owned();
        }
        ModelSource::Scratch { .. } => {}
    }
    Ok(())
}

/// The repository that a path names, if it is none of a file or folder.
fn repository(path: &Path) -> Option<Repository<'_>> {
    let text = path.to_str().filter(|_| !path.exists())?;
    let (name, revision) = text.split_once('@').unwrap_or((text, MAIN));
    let (owner, model) = name.split_once('/')?;
    let is_part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && !part.contains(['/', '\\'])
    };
    // A file's name that nobody has written yet is no model's.
    let is_file = [".json", ".yaml", ".yml", ".safetensors"].iter().any(|end| model.ends_with(end));
    (is_part(owner) && is_part(model) && !is_file).then_some(Repository { name, revision })
}

/// The Hub as the environment has it.
fn hub(variable: impl Fn(&str) -> Option<PathBuf>) -> Hub {
    let [home, cache, endpoint, token, offline] =
        VARIABLES.map(|name| variable(name).filter(|value| !value.as_os_str().is_empty()));
    let home = home
        .unwrap_or_else(|| env::home_dir().unwrap_or_default().join(".cache").join("huggingface"));
    let text = |value: Option<PathBuf>| value.and_then(|value| value.to_str().map(str::to_owned));
    let saved = || std::fs::read_to_string(home.join("token")).ok();
    let is_offline = text(offline).is_some_and(|value| value != "0");
    Hub {
        endpoint: (!is_offline).then(|| text(endpoint).unwrap_or_else(|| ENDPOINT.to_owned())),
        token: text(token).or_else(saved).map(|token| token.trim().to_owned()),
        cache: cache.unwrap_or_else(|| home.join("hub")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{hub, repository};

    #[test]
    fn names_are_two_words_that_are_no_path() {
        let name = |text: &'static str| repository(Path::new(text)).map(|r| (r.name, r.revision));
        assert_eq!(name("Qwen/Qwen3-0.6B"), Some(("Qwen/Qwen3-0.6B", "main")));
        assert_eq!(name("Qwen/Qwen3-0.6B@v1.0"), Some(("Qwen/Qwen3-0.6B", "v1.0")));
        for path in
            ["src", "src/hub.rs", "./a/b", "/a/b", "a/b/c", "../a", "a", "a/config.json", "~/a"]
        {
            assert_eq!(name(path), None, "{path}");
        }
    }

    #[test]
    fn the_environment_says_where_and_who() {
        let with = |pairs: &'static [(&str, &str)]| {
            hub(move |name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
            })
        };
        let plain = with(&[("HF_HOME", "/h")]);
        assert_eq!(plain.cache, Path::new("/h/hub"));
        assert_eq!(plain.endpoint.as_deref(), Some("https://huggingface.co"));
        assert_eq!(plain.token, None);
        let all =
            with(&[("HF_HUB_CACHE", "/c"), ("HF_ENDPOINT", "http://m"), ("HF_TOKEN", " t\n")]);
        assert_eq!(
            (all.cache.as_path(), all.endpoint.as_deref()),
            (Path::new("/c"), Some("http://m"))
        );
        assert_eq!(all.token.as_deref(), Some("t"));
        assert_eq!(with(&[("HF_HUB_OFFLINE", "1")]).endpoint, None);
    }
}
