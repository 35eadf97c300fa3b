//! The parts of CUDA that a build needs, as the Python packages that NVIDIA publishes.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::toolkit::needs;

/// The compiler and its back end, and the headers that kernels and the runtime have; of one release,
/// 100 MB to download. Not newer than the drivers in use: an older driver refuses newer kernels.
const WHEELS: [&str; 5] = [
    "nvidia-cuda-nvcc==13.0.88",
    "nvidia-nvvm==13.0.88",
    "nvidia-cuda-crt==13.0.88",
    "nvidia-cuda-cccl==13.0.85",
    "nvidia-cuda-runtime==13.0.96",
];

/// Puts the wheels into `folder`, unless they are there, and returns what `CUDA_HOME` is to be: with
/// the `stubs` where the linker looks for libraries of which only the GPU's machine has the real ones.
pub(super) fn lay_out(folder: &Path, stubs: &Path) -> Result<PathBuf> {
    let (done, wanted) = (folder.join("wheels.txt"), WHEELS.join("\n"));
    let home = folder.join("nvidia").join("cu13");
    if std::fs::read_to_string(&done).is_ok_and(|there| there == wanted) {
        return Ok(home);
    }
    if folder.exists() {
        // What an interrupted download left, or another release.
        std::fs::remove_dir_all(folder)?;
    }
    fetch(folder)?;
    let libraries = home.join("lib");
    symlink("libcudart.so.13", libraries.join("libcudart.so"))?;
    symlink(stubs, libraries.join("stubs"))?;
    std::fs::write(&done, wanted)?;
    Ok(home)
}

fn fetch(folder: &Path) -> Result<()> {
    needs("python3", "its pip downloads the compiler of CUDA")?;
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip"]).stdin(Stdio::null());
    let version = Command::new("python3").args(["-m", "pip", "--version"]).output();
    if !version.is_ok_and(|output| output.status.success()) {
        bail!(
            "pip is missing: it downloads the compiler of CUDA (on Debian: apt-get install python3-pip)"
        );
    }
    println!("== fetching {}", WHEELS.join(" "));
    pip.args(["install", "--quiet", "--disable-pip-version-check"]);
    pip.env("PIP_ROOT_USER_ACTION", "ignore"); // as an argument, older ones would refuse it
    pip.args(["--no-deps", "--no-compile", "--target"]).arg(folder).args(WHEELS);
    let status = pip.status().context("pip did not start")?;
    if !status.success() {
        bail!("pip could not download the compiler of CUDA ({status})");
    }
    Ok(())
}
