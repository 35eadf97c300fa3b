//! `cargo xtask`: all that a change has to pass, in one command.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it tells a person what it does")]

mod cuda;
mod step;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

const HELP: &str = "\
usage: cargo xtask VERB

  checks      all that a change has to pass, cheapest first; what the CI runs
  tidy        the rules of the house that no compiler knows
  gallery     docs/schedules.md and the pictures of schedules, made anew
  check-cuda  clippy and all tests' binaries with CUDA; needs no GPU, and fetches what CUDA it needs
  test-gpu    the tests for a GPU; with --archive FILE, as an archive to run where there is one
  emulate     the tests for a GPU, or PROGRAM ARGUMENTS.., on an emulator of CUDA
  help        this text";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A backtrace would bury the line that says what to do.
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["checks"] => checks(&root()),
        ["tidy"] => tidy(&root()),
        ["gallery"] => step::GALLERY.run(&root()),
        ["check-cuda"] => cuda::check(&root()),
        ["test-gpu"] => cuda::test(&root()),
        ["test-gpu", "--archive", file] => cuda::archive(&root(), Path::new(file)),
        ["emulate", ref program @ ..] => cuda::emulate(&root(), program),
        [] | ["help" | "-h" | "--help"] => {
            println!("{HELP}");
            Ok(())
        }
        _ => bail!("`{}` is no verb of xtask\n\n{HELP}", arguments.join(" ")),
    }
}

/// The workspace's folder, the one above this package.
fn root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package).to_owned()
}

fn checks(root: &Path) -> Result<()> {
    step::FMT.run(root)?;
    tidy(root)?;
    step::CLIPPY.run(root)?;
    step::TEST.run(root)?;
    step::DOC.run(root)?;
    println!("== check-cuda");
    cuda::check(root)
        .context("step `check-cuda` failed; to run it alone: cargo xtask check-cuda")?;
    println!("all checks passed");
    Ok(())
}

fn tidy(root: &Path) -> Result<()> {
    println!("== tidy");
    let problems = tidy::problems(root)?;
    for problem in &problems {
        println!("{problem}");
    }
    match problems.len() {
        0 => Ok(()),
        number => {
            bail!("step `tidy` found {number} problem(s); to run it alone: cargo xtask tidy")
        }
    }
}
