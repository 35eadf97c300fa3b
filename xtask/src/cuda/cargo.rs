//! Cargo with CUDA in its environment.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::emulator::Emulator;
use super::toolkit::{self, Toolkit};

/// What turns CUDA on in every package that knows it.
const FEATURES: &str = "autopipe-cli/cuda,autopipe-tests/cuda";

/// Cargo as all steps run it: with another profile, folder or variable it would compile the kernels
/// anew.
pub(super) struct Cargo {
    root: PathBuf,
    toolkit: Toolkit,
    emulator: Option<Emulator>,
}

impl Cargo {
    pub(super) fn new(root: &Path, toolkit: Toolkit) -> Self {
        Self { root: root.to_owned(), toolkit, emulator: None }
    }

    /// What is started from now on runs on an emulator.
    pub(super) fn on(self, emulator: Emulator) -> Self {
        Self { emulator: Some(emulator), ..self }
    }

    /// Runs a subcommand with its `arguments`, and what comes after `--`; it prints what it likes.
    pub(super) fn run(&self, arguments: &[impl AsRef<OsStr>], rest: &[&str]) -> Result<()> {
        run(self.command(arguments, rest))
    }

    /// The same, for what it prints on its standard output.
    pub(super) fn output(&self, arguments: &[impl AsRef<OsStr>], rest: &[&str]) -> Result<String> {
        let mut command = self.command(arguments, rest);
        let line = print(&command);
        let output = command.stderr(Stdio::inherit()).output();
        let output = output.with_context(|| format!("did not start: {line}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        print!("{text}");
        if !output.status.success() {
            bail!("failed ({}): {line}", output.status);
        }
        Ok(text)
    }

    fn command(&self, arguments: &[impl AsRef<OsStr>], rest: &[&str]) -> Command {
        let mut command = Command::new("cargo");
        command.args(arguments).current_dir(&self.root).stdin(Stdio::null());
        let is_nextest = arguments.first().is_some_and(|first| first.as_ref() == "nextest");
        let profile = if is_nextest { "--cargo-profile" } else { "--profile" };
        command.args(["--features", FEATURES, profile, "gpu", "--target-dir"]);
        command.arg(toolkit::folder(&self.root).join("build"));
        if !rest.is_empty() {
            command.arg("--").args(rest);
        }
        self.set_environment(&mut command);
        command
    }

    /// Lets a command of any kind find CUDA, or what stands in for it.
    pub(super) fn set_environment(&self, command: &mut Command) {
        match &self.emulator {
            Some(emulator) => emulator.set_environment(command, &self.toolkit),
            None => self.toolkit.set_environment(command),
        }
    }
}

/// Runs a command, which prints what it likes.
pub(super) fn run(mut command: Command) -> Result<()> {
    let line = print(&command);
    let status = command.status().with_context(|| format!("did not start: {line}"))?;
    if !status.success() {
        bail!("failed ({status}): {line}");
    }
    Ok(())
}

/// Prints a command as one types it, but for the environment, and returns that.
fn print(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(OsStr::to_string_lossy).collect();
    let line = words.join(" ");
    println!("== {line}");
    line
}

/// Whether `cargo nextest` is installed.
pub(super) fn has_nextest() -> bool {
    let mut command = Command::new("cargo");
    let output = command.args(["nextest", "--version"]).stdin(Stdio::null()).output();
    output.is_ok_and(|output| output.status.success())
}

/// The folder with the sources of a package that CUDA brings.
pub(super) fn sources(root: &Path, package: &str) -> Result<PathBuf> {
    let mut command = Command::new("cargo");
    command.args(["metadata", "--locked", "--format-version", "1", "--features", FEATURES]);
    let output = command.current_dir(root).stderr(Stdio::inherit()).output();
    let output = output.context("cargo metadata did not start")?;
    if !output.status.success() {
        bail!("cargo metadata failed ({})", output.status);
    }
    let metadata = String::from_utf8(output.stdout).context("cargo metadata is no text")?;
    let manifest = manifest_of(&metadata, package);
    let folder = manifest.as_ref().and_then(|manifest| manifest.parent());
    folder.map(Path::to_owned).with_context(|| format!("cargo metadata has no package {package}"))
}

/// Where the manifest of a package is, by cargo's metadata; a parser of JSON would take longer to build
/// than all of this crate.
pub(super) fn manifest_of(metadata: &str, package: &str) -> Option<PathBuf> {
    // A dependency has a name too, but no version after it.
    let (_, of_package) = metadata.split_once(&format!("{{\"name\":\"{package}\",\"version\":"))?;
    let (_, manifest) = of_package.split_once("\"manifest_path\":\"")?;
    let (manifest, _) = manifest.split_once('"')?;
    Some(PathBuf::from(manifest))
}
