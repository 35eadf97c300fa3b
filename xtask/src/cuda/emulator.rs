//! The emulator (`tests/emulator`), on which the tests for a GPU run where there is none.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::cargo::run;
use super::stubs::LIBRARIES;
use super::toolkit::{self, Toolkit};

/// What runs a program on it.
pub(super) struct Emulator {
    /// Where it has the names of CUDA's libraries.
    libraries: PathBuf,
}

/// Its variables, if nobody sets others: some tests need two GPUs.
const VARIABLES: [(&str, &str); 2] = [("EMULATOR_DEVICES", "2"), ("AUTOPIPE_REQUIRE_GPU", "1")];

impl Emulator {
    /// Its form, clippy and its own tests: it is no member of the workspace.
    pub(super) fn check(root: &Path) -> Result<()> {
        run(command(root, &["fmt", "--check"]))?;
        cargo(root, &["clippy", "--all-targets"], &["-D", "warnings"])?;
        cargo(root, &["test"], &[])
    }

    /// Builds it, and gives it the names by which the loader looks for CUDA's libraries.
    pub(super) fn build(root: &Path) -> Result<Self> {
        cargo(root, &["build", "--release"], &[])?;
        let libraries = toolkit::folder(root).join("emulated");
        if libraries.exists() {
            std::fs::remove_dir_all(&libraries)?;
        }
        std::fs::create_dir_all(&libraries)?;
        let emulator = target(root).join("release").join("libemulator.so");
        for library in &LIBRARIES {
            symlink(&emulator, libraries.join(library.soname))?;
        }
        Ok(Self { libraries })
    }

    /// Lets a command run on it, which has the rest of CUDA's environment.
    pub(super) fn set_environment(&self, command: &mut Command, toolkit: &Toolkit) {
        toolkit.set_environment_with(std::slice::from_ref(&self.libraries), command);
        for (name, value) in VARIABLES {
            if toolkit::variable(name).is_none() {
                command.env(name, value);
            }
        }
    }
}

fn target(root: &Path) -> PathBuf {
    toolkit::folder(root).join("emulator")
}

/// Cargo for the emulator's own workspace.
fn command(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).arg("--manifest-path");
    command.arg(Path::new("tests").join("emulator").join("Cargo.toml"));
    command.current_dir(root).stdin(Stdio::null());
    command
}

/// The same for what builds something.
fn cargo(root: &Path, arguments: &[&str], rest: &[&str]) -> Result<()> {
    let mut command = command(root, arguments);
    command.arg("--locked").arg("--target-dir").arg(target(root));
    if !rest.is_empty() {
        command.arg("--").args(rest);
    }
    run(command)
}
