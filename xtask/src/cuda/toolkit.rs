//! The CUDA to build with: the one that is installed, or as much of one as building takes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::cargo::sources;
use super::{nvcc, stubs, wheels};

/// The oldest GPU that the kernels are for: Ampere, which all later ones can compute as. With a newer
/// one here they would be for that one only.
const COMPUTE_CAPABILITY: &str = "80";

/// The folders and files that a build needs.
pub(super) struct Toolkit {
    /// What `CUDA_HOME` is to be.
    home: PathBuf,
    /// Stands in for nvcc.
    nvcc: PathBuf,
    /// Libraries that answer every call with an error, for the loader.
    stubs: Option<PathBuf>,
}

impl Toolkit {
    /// Of an installed CUDA, or of what can be had without one.
    pub(super) fn find(root: &Path) -> Result<Self> {
        let folder = folder(root);
        std::fs::create_dir_all(&folder)?;
        needs("gcc", "it compiles and links what CUDA is built with")?;
        needs("g++", "nvcc reads its headers with it")?;
        let (installed, folder_of_stubs) = (installed(), folder.join("stubs"));
        // To link against, and for the loader where nothing can run; elsewhere they would stand in the
        // way of the libraries themselves.
        let stubs = if can_run() { None } else { Some(folder_of_stubs.clone()) };
        if installed.is_none() || stubs.is_some() {
            stubs::write(&sources(root, "cudarc")?, &folder_of_stubs)?;
        }
        let home = match installed {
            Some(home) => home,
            None => wheels::lay_out(&folder.join("toolkit"), &folder_of_stubs)?,
        };
        println!("== CUDA in {}", home.display());
        let nvcc = nvcc::write(&folder, &home, &sources(root, "candle-kernels")?)?;
        Ok(Self { home, nvcc, stubs })
    }

    /// Lets a command find it.
    pub(super) fn set_environment(&self, command: &mut Command) {
        self.set_environment_with(&[], command);
    }

    /// The same, with folders of libraries that come first.
    pub(super) fn set_environment_with(&self, first: &[PathBuf], command: &mut Command) {
        command.env("CUDA_HOME", &self.home).env("CUDA_PATH", &self.home);
        command.env("NVCC", &self.nvcc);
        command.env("PATH", before(&[self.home.join("bin")], "PATH"));
        if variable("CUDA_COMPUTE_CAP").is_none() {
            command.env("CUDA_COMPUTE_CAP", COMPUTE_CAPABILITY);
        }
        let mut libraries: Vec<PathBuf> = first.iter().chain(&self.stubs).cloned().collect();
        libraries.extend(["lib64", "lib"].map(|folder| self.home.join(folder)));
        command.env("LD_LIBRARY_PATH", before(&libraries, "LD_LIBRARY_PATH"));
        if can_run() {
            // A test that skips would look like one that passed.
            command.env("AUTOPIPE_REQUIRE_GPU", "1");
        }
    }
}

/// Where cargo builds with CUDA, in a folder of its own, so that nothing of a usual build is thrown away;
/// and where what that takes lies, beside the build: an archive of tests has whatever of the build's own
/// folder was linked, and the stubs must not come to a machine with a GPU.
pub(super) fn folder(root: &Path) -> PathBuf {
    root.join("target").join("cuda")
}

/// Whether this machine, or container, has a GPU's devices.
pub(super) fn has_driver() -> bool {
    ["/dev/nvidiactl", "/dev/dxg"].iter().any(|device| Path::new(device).exists())
}

/// Whether tests can run on a GPU: what is fetched to build with has not the libraries for that.
pub(super) fn can_run() -> bool {
    has_driver() && installed().is_some()
}

/// The folder of a CUDA that has a compiler: where the usual variables say, on the path, or in the usual
/// place.
fn installed() -> Option<PathBuf> {
    let named = ["CUDA_HOME", "CUDA_PATH"].into_iter().filter_map(variable).map(PathBuf::from);
    let path = variable("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).filter(|folder| folder.join("nvcc").is_file());
    let on_path: Vec<PathBuf> =
        on_path.filter_map(|folder| folder.parent().map(Path::to_owned)).collect();
    let usual = PathBuf::from("/usr/local/cuda");
    named
        .chain(on_path)
        .chain([usual])
        .find(|home| home.join("bin").join("nvcc").is_file() && home.join("include").is_dir())
}

/// # Errors
/// If a program is not there; `what_for` says why it is needed.
pub(super) fn needs(program: &str, what_for: &str) -> Result<()> {
    let path = variable("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    bail!("{program} is missing: {what_for} (on Debian: apt-get install {program})")
}

/// A list of folders for a variable that has some already.
fn before(folders: &[PathBuf], name: &str) -> OsString {
    let old = variable(name).unwrap_or_default();
    let old = std::env::split_paths(&old).filter(|folder| !folder.as_os_str().is_empty());
    let all: Vec<PathBuf> = folders.iter().cloned().chain(old).collect();
    std::env::join_paths(all).unwrap_or_default()
}

#[expect(clippy::disallowed_methods, reason = "where CUDA is, its own variables say")]
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
