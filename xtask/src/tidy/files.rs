//! The files that somebody wrote, with their text.

use std::io;
use std::path::Path;

/// The names of folders that hold what programs made.
const MADE: [&str; 3] = [".git", "runs", "target"];

/// The files to look at, by how their names end.
const WRITTEN: [&str; 5] = ["md", "rs", "toml", "yaml", "yml"];

/// One file, by its path below the root with `/` between the parts.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }
}

/// All written files below `root`, by path.
pub(super) fn files(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    collect(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

fn collect(folder: &Path, prefix: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        // The type of a link is its own, so that no link is followed.
        let kind = entry.file_type()?;
        if kind.is_dir() && !MADE.contains(&name.as_str()) {
            collect(&entry.path(), &format!("{path}/"), files)?;
        } else if kind.is_file() && is_written(&name) {
            let text = std::fs::read_to_string(entry.path())
                .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))?;
            files.push(File { path, text });
        }
    }
    Ok(())
}

fn is_written(name: &str) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| WRITTEN.contains(&end))
}
