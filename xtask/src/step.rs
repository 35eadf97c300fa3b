//! A step of the checks that is a command of cargo's.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

pub(crate) struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    environment: &'static [(&'static str, &'static str)],
}

/// What a plain `cargo test --workspace` leaves out: the tests that need a browser, downloads, and
/// ranks that MPI starts.
const FEATURES: &str =
    "autopipe-tests/browser,autopipe-models/hub,autopipe-trainer/parquet,autopipe-cli/hosts";

pub(crate) const FMT: Step =
    Step { name: "fmt", arguments: &["fmt", "--all", "--check"], environment: &[] };

pub(crate) const CLIPPY: Step = Step {
    name: "clippy",
    arguments: &[
        "clippy",
        "--workspace",
        "--all-targets",
        "--features",
        FEATURES,
        "--",
        "-D",
        "warnings",
    ],
    environment: &[],
};

pub(crate) const TEST: Step = Step {
    name: "test",
    arguments: &["test", "--workspace", "--features", FEATURES],
    environment: &[],
};

pub(crate) const DOC: Step = Step {
    name: "doc",
    arguments: &["doc", "--workspace", "--no-deps"],
    environment: &[("RUSTDOCFLAGS", "-Dwarnings")],
};

/// The crate draws its own schedules, so that xtask does without it.
pub(crate) const GALLERY: Step = Step {
    name: "gallery",
    arguments: &["run", "--quiet", "--package", "autopipe-schedule", "--example", "gallery"],
    environment: &[],
};

impl Step {
    /// Runs the step and lets it print what it likes.
    pub(crate) fn run(&self, root: &Path) -> Result<()> {
        let line = self.command_line();
        println!("== {}: {line}", self.name);
        let status = Command::new("cargo")
            .args(self.arguments)
            .envs(self.environment.iter().copied())
            .current_dir(root)
            .stdin(Stdio::null())
            .status()
            .with_context(|| format!("step `{}` did not start: {line}", self.name))?;
        if !status.success() {
            bail!("step `{}` failed ({status}); to run it alone: {line}", self.name);
        }
        Ok(())
    }

    /// The step as one types it.
    fn command_line(&self) -> String {
        let variables = self.environment.iter().map(|(name, value)| format!("{name}={value} "));
        format!("{}cargo {}", variables.collect::<String>(), self.arguments.join(" "))
    }
}
