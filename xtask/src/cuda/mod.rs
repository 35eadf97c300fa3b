//! The CUDA side: checked where there is no GPU, tested where there is one.

mod cargo;
mod emulator;
mod nvcc;
mod stubs;
mod toolkit;
mod wheels;

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use cargo::Cargo;
use emulator::Emulator;
use toolkit::Toolkit;

/// What the names of the tests for a GPU begin with, wherever they are: a module `gpu` of a `tests/it`.
const TESTS: &str = "gpu::";

/// What the names of the tests contain in which CUDA's compiler sees every kernel.
const KERNELS: [&str; 2] = ["::on_gpu::", "gpu::tests::"];

/// How such a test says that there is no GPU; so does `crates/nn/tests/it/gpu/device.rs`.
const SKIPPED: &str = "skipped: no CUDA device";

/// The binaries that have such tests. All packages are built, whoever has some: with others chosen, cargo
/// would choose other features of what they depend on, and build that anew.
const BINARIES: [&str; 3] = ["--workspace", "--test", "it"];

/// Clippy and all tests' binaries with CUDA; and its tests, on an emulator where there is no GPU.
pub(crate) fn check(root: &Path) -> Result<()> {
    let cargo = Cargo::new(root, Toolkit::find(root)?);
    cargo.run(&["clippy", "--workspace", "--all-targets"], &["-D", "warnings"])?;
    cargo.run(&["test", "--workspace", "--no-run"], &[])?;
    // By CUDA's compiler, which is here; on a GPU's machine its library does it.
    cargo.run(&["test", "--workspace", "--lib"], &KERNELS)?;
    if toolkit::can_run() {
        return run_tests(&cargo);
    }
    let output = cargo.output(&with("test"), &[TESTS, "--nocapture"])?;
    check_skipped(&output)?;
    Emulator::check(root)?;
    run_tests(&cargo.on(Emulator::build(root)?))?;
    println!(
        "the tests for a GPU have run on the emulator: there is no GPU here, or no CUDA is installed"
    );
    Ok(())
}

/// The tests for a GPU on the emulator, or the program that is given.
pub(crate) fn emulate(root: &Path, program: &[&str]) -> Result<()> {
    let cargo = Cargo::new(root, Toolkit::find(root)?).on(Emulator::build(root)?);
    let Some((name, arguments)) = program.split_first() else { return run_tests(&cargo) };
    let mut command = Command::new(name);
    command.args(arguments);
    cargo.set_environment(&mut command);
    let status = command.status().with_context(|| format!("`{name}` did not start"))?;
    if !status.success() {
        bail!("`{}` failed ({status})", program.join(" "));
    }
    Ok(())
}

/// All tests for a GPU, run here.
pub(crate) fn test(root: &Path) -> Result<()> {
    if toolkit::has_driver() && !toolkit::can_run() {
        bail!(
            "there is a GPU here and no CUDA, whose libraries its tests need; install CUDA 12 or later, or \
             set CUDA_HOME to where its bin/nvcc is"
        );
    }
    let cargo = Cargo::new(root, Toolkit::find(root)?);
    if !toolkit::can_run() {
        println!("note: there is no GPU here, so the tests will say why they skip;");
        println!("      to run them elsewhere: cargo xtask test-gpu --archive FILE");
    }
    run_tests(&cargo)
}

/// The same tests as an archive, for a machine with a GPU.
pub(crate) fn archive(root: &Path, file: &Path) -> Result<()> {
    if !cargo::has_nextest() {
        bail!("an archive of tests needs cargo-nextest: cargo install cargo-nextest --locked");
    }
    let cargo = Cargo::new(root, Toolkit::find(root)?);
    let file = &std::path::absolute(file)?;
    let mut arguments: Vec<OsString> = vec!["nextest".into()];
    arguments.extend(with("archive").into_iter().map(OsString::from));
    arguments.extend(["--filterset".into(), binaries(root)?.into()]);
    // As small as it gets: it travels.
    arguments.extend(["--zstd-level".into(), "19".into(), "--archive-file".into(), file.into()]);
    cargo.run(&arguments, &[])?;
    let file = file.display();
    println!(
        "\
to run it on a machine with a GPU, with cargo-nextest and this project's files but without Rust:

  AUTOPIPE_REQUIRE_GPU=1 cargo-nextest nextest run --archive-file {file} --workspace-remap PROJECT \\
      --filterset '{}'

cuBLAS, cuRAND, NVRTC and the runtime of CUDA 13 and NCCL have to be on LD_LIBRARY_PATH there; where PyTorch
is installed for CUDA 13, they are in its site-packages/nvidia/cu13/lib and site-packages/nvidia/nccl/lib",
        filterset()
    );
    Ok(())
}

fn run_tests(cargo: &Cargo) -> Result<()> {
    cargo.run(&with("test"), &[TESTS, "--nocapture"])
}

/// The tests as nextest is told of them.
fn filterset() -> String {
    format!("test(/^{TESTS}/)")
}

/// The binaries that have some, as nextest is told of them, which does not ask them while it packs.
fn binaries(root: &Path) -> Result<String> {
    let crates = std::fs::read_dir(root.join("crates"))?.map(|entry| Ok(entry?.path()));
    let mut folders = crates.collect::<Result<Vec<PathBuf>>>()?;
    folders.push(root.join("tests"));
    folders.sort_unstable();
    let has_tests = |folder: &&PathBuf| {
        let tests = folder.join("tests").join("it").join("gpu");
        tests.is_dir() || tests.with_extension("rs").is_file()
    };
    let packages = folders.iter().filter(has_tests).filter_map(|folder| folder.file_name());
    let ids = packages.map(|name| match name.to_string_lossy().as_ref() {
        "autopipe" => "binary_id(autopipe::it)".to_owned(),
        other => format!("binary_id(autopipe-{other}::it)"),
    });
    Ok(ids.collect::<Vec<_>>().join(" + "))
}

/// A subcommand for the binaries that have tests for a GPU.
fn with(subcommand: &str) -> Vec<&str> {
    std::iter::once(subcommand).chain(BINARIES).collect()
}

/// # Errors
/// If there was no test, or those of a binary did not say that they skip.
fn check_skipped(output: &str) -> Result<()> {
    let started = |line: &&str| line.starts_with("running ") && !line.starts_with("running 0 ");
    let num_binaries = output.lines().filter(started).count();
    let num_skipped = output.lines().filter(|line| line.contains(SKIPPED)).count();
    if num_binaries == 0 {
        bail!("there is no test named {TESTS}..");
    }
    if num_skipped < num_binaries {
        bail!(
            "{num_binaries} binaries have tests for a GPU, and {num_skipped} said `{SKIPPED}` where there is none"
        );
    }
    Ok(())
}
