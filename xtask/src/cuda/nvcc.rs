//! A stand-in for nvcc, which leaves out the kernels of quantised models: nothing here calls them, and
//! they are more than half of what there is to compile.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Writes the program into `folder` and returns its path. The kernels' package, with its sources in
/// `kernels`, has nvcc make objects of what it calls as C, and text of what candle loads by name: the
/// first get a body that aborts, the second go to the nvcc in `home`.
pub(super) fn write(folder: &Path, home: &Path, kernels: &Path) -> Result<PathBuf> {
    let file = kernels.join("src").join("ffi.rs");
    let bindings = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let functions = functions(&bindings);
    if functions.is_empty() {
        bail!("{}: declares no function", file.display());
    }
    let left_out = folder.join("left-out.c");
    std::fs::write(&left_out, source(&functions))?;
    let program = folder.join("nvcc");
    std::fs::write(&program, script(&home.join("bin").join("nvcc"), &left_out))?;
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755))?;
    Ok(program)
}

fn functions(bindings: &str) -> BTreeSet<&str> {
    super::stubs::functions(bindings, "")
}

/// C in which every function says what it is and aborts; all objects have all of them, so they are weak.
fn source(functions: &BTreeSet<&str>) -> String {
    let mut source = String::from("#include <stdio.h>\n#include <stdlib.h>\n");
    for name in functions {
        let message = format!("built without the kernels of quantised models: {name}");
        let body = format!("fputs(\"{message}\\n\", stderr); abort();");
        let _ = writeln!(source, "__attribute__((weak)) void {name}(void) {{ {body} }}");
    }
    source
}

fn script(nvcc: &Path, left_out: &Path) -> String {
    format!(
        r#"#!/bin/sh
# Written by `cargo xtask check-cuda`. With -c an object is wanted.
for argument in "$@"; do
    case "$argument" in -c) wanted=object ;; esac
    case "$previous" in -o) object=$argument ;; esac
    previous=$argument
done
if [ "$wanted" = object ]; then
    exec gcc -x c -O1 -w -fPIC -c -o "$object" '{}'
fi
exec '{}' "$@"
"#,
        left_out.display(),
        nvcc.display()
    )
}
