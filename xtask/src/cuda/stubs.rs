//! Libraries with the names of CUDA's, to link against and to start a binary without a driver: every
//! function answers with an error.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

pub(super) struct Library {
    /// What it is linked as.
    name: &'static str,
    /// The name that a binary asks the loader for.
    pub(super) soname: &'static str,
    /// The module of cudarc that declares its functions.
    module: &'static str,
    /// What their names begin with.
    prefix: &'static str,
    /// The error that they answer with.
    error: u32,
}

pub(super) const LIBRARIES: [Library; 6] = [
    // CUDA_ERROR_STUB_LIBRARY
    Library { name: "cuda", soname: "libcuda.so.1", module: "driver", prefix: "cu", error: 34 },
    // CUBLAS_STATUS_NOT_INITIALIZED
    Library {
        name: "cublas",
        soname: "libcublas.so.13",
        module: "cublas",
        prefix: "cublas",
        error: 1,
    },
    Library {
        name: "cublasLt",
        soname: "libcublasLt.so.13",
        module: "cublaslt",
        prefix: "cublas",
        error: 1,
    },
    // CURAND_STATUS_NOT_INITIALIZED
    Library {
        name: "curand",
        soname: "libcurand.so.10",
        module: "curand",
        prefix: "curand",
        error: 101,
    },
    // ncclSystemError
    Library { name: "nccl", soname: "libnccl.so.2", module: "nccl", prefix: "nccl", error: 2 },
    // NVRTC_ERROR_INTERNAL_ERROR
    Library {
        name: "nvrtc",
        soname: "libnvrtc.so.13",
        module: "nvrtc",
        prefix: "nvrtc",
        error: 11,
    },
];

/// Compiles them into `folder`, with the functions that cudarc, whose sources are in `cudarc`,
/// declares.
pub(super) fn write(cudarc: &Path, folder: &Path) -> Result<()> {
    // Those of another version of cudarc, or of a compiler that was interrupted, are none.
    let (done, from) = (folder.join("cudarc.txt"), cudarc.display().to_string());
    if std::fs::read_to_string(&done).is_ok_and(|there| there == from) {
        return Ok(());
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    for library in &LIBRARIES {
        let file = cudarc.join("src").join(library.module).join("sys").join("mod.rs");
        let bindings = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        let functions = functions(&bindings, library.prefix);
        if functions.is_empty() {
            bail!("{}: declares no function {}..", file.display(), library.prefix);
        }
        compile(library, &source(&functions, library.error), folder)?;
    }
    std::fs::write(done, from)?;
    Ok(())
}

/// The functions that bindings declare.
pub(super) fn functions<'a>(bindings: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let declared = bindings.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
    let is_name = |name: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let names = declared.map(|(name, _)| name.trim());
    names.filter(|name| name.starts_with(prefix) && is_name(name)).collect()
}

/// C in which every function answers with an error, and those for messages with one.
pub(super) fn source(functions: &BTreeSet<&str>, error: u32) -> String {
    let mut source = String::new();
    for name in functions {
        // The driver's own write the message where an argument says.
        let returns_text = (name.contains("String") || name.contains("LastError"))
            && !name.starts_with("cuGetError");
        let _ = if returns_text {
            writeln!(source, "const char *{name}(void) {{ return \"link-time stub\"; }}")
        } else {
            writeln!(source, "int {name}(void) {{ return {error}; }}")
        };
    }
    source
}

fn compile(library: &Library, source: &str, folder: &Path) -> Result<()> {
    let file = format!("lib{}.so", library.name);
    let mut gcc = Command::new("gcc");
    gcc.args(["-x", "c", "-shared", "-fPIC", "-w", "-fno-builtin"]);
    gcc.arg(format!("-Wl,-soname,{}", library.soname));
    gcc.arg("-o").arg(folder.join(&file)).arg("-").stdin(Stdio::piped());
    let mut gcc = gcc.spawn().context("gcc did not start")?;
    gcc.stdin.take().context("gcc has no input")?.write_all(source.as_bytes())?;
    let status = gcc.wait()?;
    if !status.success() {
        bail!("gcc could not make {file} ({status})");
    }
    symlink(file, folder.join(library.soname))?;
    Ok(())
}
